"""A network from a Keras file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from zipfile import ZipFile, is_zipfile

from torch import nn

from genattr.assets.tensorflow import tensorflow
from genattr.assets.weights import files_hash
from genattr.classifier.runtime import Port, Run, RuntimeClassifier, only
from genattr.errors import require

CODE = {"Lambda", "__lambda__"}  # classes whose settings are Python code


@dataclass(frozen=True, kw_only=True)
class KerasClassifier(RuntimeClassifier):
    """A file of ``model.save``, ``.keras`` or ``.h5``, run by TensorFlow.

    Layers whose code is in the file (Lambda) are refused.
    """

    extra: ClassVar[str] = "tensorflow"

    def open(self) -> tuple[Run, Port]:
        tf = tensorflow("classifier=keras")
        require(
            not CODE & set(_classes(self._settings())),
            f"classifier.path={self.path}: it has a Lambda layer, whose code is not run: save it "
            "again with layers of Keras in its place",
        )
        model = tf.keras.models.load_model(str(self.file), compile=False, safe_mode=True)
        given = only(model.inputs, [one.name for one in model.inputs], self.path)
        call = tf.function(lambda batch: model(batch, training=False))

        def run(batch: Any) -> dict[str, Any]:
            return {
                key: one.numpy() for key, one in _named(model, call(tf.constant(batch))).items()
            }

        return run, Port(list(given.shape), tf.as_dtype(given.dtype).as_numpy_dtype)

    def _settings(self) -> Any:
        """Read the description of the layers."""
        if is_zipfile(self.file):
            with ZipFile(self.file) as opened:
                return json.loads(opened.read("config.json"))
        import h5py

        with h5py.File(self.file, "r") as opened:
            require(
                "model_config" in opened.attrs,
                f"classifier.path={self.path}: it holds weights without their layers: "
                "model.save('net.keras') writes both",
            )
            return json.loads(opened.attrs["model_config"])

    def hash_of(self, network: nn.Module) -> str:
        """Hash the file."""
        return files_hash(self.file)


def _classes(settings: Any) -> Iterator[str]:
    """Yield the names of all classes in a description, at any depth."""
    if isinstance(settings, dict):
        yield str(settings.get("class_name"))
    values = settings.values() if isinstance(settings, dict) else settings
    for value in values:
        if isinstance(value, dict | list):
            yield from _classes(value)


def _named(model: Any, outputs: Any) -> Mapping[str, Any]:
    """Return a model's outputs by their names; one alone needs none."""
    if isinstance(outputs, dict):
        return outputs
    if isinstance(outputs, list | tuple):
        return dict(zip(model.output_names, outputs, strict=True))
    return {"output": outputs}
