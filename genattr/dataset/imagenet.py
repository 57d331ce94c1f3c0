"""ImageNet validation photos, in the layout of Kaggle, torchvision or the devkit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from genattr.dataset import imagenet_classes
from genattr.dataset.imagenet_boxes import ImageNetBoxes, find_boxes
from genattr.dataset.imagenet_trees import Tree, find_tree
from genattr.dataset.photo import PhotoPreprocessing, read_photo
from genattr.errors import abridged, require
from genattr.files import expanded
from genattr.types import Sample


@dataclass(frozen=True, kw_only=True)
class ImageNet(PhotoPreprocessing):
    """The validation set, or any part of it, with labels and boxes.

    Parameters
    ----------
    root
        Folder that holds one of the layouts of ``imagenet_trees``.
    annotations
        Folder of XML annotations, or a file such as ``LOC_val_solution.csv``; None: searched in
        ``root``.
    synsets
        WordNet ids of the classes whose photos count; None: all.
    """

    root: str | None
    annotations: str | None
    synsets: list[str] | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.synsets is None:
            return
        require(len(self.synsets) > 0, "dataset.synsets=[]: give at least one, or null for all")
        unknown = [synset for synset in self.synsets if synset not in imagenet_classes.synsets()]
        require(
            not unknown,
            f"dataset.synsets: {abridged(unknown)} is no class of ImageNet-1k; synset ids are "
            "like n01440764",
        )

    @cached_property
    def _root(self) -> Path:
        require(self.root is not None, "dataset=imagenet needs dataset.root=/path/to/imagenet")
        return expanded(str(self.root))

    @cached_property
    def _tree(self) -> Tree:
        return find_tree(self._root)

    @cached_property
    def _boxes(self) -> ImageNetBoxes:
        return find_boxes(self._root, self.annotations)

    @cached_property
    def ids(self) -> Sequence[str]:
        """Names of the photos that are there and count, sorted."""
        if self.synsets is None:
            return list(self._tree.photos)
        wanted = set(self.synsets)
        names = [name for name in self._tree.photos if self._tree.synsets[name] in wanted]
        require(len(names) > 0, f"dataset.root={self.root}: no photo of dataset.synsets in it")
        return names

    @cached_property
    def photo_labels(self) -> Sequence[int | None]:
        """Class of each photo; UserError if a photo is of no class."""
        return [self._class_of(name) for name in self.ids]

    @cached_property
    def has_boxes(self) -> bool:
        """Whether any photo comes with boxes."""
        return any(self._boxes.has(name) for name in self.ids)

    @property
    def n_classes(self) -> int | None:
        """ImageNet-1k's, if the tree has them all."""
        count = len(self._tree.classes)
        return count if count == imagenet_classes.COUNT else None

    @cached_property
    def class_names(self) -> Sequence[str]:
        """First name of each class; its synset id if that is not of ImageNet-1k."""
        names = dict(zip(imagenet_classes.synsets(), imagenet_classes.class_names(), strict=True))
        synsets = sorted(self._tree.classes, key=lambda synset: self._tree.classes[synset])
        return [names.get(synset, synset) for synset in synsets]

    @property
    def indexes_outputs(self) -> bool:
        """Say that an index is ImageNet's where the tree has all classes."""
        return self.n_classes is not None

    @property
    def shared_files(self) -> Sequence[Path]:
        """The layout's lists of classes, and the table of boxes."""
        return [*self._tree.lists, *([self._boxes.table] if self._boxes.table else [])]

    def files(self, index: int) -> Sequence[Path]:
        """Return the photo's file and, if there is one, its annotation."""
        name = self.ids[index]
        annotation = self._boxes.xml(name)
        return [self._tree.photos[name], *([annotation] if annotation else [])]

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, index: int, size: int) -> Sample:
        """Decode one photo; BadPhotoError if it or its annotation cannot be read."""
        name = self.ids[index]
        image = read_photo(self._tree.photos[name])
        boxes = self._boxes.of(name, self._tree.synsets[name], image.width, image.height)
        return self.sample(image, size, name, self._class_of(name), boxes)

    def _class_of(self, name: str) -> int:
        """Return the class index of a photo."""
        synset = self._tree.synsets[name]
        classes = self._tree.classes
        require(synset in classes, f"{self._tree.source} has no {synset}, as {name} is")
        return classes[synset]
