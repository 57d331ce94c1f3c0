"""A few photos of a run, kept in its folder so that pictures can be drawn from the folder alone."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from genattr.plot.parts import Column, Photo, Pixels
from genattr.results.summary import Summary, heads, load_summary
from genattr.store import archive
from genattr.tracking.base import Example
from genattr.types import Heatmap, Sample

MOST = 32
MOST_VARIED = 4  # photos whose heatmaps under several values are kept
FILE = "examples.npz"


def photo_key(image_id: str, target: int) -> str:
    """Name a photo and the class that is explained on it."""
    return f"{image_id} → {target}"


@dataclass(frozen=True)
class Seen:
    """An image that the classifier was asked about, and what it said.

    Attributes
    ----------
    image
        (3, D, D) in [0, 1].
    score
        The target's probability on it.
    """

    image: Tensor
    score: float


class Examples:
    """The first photos of a run, up to 32."""

    def __init__(self) -> None:
        self._kept: list[tuple[tuple[int, int], Photo]] = []
        self._removed: dict[str, Photo] = {}
        self._samples: dict[str, Photo] = {}

    @property
    def photos(self) -> list[Photo]:
        """The kept photos, in the run's order."""
        return [photo for _, photo in self._kept]

    def wants(self, place: tuple[int, int]) -> bool:
        """Whether a photo at that position of the run is among the first."""
        return len(self._kept) < MOST or place < self._kept[-1][0]

    def add(
        self,
        place: tuple[int, int],
        sample: Sample,
        target: int,
        label: str,
        score: float,
        removed: Seen | None = None,
        sample_seen: Seen | None = None,
        explained: str = "",
    ) -> None:
        """Keep a photo unless there are enough before it.

        Parameters
        ----------
        place
            Its position among the run's photos.
        removed
            The photo without what the method removes in the end, to be shown beside it.
        sample_seen
            One of the perturbed photos that the method asked about, for the strip of samples.
        explained
            The explained quantity if it is not the probability, for people: "logit = 4.2".
        """
        if not self.wants(place):
            return
        boxes = None if sample.boxes is None else sample.boxes.numpy()
        title = " · ".join(filter(None, (sample.image_id, label, f"p = {score:.2f}", explained)))
        photo = Photo(photo_key(sample.image_id, target), pixels(sample.image), boxes, title)
        insort(self._kept, (place, photo), key=lambda kept: kept[0])
        del self._kept[MOST:]
        for seen, kept in ((removed, self._removed), (sample_seen, self._samples)):
            if seen is not None:
                caption = f"p = {seen.score:.2g}"
                kept[photo.image_id] = Photo(photo.image_id, pixels(seen.image), None, caption)

    def join(self, others: Examples) -> None:
        """Take in the first of other photos of the run; of all, the first are kept."""
        both = [*self._kept, *others._kept]
        self._kept = sorted(both, key=lambda kept: kept[0])[:MOST]
        self._removed |= others._removed
        self._samples |= others._samples

    def save(
        self, folder: Path, captions: Mapping[str, str], varied: Mapping[str, Sequence[Heatmap]]
    ) -> Path:
        """Write the photos, their boxes and the captions of their heatmaps.

        Parameters
        ----------
        varied
            Heatmaps of the first photos under each value of a setting; empty: nothing varies.
        """
        boxes = [photo.boxes for photo in self.photos]
        counts = [-1 if photo_boxes is None else len(photo_boxes) for photo_boxes in boxes]
        joined = [photo_boxes for photo_boxes in boxes if photo_boxes is not None]
        path = folder / FILE
        np.savez_compressed(
            path,
            images=np.stack([photo.image for photo in self.photos]),
            keys=np.array([photo.image_id for photo in self.photos]),
            titles=np.array([photo.title for photo in self.photos]),
            captions=np.array([captions.get(photo.image_id, "") for photo in self.photos]),
            box_counts=np.array(counts),
            boxes=np.concatenate(joined) if joined else np.zeros((0, 4), dtype=np.float32),
            **self._seen("removed", self._removed),
            **self._seen("sample", self._samples),
            varied_values=np.array(list(varied)),
            varied_keys=np.array([_keys(heatmaps) for heatmaps in varied.values()]),
            varied_maps=np.array([self._maps(heatmaps) for heatmaps in varied.values()]),
        )
        return path

    def _seen(self, name: str, kept: Mapping[str, Photo]) -> dict[str, Any]:
        """Return images of the kept photos as arrays under a name, in the photos' order."""
        shown = [kept[photo.image_id] for photo in self.photos if photo.image_id in kept]
        return {
            f"{name}_keys": np.array([photo.image_id for photo in shown]),
            f"{name}_images": np.array([photo.image for photo in shown]),
            f"{name}_captions": np.array([photo.title for photo in shown]),
        }

    def _maps(self, heatmaps: Sequence[Heatmap]) -> list[NDArray[np.float32]]:
        size = len(self.photos[0].image)
        return [heatmap.to_image(size).numpy() for heatmap in heatmaps]


def load_photos(folder: Path) -> list[Photo]:
    """Read the photos that a run kept."""
    data = _arrays(folder)
    photos, start = [], 0
    for index, count in enumerate(data["box_counts"].tolist()):
        boxes = None if count < 0 else data["boxes"][start : start + count]
        start += max(count, 0)
        key, title = str(data["keys"][index]), str(data["titles"][index])
        photos.append(Photo(key, data["images"][index], boxes, title))
    return photos


def load_column(folder: Path, summary: Summary, photos: Mapping[str, Photo]) -> Column:
    """Read the heatmaps of the photos that a run kept.

    Parameters
    ----------
    photos
        The photos that are shown, by ``image_id``: each heatmap comes at the size of its photo.
    """
    data = _arrays(folder)
    keys = data["keys"].tolist()
    wanted = set(keys) & set(photos)
    heatmaps: dict[str, NDArray[np.float32]] = {}
    with closing(archive.read(folder / "heatmaps.npz")) as stored:
        for heatmap in stored:
            key = photo_key(heatmap.image_id, heatmap.target)
            if key in wanted:
                heatmaps[key] = heatmap.to_image(len(photos[key].image)).numpy()
            if len(heatmaps) == len(wanted):
                break
    captions = dict(zip(keys, data["captions"].tolist(), strict=True))
    return Column(summary.name, summary.subtitle, heatmaps, captions, colors=summary.map_colors)


def load_varied(folder: Path) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Read the (D, D) heatmaps under each value of a setting, by value and by photo.

    Empty where the run did not vary a setting by itself.
    """
    data = _arrays(folder) if (folder / FILE).is_file() else {}
    parts = [data[f"varied_{name}"] for name in ("values", "keys", "maps") if "varied_keys" in data]
    return {
        str(value): dict(zip(keys.tolist(), maps, strict=True))
        for value, keys, maps in zip(*parts, strict=True)
    }


def removed_column(folder: Path) -> Column | None:
    """Read the photos without what the method removed, if the run kept them."""
    return _seen_column(folder, "removed", "without it", "what the classifier sees in the end")


def _seen_column(folder: Path, name: str, title: str, subtitle: str) -> Column | None:
    data = _arrays(folder)
    keys = data.get(f"{name}_keys", np.zeros(0)).tolist()
    if not keys:
        return None
    images = dict(zip(keys, data[f"{name}_images"], strict=True))
    captions = dict(zip(keys, data[f"{name}_captions"].tolist(), strict=True))
    return Column(title, subtitle, {}, captions, images)


def draw_samples(folders: Sequence[Path], path: Path, *, title: str) -> Path | None:
    """Draw one perturbed photo of each run, with its probability, beside the photo (Figure 1).

    Returns
    -------
    ``path``; None where no run kept a sample.
    """
    summaries = [load_summary(folder) for folder in folders]
    found = [
        _seen_column(folder, "sample", name, "what the classifier saw")
        for folder, (name, _) in zip(folders, heads(summaries), strict=True)
    ]
    columns = [column for column in found if column is not None]
    photos = {photo.image_id: photo for folder in folders for photo in load_photos(folder)}
    shown = [photo for key, photo in photos.items() if any(key in one.images for one in columns)]
    if not shown:
        return None
    from genattr.plot.figures import heatmap_grid

    return heatmap_grid(shown, columns, path, title=title)


def draw(
    folders: Sequence[Path], path: Path, *, title: str, note: str, most: int | None = None
) -> Path:
    """Draw photos and heatmaps of one or several runs side by side.

    A photo that runs kept at different sizes is shown at the last one's.

    Parameters
    ----------
    most
        Maximum number of photos; None: all that were kept.
    """
    from genattr.plot.figures import heatmap_grid

    summaries = [load_summary(folder) for folder in folders]
    kept = {photo.image_id: photo for folder in folders for photo in load_photos(folder)}
    photos = dict(list(kept.items())[:most])
    shown: list[Column] = []
    for folder, summary, (name, subtitle) in zip(folders, summaries, heads(summaries), strict=True):
        column = replace(load_column(folder, summary, photos), title=name, subtitle=subtitle)
        shown += filter(None, (column, removed_column(folder)))
    return heatmap_grid(list(photos.values()), shown, path, title=title, note=note)


def examples(folder: Path, summary: Summary) -> list[Example]:
    """Return the kept photos as the tracking store shows them."""
    from genattr.plot.figures import overlay

    photos = {photo.image_id: photo for photo in load_photos(folder)}
    column = load_column(folder, summary, photos)
    return [
        Example(
            photo.title,
            step,
            photo.image,
            overlay(photo.image, column.heatmaps[key], column.colors),
        )
        for step, (key, photo) in enumerate(photos.items())
    ]


def _arrays(folder: Path) -> dict[str, NDArray[Any]]:
    with np.load(folder / FILE, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def _keys(heatmaps: Sequence[Heatmap]) -> list[str]:
    return [photo_key(heatmap.image_id, heatmap.target) for heatmap in heatmaps]


def pixels(image: Tensor) -> Pixels:
    """Turn a (3, D, D) image in [0, 1] into (D, D, 3) uint8."""
    array: Pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
    return array
