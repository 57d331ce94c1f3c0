"""What a run reads, hashed: a finished member of a sweep is done for good only while it stays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from genattr.components import identity
from genattr.errors import BadPhotoError
from genattr.files import regular
from genattr.run.selection import candidates
from genattr.run.study import Study
from genattr.store.heatmaps import ALGORITHM_VERSION


def digest(study: Study) -> dict[str, str]:
    """Hash the contents of what determines a run's results beside its configuration.

    Opens the files of all photos that the run may choose; each is read once by a process, unless
    it changes.

    Returns
    -------
    A hash of each kind of input, by its name for people.
    """
    photos = candidates(study.dataset, study.cfg.selection)
    parts: dict[str, Iterable[Any]] = {
        "photos": (_photo(study, index) for index in photos),
        "labels, boxes or classes": _labels(study, photos),
        "masks or label maps": _beside(study, photos),
        "weights or code": _components(study),
    }
    return {name: _hash(values) for name, values in parts.items()}


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> Sequence[str]:
    """Name the kinds of input that differ."""
    return [name for name in now if before.get(name) != now[name]]


def _labels(study: Study, photos: Sequence[int]) -> Iterator[Any]:
    ids, labels = study.dataset.ids, study.dataset.label_sets
    yield {ids[index]: list(labels[index]) for index in photos if labels[index]}
    yield from _files(study.dataset.shared_files)
    yield [study.dataset.class_names, list(study.classifier.labels)]


def _beside(study: Study, photos: Sequence[int]) -> Iterator[Any]:
    components = study.components
    for image_id in (study.dataset.ids[index] for index in photos):
        for key, component in components.items():
            if files := _files(component.files_beside(image_id)):
                yield [image_id, key, files]


def _components(study: Study) -> Iterator[Any]:
    yield ALGORITHM_VERSION
    yield from map(identity, (study.classifier, study.filler, study.method))
    yield from map(identity, study.metrics.values())


def _photo(study: Study, index: int) -> list[Any]:
    """Describe a photo by its name and its files, or else by what the dataset makes of it."""
    files = _files(study.dataset.files(index))
    return [study.dataset.ids[index], *(files or _loaded(study, index))]


def _loaded(study: Study, index: int) -> list[Any]:
    try:
        sample = study.dataset.load(index, study.classifier.input_size)
    except BadPhotoError as error:
        return [str(error)]
    boxes = None if sample.boxes is None else sample.boxes.tolist()
    pixels = hashlib.sha256(sample.image.contiguous().numpy().tobytes()).hexdigest()
    return [pixels, sample.label, boxes, sample.native_size]


def _files(paths: Sequence[Path]) -> list[Any]:
    return [[path.name, content(path)] for path in paths]


def content(path: Path) -> str | None:
    """Hash a file, once as long as it stays as it is; None if it cannot be read."""
    try:
        state = path.stat()
        return _content(path, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    except OSError:
        return None


@cache
def _content(path: Path, *_: int) -> str:
    with regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(values: Iterable[Any]) -> str:
    """Hash values one by one, so that memory does not grow with the number of photos."""
    total = hashlib.sha256()
    for value in values:
        total.update(json.dumps(value, sort_keys=True, default=str).encode() + b"\n")
    return total.hexdigest()
