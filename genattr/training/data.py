"""Photos for training: found, reduced once to a file of pixels, cropped at random from there."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from genattr.dataset.folder import SUFFIXES
from genattr.dataset.photo import read_photo
from genattr.errors import BadPhotoError, require
from genattr.training.draws import Draws, uniform, whole

log = logging.getLogger(__name__)

LEAST_SIDE = 32  # pixels; smaller photos are skipped
CHUNK = 256  # photos that are decoded before they are written
MEMORY_SHARE = 0.4  # of a GPU's free memory that photos may take
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue
WIDEST = 224  # pixels of a photo that a crop shows at most, reduced
AS_THEY_ARE, SLIGHTLY = 0.45, 0.85  # shares of steps: crops not reduced; reduced by at most 1.25


def find(root: Path, output: Path) -> list[Path]:
    """Return the photos in a folder and all its subfolders, sorted, without our own pictures.

    Raises
    ------
    UserError
        If there is no such folder or no photo in it.
    """
    require(root.is_dir(), f"root={root}: no such folder")
    own = output.resolve()
    found = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not path.resolve().is_relative_to(own)
    )
    require(len(found) > 0, f"root={root}: no photo in it ({', '.join(sorted(SUFFIXES))})")
    return found


@dataclass(frozen=True)
class Index:
    """What a file of pixels holds.

    Attributes
    ----------
    source
        Hash of the names, sizes and times of the photos, and of how they were reduced.
    names
        The photos that could be read, by their path below the root.
    heights, widths
        Their reduced sizes in pixels.
    bad
        A line for each that was skipped.
    """

    source: str
    names: list[str]
    heights: list[int]
    widths: list[int]
    bad: list[str]


def prepare(
    paths: Sequence[Path], root: Path, folder: Path, side: int, advance: Callable[[], None]
) -> Index:
    """Write photos, reduced to a shorter side of at most ``side``, to one file of pixels.

    A file that an earlier start wrote of the same photos is taken as it is. Photos that cannot be
    read, or are smaller than 32 px, are named, counted and skipped.

    Parameters
    ----------
    advance
        Called after each photo.

    Raises
    ------
    UserError
        If no photo can be read.
    """
    source = _hash(paths, root, side)
    before = _read_index(folder)
    if before is not None and before.source == source:
        return before
    index = Index(source, [], [], [], [])
    file = folder / "photos.bin"
    temporary = file.with_suffix(".tmp")
    with temporary.open("wb") as opened:
        for path, read in _decoded(paths, side):
            advance()
            name = path.relative_to(root).as_posix()
            if isinstance(read, str):
                log.warning("skipped: %s", read)
                index.bad.append(read)
                continue
            opened.write(read.tobytes())
            index.names.append(name)
            index.heights.append(read.shape[0])
            index.widths.append(read.shape[1])
    require(len(index.names) > 0, f"root={root}: none of its {len(paths)} photos can be read")
    temporary.replace(file)
    _write_index(folder, index)
    return index


def _hash(paths: Sequence[Path], root: Path, side: int) -> str:
    digest = hashlib.blake2b(str(side).encode(), digest_size=16)
    for path in paths:
        facts = path.stat()
        name = path.relative_to(root).as_posix()
        digest.update(f"{name!a} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _read_index(folder: Path) -> Index | None:
    file = folder / "photos.json"
    if not file.is_file() or not (folder / "photos.bin").is_file():
        return None
    return Index(**json.loads(file.read_text()))


def _write_index(folder: Path, index: Index) -> None:
    temporary = folder / "photos.json.tmp"
    temporary.write_text(json.dumps(asdict(index)))
    temporary.replace(folder / "photos.json")


def read_index(folder: Path) -> Index:
    """Read what ``prepare`` wrote, in another process."""
    index = _read_index(folder)
    assert index is not None
    return index


def _decoded(paths: Sequence[Path], side: int) -> Iterator[tuple[Path, NDArray[np.uint8] | str]]:
    """Yield each photo's pixels as RGBA, or why it is skipped; some are decoded at a time."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for start in range(0, len(paths), CHUNK):
            part = paths[start : start + CHUNK]
            yield from zip(part, pool.map(_reduced, part, [side] * len(part)), strict=True)


def _reduced(path: Path, side: int) -> NDArray[np.uint8] | str:
    try:
        photo = read_photo(path)
    except BadPhotoError as error:
        return str(error)
    shorter = min(photo.size)
    if shorter < LEAST_SIDE:
        return f"{path}: {photo.width} x {photo.height} px, less than {LEAST_SIDE}"
    if shorter > side:
        size = (round(photo.width * side / shorter), round(photo.height * side / shorter))
        photo = photo.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(photo.convert("RGBA"))


class Photos:
    """Photos as one flat tensor of pixels, from which crops are gathered.

    Parameters
    ----------
    pixels
        (P,) int32, each the bytes R, G, B, A; where it lies is where crops are cut.
    heights, widths
        (N,) sizes in pixels.
    offsets
        (N,) where each photo begins.
    device
        Where crops are wanted.
    """

    def __init__(
        self,
        pixels: Tensor,
        heights: NDArray[np.int64],
        widths: NDArray[np.int64],
        offsets: NDArray[np.int64],
        device: torch.device,
    ) -> None:
        order = np.argsort(np.minimum(heights, widths), kind="stable")
        self._pixels, self._device = pixels, device
        self._shorter = np.minimum(heights, widths)[order]
        self._heights, self._widths, self._offsets = (
            torch.from_numpy(values[order]).to(pixels.device)
            for values in (heights, widths, offsets)
        )

    def __len__(self) -> int:
        return len(self._shorter)

    @property
    def source(self) -> torch.device:
        """Where crops are cut, and where ``crops`` wants its numbers drawn."""
        return self._pixels.device

    def crops(self, count: int, side: int, gray: float, draws: Draws) -> Tensor:
        """Cut and mirror crops at random, of photos that are large enough for what they show.

        Parameters
        ----------
        side
            Of the crops, in pixels; what they show may be larger, and is then reduced.
        gray
            Share of them without color.

        Returns
        -------
        (count, 3, side, side) float in [-1, 1], on the device.
        """
        shown = min(_shown(side, draws.host), int(self._shorter[-1]))
        cut = self._cut(count, shown, draws.generator)
        colorless = uniform(draws.generator, count) < gray
        return _finished(cut.to(self._device), side, colorless.to(self._device))

    def _cut(self, count: int, shown: int, generator: torch.Generator) -> Tensor:
        """Gather (count, shown, shown, 3) uint8, mirrored or not."""
        first = int(np.searchsorted(self._shorter, shown))
        photo = whole(generator, count, low=first, high=len(self))
        height, width = self._heights[photo], self._widths[photo]
        top = (uniform(generator, count) * (height - shown + 1)).long()
        left = (uniform(generator, count) * (width - shown + 1)).long()
        line = torch.arange(shown, device=self.source)
        mirrored = uniform(generator, count, 1) < 0.5
        columns = torch.where(mirrored, shown - 1 - line, line) + left[:, None]
        rows = (line + top[:, None]) * width[:, None] + self._offsets[photo][:, None]
        places = rows[:, :, None] + columns[:, None, :]
        bytes_of = self._pixels[places.view(-1)].view(torch.uint8)
        return bytes_of.view(count, shown, shown, 4)[..., :3]


def _shown(side: int, host: np.random.Generator) -> int:
    """Draw how many pixels of a photo a crop shows: as many, a few more, or up to 224."""
    kind, widest = host.random(), max(WIDEST, side)
    if kind < AS_THEY_ARE or side >= WIDEST * 3 // 4:
        return side
    return int(host.uniform(side, 1.25 * side if kind < SLIGHTLY else widest))


def _finished(cut: Tensor, side: int, colorless: Tensor) -> Tensor:
    """Turn (N, S, S, 3) bytes into (N, 3, side, side) in [-1, 1], some of them without color."""
    images = cut.permute(0, 3, 1, 2).float() / 127.5 - 1
    if images.shape[-1] != side:
        images = functional.interpolate(
            images, (side, side), mode="bilinear", align_corners=False, antialias=True
        )
    return torch.where(colorless[:, None, None, None], without_color(images), images)


def without_color(images: Tensor) -> Tensor:
    """Return the luma of (N, 3, H, W) images in all three channels."""
    weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True).expand_as(images)


def load(folder: Path, held_out: int, device: torch.device, side: int) -> tuple[Photos, Tensor]:
    """Open the file of pixels, and hold a few photos out.

    Parameters
    ----------
    held_out
        How many; a tenth of the photos at most. A hash of the name chooses them.
    side
        Of the photos held out, in pixels: the central squares.

    Returns
    -------
    The photos to train on; those held out, (M, 3, side, side) in [-1, 1], or one that is trained
    on where there are too few to hold any out.
    """
    index = read_index(folder)
    heights, widths = (np.array(sizes, np.int64) for sizes in (index.heights, index.widths))
    areas = heights * widths
    offsets = np.concatenate([[0], areas.cumsum()[:-1]])
    pixels = torch.from_numpy(np.memmap(folder / "photos.bin", np.int32, "c"))
    ordered = sorted(range(len(areas)), key=lambda place: _shuffling(index.names[place]))
    count = min(held_out, len(areas) // 10)
    aside = ordered[: max(count, 1)]
    squares = [
        _square(pixels, int(heights[place]), int(widths[place]), int(offsets[place]), side)
        for place in aside
    ]
    trained = np.array(sorted(ordered[count:]))
    photos = Photos(
        _near(pixels, device), heights[trained], widths[trained], offsets[trained], device
    )
    return photos, torch.cat(squares)


def _shuffling(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="surrogateescape")).digest()


def _near(pixels: Tensor, device: torch.device) -> Tensor:
    """Move pixels to a GPU whose free memory holds them well."""
    if device.type != "cuda":
        return pixels
    free, _ = torch.cuda.mem_get_info(device)
    return pixels.to(device) if pixels.numel() * 4 < MEMORY_SHARE * free else pixels


def _square(pixels: Tensor, height: int, width: int, offset: int, side: int) -> Tensor:
    """Return a photo's central square, (1, 3, side, side) in [-1, 1]."""
    photo = pixels[offset : offset + height * width].view(torch.uint8).view(height, width, 4)
    shown = min(height, width)
    top, left = (height - shown) // 2, (width - shown) // 2
    square = photo[None, top : top + shown, left : left + shown, :3]
    return _finished(square, side, torch.zeros(1, dtype=torch.bool))
