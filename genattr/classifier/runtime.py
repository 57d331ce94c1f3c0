"""Base of classifiers that another runtime than PyTorch computes: probabilities, no gradient."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor, nn

from genattr.classifier.base import NetworkClassifier, Side
from genattr.errors import UserError, first_line, require
from genattr.files import expanded

Array = NDArray[Any]
Layout = Literal["nchw", "nhwc"]
ANY: Sequence[int | None] = (None,) * 4  # sizes of an input that tells none
CHANNELS = (1, 3)
REASON = 200  # characters; some runtimes tell all that they know


@dataclass(frozen=True)
class Port:
    """What a network of another runtime takes.

    Attributes
    ----------
    shape
        Sizes of the axes, None where any is taken; images have four.
    dtype
        NumPy's type of its numbers.
    """

    shape: Sequence[int | None]
    dtype: DTypeLike

    @property
    def rows(self) -> int | None:
        """How many images it takes at once; None: any number."""
        return self.shape[0]

    @property
    def layout(self) -> Layout | None:
        """Whether channels come first or last; None: its sizes do not tell."""
        first, last = (self.shape[axis] in CHANNELS for axis in (1, 3))
        if first == last:
            return None
        return "nchw" if first else "nhwc"

    def sides(self, layout: Layout) -> Sequence[int]:
        """Return the heights and widths that alone are taken; none: any."""
        sides = self.shape[2:] if layout == "nchw" else self.shape[1:3]
        return [side for side in sides if side is not None]

    def adapted(self, images: Array, layout: Layout) -> Array:
        """Turn (B, 3, D, D) floats into the network's layout and type."""
        images = images if layout == "nchw" else images.transpose(0, 2, 3, 1)
        if np.issubdtype(self.dtype, np.integer):
            low, high = np.iinfo(self.dtype).min, np.iinfo(self.dtype).max
            images = np.rint(images)
            require(
                bool((images >= low).all() and (images <= high).all()),
                f"the network takes whole numbers from {low} to {high}: give classifier.mean=[0] "
                "and classifier.std=[0.003921569] for RGB from 0 to 255",
            )
        return np.ascontiguousarray(images, dtype=self.dtype)


Run = Callable[[Array], Mapping[str, Array]]


class RuntimeNetwork(nn.Module):
    """A network of another runtime as a PyTorch module, without weights and gradient.

    Parameters
    ----------
    run
        Maps an array as the port takes it to the outputs by their names.
    port
        What it takes.
    layout
        Whether channels come first or last.
    """

    def __init__(self, run: Run, port: Port, layout: Layout) -> None:
        super().__init__()
        self.run, self.port, self.layout = run, port, layout

    def __deepcopy__(self, memo: object) -> RuntimeNetwork:
        return self  # it never changes, and runtimes do not copy what they have loaded

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor | dict[str, Tensor]:
        """Return the output, or several by their names, in single precision."""
        array = self.port.adapted(images.detach().float().cpu().numpy(), self.layout)
        parts = [self.run(part) for part in self._batches(array)]
        outputs = {
            name: torch.from_numpy(_plain(np.concatenate([part[name] for part in parts])))
            for name in parts[0]
        }
        placed = {name: output[: len(images)].to(images.device) for name, output in outputs.items()}
        return placed if len(placed) > 1 else next(iter(placed.values()))

    def _batches(self, array: Array) -> Iterator[Array]:
        """Yield batches of the size that the network takes, the last row repeated to fill up."""
        rows = self.port.rows or len(array)
        for start in range(0, len(array), rows):
            batch = array[start : start + rows]
            yield np.concatenate([batch, *[batch[-1:]] * (rows - len(batch))])


def _plain(array: Array) -> Array:
    """Return floats in single precision, and whole numbers as they are."""
    return array.astype(np.float32) if array.dtype.kind not in "iub" else array


@dataclass(frozen=True, kw_only=True)
class RuntimeClassifier(NetworkClassifier):
    """A network of another runtime; a subclass opens its file.

    Parameters
    ----------
    path
        The file or folder with the network.
    layout
        Of its input: ``nchw`` or ``nhwc``. None: as the sizes of the input tell, or as is usual.
    input_size
        None: the network's own.
    """

    has_gradient: ClassVar[bool] = False
    in_pytorch: ClassVar[bool] = False
    usual_layout: ClassVar[Layout] = "nhwc"

    path: str | None = field(metadata={"identity": False})
    layout: Layout | None
    input_size: Side | None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        require(bool(self.path), f"classifier={self.option} needs classifier.path=/path/to/it")
        require(
            self.file.is_file() or self.file.is_dir(),
            f"classifier.path={self.path}: no such file or folder",
        )
        if self.layout is None:
            object.__setattr__(self, "layout", self._port.layout or self.usual_layout)
        super().__post_init__()
        object.__setattr__(self, "input_size", self._side())

    def _side(self) -> int:
        """Return the side of the images; UserError if the network does not take such images."""
        assert self.layout is not None
        sides = self._port.sides(self.layout)
        side = sides[0] if sides else self.input_size
        if side is None:
            raise UserError(
                f"classifier.input_size: {self.title} takes images of any size: give "
                "classifier.input_size=224"
            )
        own = f"{self.title} takes images of {' x '.join(map(str, sides))} pixels"
        require(set(sides) <= {side}, f"classifier.path={self.path}: {own}, which are no squares")
        require(self.input_size in (None, side), f"classifier.input_size={self.input_size}: {own}")
        return side

    @property
    def file(self) -> Path:
        """The file or folder."""
        return expanded(str(self.path))

    @property
    def title(self) -> str:
        return self.file.stem

    @property
    def network(self) -> None:
        """None: there are no layers to look into."""

    @abstractmethod
    def open(self) -> tuple[Run, Port]:
        """Load the file or folder; any error but UserError is told as that it is none."""

    @cached_property
    def _opened(self) -> tuple[Run, Port]:
        try:
            run, port = self.open()
        except UserError:
            raise
        except Exception as error:  # each runtime has its own
            raise UserError(
                f"classifier.path={self.path}: not as classifier={self.option} takes it: "
                f"{shorten(first_line(error), REASON)}"
            ) from error
        axes = len(port.shape)
        require(axes == 4, f"classifier.path={self.path}: its input has {axes} axes, not four")
        return run, port

    @property
    def _port(self) -> Port:
        return self._opened[1]

    def build(self) -> nn.Module:
        assert self.layout is not None
        return RuntimeNetwork(*self._opened, self.layout)

    @abstractmethod
    def hash_of(self, network: nn.Module) -> str:
        """Hash the file or folder."""


def only(inputs: Sequence[Any], names: Sequence[str], path: str | None) -> Any:
    """Return a network's single input; UserError names them if there are several."""
    require(
        len(inputs) == 1,
        f"classifier.path={path}: one input is needed, and it has {', '.join(names) or 'none'}",
    )
    return inputs[0]
