"""Inpainting networks from TensorFlow SavedModel folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from genattr.assets.tensorflow import SavedModel, tensorflow
from genattr.errors import require
from genattr.files import expanded
from genattr.filler.described import DescribedInpainter
from genattr.filler.wiring import check_arguments, joined
from genattr.ops.foreign import picked

NEEDER = "filler=saved_model"


@dataclass(frozen=True, kw_only=True)
class SavedModelInpainter(DescribedInpainter):
    """A network saved by ``tf.saved_model.save``, run by TensorFlow on the device that it chooses.

    Parameters
    ----------
    signature
        Which of its functions is called.
    arguments
        Value of each input by its name: ``image``, ``mask``, or concatenated channels, such as
        ``image+mask`` or ``image+ones+mask``. None: the inputs are called ``image`` and ``mask``.
    output
        Name of the output that is the image. None: there is only one.
    layout
        ``nhwc`` or ``nchw``.
    trust
        Whether a file that can run code may be opened.
    """

    signature: str
    arguments: Mapping[str, str] | None
    output: str | None
    layout: Literal["nhwc", "nchw"]
    trust: bool = field(metadata={"identity": False})

    extra: ClassVar[str] = "tensorflow"

    def __post_init__(self) -> None:
        require(bool(self.path), "filler=saved_model needs filler.path=/path/to/folder")
        _ = self._saved
        check_arguments(self._wiring.values(), "filler.arguments")
        super().__post_init__()

    @property
    def _folder(self) -> Path:
        return expanded(str(self.path))

    @cached_property
    def _saved(self) -> SavedModel:
        return SavedModel(self._folder, "filler", self.trust)

    @property
    def _wiring(self) -> Mapping[str, str]:
        return self.arguments or {"image": "image", "mask": "mask"}

    @property
    def title(self) -> str:
        """Name of the folder."""
        return self._folder.name

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the folder's files."""
        return self._saved.hash()

    @cached_property
    def _function(self) -> Any:
        """The function, after checking that its inputs are those that the arguments name."""
        function = self._saved.function(self.signature)
        inputs = function.structured_input_signature[1]
        require(
            set(inputs) == set(self._wiring),
            f"filler.arguments: the inputs of {self.title} are {', '.join(sorted(inputs))}, not "
            f"{', '.join(sorted(self._wiring))}",
        )
        return function

    def synthesize(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        inputs = {name: joined(part, images, hole) for name, part in self._wiring.items()}
        output = picked(self._function(**self._to_tensorflow(inputs)), self.output, "filler.output")
        filled = torch.from_numpy(output.numpy())
        return filled.permute(0, 3, 1, 2) if self.layout == "nhwc" else filled

    def _to_tensorflow(self, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
        order = (0, 2, 3, 1) if self.layout == "nhwc" else (0, 1, 2, 3)
        convert = tensorflow(NEEDER).constant
        return {
            name: convert(part.permute(order).contiguous().cpu().numpy())
            for name, part in inputs.items()
        }
