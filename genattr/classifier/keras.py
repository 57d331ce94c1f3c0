"""A network from a Keras file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from zipfile import ZipFile

from torch import nn

from genattr.assets.tensorflow import tensorflow
from genattr.assets.trust import consent
from genattr.assets.weights import files_hash
from genattr.classifier.runtime import Port, Run, RuntimeClassifier, only
from genattr.errors import abridged, require

CODE = {"Lambda", "__lambda__", "function"}  # whose settings are Python code, or a name of it
OPENING = {
    *("TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"),
    *("StringLookup", "IntegerLookup", "TextVectorization"),
}  # layers that unpickle, or open files that their settings name
HARMLESS = re.compile(  # modules of Keras whose classes compute, and no more
    r"builtins|keras(\.src)?(\.(activations|constraints|dtype_policies|initializers|layers|losses"
    r"|metrics|models|ops|optimizers|quantizers|random|regularizers)(\.\w+)*)?"
)


@dataclass(frozen=True, kw_only=True)
class KerasClassifier(RuntimeClassifier):
    """A file of ``model.save``, ``.keras`` or ``.h5``, run by TensorFlow.

    Layers whose code is in the file (Lambda), that are not of Keras or that open other files are
    refused, unless the file is trusted.

    Parameters
    ----------
    trust
        Whether a file that can run code may be opened.
    """

    trust: bool = field(metadata={"identity": False})

    extra: ClassVar[str] = "tensorflow"

    def open(self) -> tuple[Run, Port]:
        tf = tensorflow("classifier=keras")
        able = sorted(set(_able(self._settings())))
        why = f"it has {abridged(able)}, which can run code"
        consent(f"classifier.path={self.path}", self.trust or not able, why)
        model = tf.keras.models.load_model(str(self.file), compile=False, safe_mode=not self.trust)
        given = only(model.inputs, [one.name for one in model.inputs], self.path)
        call = tf.function(lambda batch: model(batch, training=False))

        def run(batch: Any) -> dict[str, Any]:
            return {
                key: one.numpy() for key, one in _named(model, call(tf.constant(batch))).items()
            }

        return run, Port(list(given.shape), tf.as_dtype(given.dtype).as_numpy_dtype)

    def _settings(self) -> Any:
        """Read the description of the layers; an archive is known by its name, as to Keras."""
        if self.file.suffix == ".keras":
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


def _able(settings: Any) -> Iterator[str]:
    """Yield the names of all classes in a description, at any depth, that can run code."""
    if isinstance(settings, dict) and "class_name" in settings:
        name, module = str(settings["class_name"]), str(settings.get("module") or "keras")
        if name in CODE | OPENING or not HARMLESS.fullmatch(module):
            yield name
    values = settings.values() if isinstance(settings, dict) else settings
    for value in values:
        if isinstance(value, dict | list):
            yield from _able(value)


def _named(model: Any, outputs: Any) -> Mapping[str, Any]:
    """Return a model's outputs by their names; one alone needs none."""
    if isinstance(outputs, dict):
        return outputs
    if isinstance(outputs, list | tuple):
        return dict(zip(model.output_names, outputs, strict=True))
    return {"output": outputs}
