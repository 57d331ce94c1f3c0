"""A network from a TensorFlow SavedModel folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from torch import nn

from genattr.assets.tensorflow import SavedModel, tensorflow
from genattr.classifier.runtime import ANY, Port, Run, RuntimeClassifier, only


@dataclass(frozen=True, kw_only=True)
class SavedModelClassifier(RuntimeClassifier):
    """A network saved by ``tf.saved_model.save``, run by TensorFlow on the device that it chooses.

    Parameters
    ----------
    signature
        Which of its functions is called, such as ``serving_default``.
    trust
        Whether a file that can run code may be opened.
    """

    signature: str
    trust: bool = field(metadata={"identity": False})

    extra: ClassVar[str] = "tensorflow"

    @cached_property
    def _saved(self) -> SavedModel:
        return SavedModel(self.file, "classifier", self.trust)

    def open(self) -> tuple[Run, Port]:
        function = self._saved.function(self.signature)
        tf = tensorflow("classifier=saved_model")
        inputs = function.structured_input_signature[1]
        spec = only(list(inputs.values()), list(inputs), self.path)
        name = next(iter(inputs))

        def run(batch: Any) -> dict[str, Any]:
            return {key: one.numpy() for key, one in function(**{name: tf.constant(batch)}).items()}

        shape = ANY if spec.shape.rank is None else list(spec.shape)
        return run, Port(shape, spec.dtype.as_numpy_dtype)

    def hash_of(self, network: nn.Module) -> str:
        """Hash the folder's files."""
        return self._saved.hash()
