"""The three folder layouts of ImageNet's validation photos, detected by their files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from genattr.dataset.annotations import is_index, read_lines, read_text
from genattr.dataset.imagenet_boxes import SOLUTION, read_solution
from genattr.dataset.imagenet_classes import synsets
from genattr.errors import UserError, abridged, require

KAGGLE_PHOTOS, MAPPING = "ILSVRC/Data/CLS-LOC/val", "LOC_synset_mapping.txt"
FOLDERS = ("val", ".")
FLAT_PHOTOS = ("ILSVRC2012_img_val", "val", ".")
TRUTH = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
META = "ILSVRC2012_devkit_t12/data/meta.mat"
TREES = (
    f"Kaggle's tree has {KAGGLE_PHOTOS}/*.JPEG, {MAPPING} and {SOLUTION}; "
    "torchvision's has val/n01440764/*.JPEG and so on; "
    f"the devkit's has {FLAT_PHOTOS[0]}/*.JPEG, {TRUTH} and {META}"
)


@dataclass(frozen=True)
class Tree:
    """The photos of a layout and their classes.

    Attributes
    ----------
    photos
        File of each photo, by name, sorted.
    synsets
        WordNet id of each photo.
    classes
        Class index of each synset.
    source
        Name of the list of classes, for messages.
    lists
        Files that say of what class the photos are.
    """

    photos: Mapping[str, Path]
    synsets: Mapping[str, str]
    classes: Mapping[str, int]
    source: str
    lists: Sequence[Path] = ()


def find_tree(root: Path) -> Tree:
    """Read the layout in ``root``; the photos may be any part of the validation set.

    Raises
    ------
    UserError
        If there is none, or a part of it is missing or wrong.
    """
    require(root.is_dir(), f"dataset.root={root}: no such folder")
    if (root / KAGGLE_PHOTOS).is_dir():
        return _kaggle(root)
    for place in FOLDERS:
        if photos := _by_name(root / place, "n[0-9]*/*.JPEG"):
            return _class_folders(photos)
    for place in FLAT_PHOTOS:
        if photos := _by_name(root / place, "*.JPEG"):
            return _devkit(root, photos)
    raise UserError(f"dataset.root={root}: no photos of ImageNet in it; {TREES}")


def _by_name(folder: Path, pattern: str) -> dict[str, Path]:
    """Find photos; UserError if two have the same name."""
    paths = sorted(folder.glob(pattern), key=lambda path: (path.stem, path))
    for path, other in pairwise(paths):
        require(path.stem != other.stem, f"the same photo twice: {path} and {other}")
    return {path.stem: path for path in paths}


def _need(root: Path, *parts: str) -> None:
    absent = [part for part in parts if not (root / part).is_file()]
    require(not absent, f"dataset.root={root}: no {' and no '.join(absent)} in it; {TREES}")


def _kaggle(root: Path) -> Tree:
    _need(root, MAPPING, SOLUTION)
    photos = _by_name(root / KAGGLE_PHOTOS, "*.JPEG")
    require(len(photos) > 0, f"dataset.root={root}: no *.JPEG in {KAGGLE_PHOTOS}")
    solution = read_solution(root / SOLUTION)
    for name in photos:
        require(name in solution, f"{root / SOLUTION} has no line for {name}")
    listed = [line.split()[0] for line in read_lines(root / MAPPING) if line.strip()]
    twice = sorted(synset for synset, count in Counter(listed).items() if count > 1)
    require(not twice, f"{root / MAPPING}: several lines of {abridged(twice)}")
    return Tree(
        photos,
        {name: solution[name][0] for name in photos},
        {synset: index for index, synset in enumerate(listed)},
        str(root / MAPPING),
        [root / SOLUTION, root / MAPPING],
    )


def _class_folders(photos: Mapping[str, Path]) -> Tree:
    return _of_imagenet_1k(photos, {name: path.parent.name for name, path in photos.items()}, [])


def _devkit(root: Path, photos: Mapping[str, Path]) -> Tree:
    _need(root, TRUTH, META)
    truth, synset = _ground_truth(root / TRUTH), _devkit_synsets(root / META)
    photo_synsets = {}
    for name in photos:
        number = int((re.findall(r"\d+$", name) or ["0"])[0])
        require(
            1 <= number <= len(truth),
            f"photo {name}: {TRUTH} has the classes of ILSVRC2012_val_00000001 to "
            f"ILSVRC2012_val_{len(truth):08d}",
        )
        identity = truth[number - 1]
        require(identity in synset, f"{META} has no class {identity}, as {name} is")
        photo_synsets[name] = synset[identity]
    return _of_imagenet_1k(photos, photo_synsets, [root / TRUTH, root / META])


def _of_imagenet_1k(
    photos: Mapping[str, Path], photo_synsets: Mapping[str, str], lists: Sequence[Path]
) -> Tree:
    classes = {synset: index for index, synset in enumerate(synsets())}
    return Tree(photos, photo_synsets, classes, "ImageNet-1k", lists)


def _ground_truth(file: Path) -> list[int]:
    """Read one ILSVRC2012_ID per line, in the order of the photos' numbers."""
    words = read_text(file, "text", "replace").split()
    wrong = [word for word in words if not is_index(word)]
    require(not wrong, f"{file}: one number a line, not {' '.join(wrong[:1])}")
    return [int(word) for word in words]


def _devkit_synsets(file: Path) -> Mapping[int, str]:
    """Read the synset of each ILSVRC2012_ID; those above 1000 are inner nodes of WordNet."""
    from scipy.io import loadmat

    try:
        entries = np.atleast_1d(loadmat(file, squeeze_me=True)["synsets"])
        return {int(entry["ILSVRC2012_ID"]): str(entry["WNID"]) for entry in entries}
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file}: not the devkit's table of synsets ({reason})") from error
