"""Networks from the user's files: what is told about them, and whether their images agree.

The checks change no image. Each looks at the first photos only, until one has settled it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NoReturn

from torch import Tensor

from genattr.errors import UserError, require
from genattr.filler import evidence
from genattr.filler.inpainting import Convention, Inpainter
from genattr.parameters import Pixels

Range = tuple[float, float]
TRIES = 3  # photos that may leave a question open


@dataclass(frozen=True, kw_only=True)
class CheckedInpainter(Inpainter):
    """A network that comes from elsewhere.

    Its images are refused where they are far outside of the range that is told. If it gives back
    the kept pixels, as most do, they have to be in this range; and if it does so with the other
    polarity of the mask alone, that is told.

    Parameters
    ----------
    output_range
        Of the pixels that the network gives, from black to white. None: as of those that it takes.
    """

    output_range: Range | None

    @property
    @abstractmethod
    def source(self) -> str:
        """The key and value that name the network, for messages."""

    @property
    def other_mask(self) -> str:
        """The keys for a mask of the other polarity, for messages."""
        return "filler=torchscript filler.mask=keep"

    @property
    def range_keys(self) -> str:
        """The keys that may tell a wrong range, for messages."""
        return "filler.output_range"

    @property
    def idle(self) -> Sequence[str]:
        return ("output_range",) if self.told == (self.convention.low, self.convention.high) else ()

    @property
    def told(self) -> Range:
        """What is said of the pixels that the network gives: a black and a white one."""
        return self.convention.output or (self.convention.low, self.convention.high)

    @cached_property
    def _open(self) -> dict[str, int]:
        """The questions that no photo has settled yet, each with the tries that are left."""
        return dict.fromkeys(("range", "black", "mask"), TRIES)

    def _settle(self, question: str, *, settled: bool) -> None:
        self._open[question] = 0 if settled else self._open[question] - 1

    def _run(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        filled = super()._run(images, hole, seeds)
        recognizable = any(self._open.values()) and evidence.can_be_recognized(images, hole)
        if recognizable and self._open["range"]:
            self._check_range(images, hole, filled)
        if evidence.excess(filled, hole) > evidence.OUTSIDE:
            self._refuse_holes(hole, filled)
        if recognizable and self._open["black"] and evidence.is_bright_around(images, hole):
            self._check_black(hole, filled)
        if recognizable and self._open["mask"]:
            self._check_mask(images, hole, filled, seeds)
        return filled

    def _check_range(self, images: Tensor, hole: Tensor, filled: Tensor) -> None:
        """Compare the kept pixels before and after."""
        ends = evidence.ends(images, hole, filled)
        if ends is not None and max(abs(ends[0]), abs(ends[1] - 1)) > evidence.ENDS:
            self._refuse("kept pixels", ends, exact=True)
        self._settle("range", settled=ends is not None)

    def _check_black(self, hole: Tensor, filled: Tensor) -> None:
        """Look for black holes with traces of something, where nothing around them is dark."""
        if evidence.is_faint(filled, hole):
            self._refuse_holes(hole, filled)
        self._settle("black", settled=True)

    def _refuse_holes(self, hole: Tensor, filled: Tensor) -> NoReturn:
        inside = filled[hole.expand_as(filled)]
        self._refuse("holes", (float(inside.min()), float(inside.max())), exact=False)

    def _refuse(self, where: str, ends: evidence.Ends, *, exact: bool) -> NoReturn:
        """Tell what is given where 0 to 1 is told."""
        low, high = self.told
        black, white = (round(low + end * (high - low), 2) + 0.0 for end in ends)
        likely = evidence.likely_range((black, white), exact=exact)
        is_range = likely is not None and likely[1] > likely[0]
        hint = f", such as [{likely[0]:g},{likely[1]:g}]" if likely and is_range else ""
        raise UserError(
            f"{self.source} gives {where} from about {black:g} to {white:g}, far from the told "
            f"{low:g} to {high:g}: set {self.range_keys}{hint}"
        )

    def _check_mask(
        self, images: Tensor, hole: Tensor, filled: Tensor, seeds: Sequence[int]
    ) -> None:
        """Ask again with the other polarity if the hole comes back as blank as it was shown."""
        blank = self.convention.blank
        if not evidence.stands_out(images, hole, blank):
            return
        if not evidence.is_blank(filled, hole, blank):
            self._settle("mask", settled=True)
            return
        other = replace(self.convention, keep=not self.convention.keep)
        turned = self._ask(images, hole, seeds, other)
        keeps = evidence.ends(images, hole, turned) is not None
        require(
            not keeps or evidence.is_blank(turned, hole, blank),
            f"{self.source} leaves the hole blank; with the mask the other way round it fills the "
            f"hole and keeps the rest: use {self.other_mask}",
        )
        self._settle("mask", settled=keeps)


@dataclass(frozen=True, kw_only=True)
class DescribedInpainter(CheckedInpainter):
    """A network from a file, whose conventions its keys tell.

    Parameters
    ----------
    path
        The file or folder with the network.
    value_range
        Of the pixels that the network takes, from black to white.
    channels
        ``rgb`` or ``bgr``.
    mask
        ``hole``: 1 where the photo is removed; ``keep``: 1 where it is kept.
    blank
        Value of the input image in the hole, between 0 = black and 1 = white.
    multiple
        Height and width of its inputs must be multiples of it.
    """

    path: str | None = field(metadata={"identity": False})
    value_range: Range
    channels: Literal["rgb", "bgr"]
    mask: Literal["hole", "keep"]
    blank: float
    multiple: Pixels

    @property
    def source(self) -> str:
        return f"filler.path={self.path}"

    @property
    def other_mask(self) -> str:
        return f"filler.mask={'keep' if self.mask == 'hole' else 'hole'}"

    @property
    def range_keys(self) -> str:
        return "filler.output_range, or filler.value_range if it takes the same"

    @property
    def convention(self) -> Convention:
        """What the keys tell; UserError if a range is empty."""
        low, high = rising("value_range", self.value_range)
        output = None if self.output_range is None else rising("output_range", self.output_range)
        return Convention(
            low,
            high,
            bgr=self.channels == "bgr",
            keep=self.mask == "keep",
            multiple=self.multiple,
            blank=self.blank,
            output=output,
        )


def rising(key: str, ends: Range) -> Range:
    """Return a range as a tuple; UserError unless it rises."""
    low, high = ends
    require(low < high, f"filler.{key}={ends}: black must be below white")
    return low, high
