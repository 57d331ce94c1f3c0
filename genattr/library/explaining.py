"""``genattr.explain``: heatmaps of images, as a command makes them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genattr.classifier.matching import named
from genattr.console import Progress
from genattr.dataset.given import Given
from genattr.errors import BadPhotoError, UserError, did_you_mean, nearest, require
from genattr.library.call import call_of
from genattr.library.components import shown
from genattr.library.door import door
from genattr.library.heatmap import Heatmap, with_origin
from genattr.library.pictures import boxes_of, pictures_of
from genattr.library.progress import waiting
from genattr.library.studies import Choice, study_of
from genattr.protocols import Classifier
from genattr.run import tasks
from genattr.run.selection import Chosen
from genattr.run.study import Study
from genattr.run.tasks import Task
from genattr.run.worker import Explainer
from genattr.scoring import Counts
from genattr.types import Heatmap as PlainHeatmap


@door
def explain(
    image: Any,
    model: Any = "efficientnet_lite0",
    target: Any = None,
    method: Choice = "sp-g",
    filler: Choice | None = None,
    *,
    boxes: Any = None,
    store: str | Path | None = None,
    progress: bool = True,
    **keys: Any,
) -> Heatmap | list[Heatmap]:
    """Explain what a classifier says of images; the numbers are those of the command.

    Parameters
    ----------
    image
        A path, an image of Pillow, an (H, W, 3) array of uint8 or of floats in [0, 1], or a
        (3, H, W) tensor in [0, 1], not normalized. Several: a list, a folder, an (N, 3, H, W)
        tensor or an (N, H, W, 3) array. One of the classifier's size keeps its bits.
    model
        The name of an option of ``conf/classifier``, a component, a PyTorch module, or a function
        of (B, 3, D, D) normalized images that gives (B, classes). A module is copied: it stays as
        it is.
    target
        The class: its index or its name; None: the classifier's first choice. For several images
        also a list with one for each.
    method, filler
        The name of an option, or a component. ``filler=None``: the method's own.
    boxes
        Of the object in one image, for methods that need some: (4,) or (k, 4) corners x0, y0, x1,
        y1 in pixels of the upright image, half-open.
    store
        A folder that keeps heatmaps, and finds them again; None: nothing is written.
    progress
        Show a bar for what takes longer than a second.
    **keys
        The method's parameters; settings: ``explain``, ``seed``, ``batch_size``, ``precision``,
        ``engine``, ``threads``, ``device``, ``protocol``, ``trust``; how photos are resized:
        ``preprocess``, ``resize``, ``crop``, ``interpolation``; of a module or a function:
        ``input_size``, ``mean``, ``std``, ``outputs``, ``output``, ``channels``, ``labels``.

    Returns
    -------
    One heatmap for one image, else a list in the images' order.

    Raises
    ------
    UserError
        If an argument is wrong; it is a ValueError too.
    """
    pictures, are_several = pictures_of(image)
    if boxes is not None:
        require(not are_several, "boxes: give them with one image")
        pictures = [replace(pictures[0], boxes=boxes_of(boxes))]
    given = {"model": model, "target": target, "method": method, "filler": filler, **keys}
    call = call_of(image, {name: value for name, value in given.items() if value is not None})
    with waiting(len(pictures), shown=progress) as bar:
        study = study_of(pictures, model, method, filler, store, keys)
        study = with_targets(study, target, are_several)
        heatmaps = explained(study, bar.begin(study.title, study.cost), call)
    return heatmaps if are_several else heatmaps[0]


def explained(study: Study, progress: Progress, call: str) -> list[Heatmap]:
    """Explain all images of a study, in their order."""
    collector = Collector(study, progress, call)
    collector.explain(Chosen(list(range(len(study.dataset))), []))
    return collector.heatmaps


class Collector(Explainer):
    """Keeps heatmaps as they come; an image that cannot be read ends the work."""

    def __init__(self, study: Study, progress: Progress, call: str) -> None:
        super().__init__(study, Counts(progress.scored))
        self._progress, self._call = progress, call
        self._found: dict[tuple[int, int], Heatmap] = {}

    @property
    def heatmaps(self) -> list[Heatmap]:
        """The heatmaps in the images' order."""
        return [heatmap for _, heatmap in sorted(self._found.items(), key=lambda item: item[0])]

    def finish(self, task: Task, heatmap: PlainHeatmap) -> None:
        self._found[task.place] = with_origin(heatmap, task.probe.sample, self._study, self._call)
        self._progress.finished(task.counts.scored)

    def skip(self, error: BadPhotoError, heatmaps: int) -> None:
        raise UserError(f"image={error}") from error.__cause__


def with_targets(study: Study, target: Any, are_several: bool) -> Study:
    """Return the study of these classes; None: of the classifier's first choices."""
    if target is None:
        return study
    assert isinstance(study.dataset, Given)
    count = len(study.dataset)
    targets = list(target) if _is_list(target) else [target] * count
    require(
        len(targets) == count and (are_several or not _is_list(target)),
        f"target={shown(target)}: {len(targets)} classes for {count} images: give one class, or "
        "one for each of several images",
    )
    labels = [
        first_choice(study, place) if one is None else index_of(one, study.classifier)
        for place, one in enumerate(targets)
    ]
    cfg = study.cfg.copy()
    cfg.target = "label"
    return replace(study, cfg=cfg, dataset=study.dataset.labeled(labels))


def first_choice(study: Study, place: int) -> int:
    """Return the class that the classifier names first for an image."""
    return tasks.targets(study, study.photos.load(place, study.classifier.input_size))[0]


def _is_list(target: Any) -> bool:
    is_list = isinstance(target, Sequence) and not isinstance(target, str)
    return is_list or (hasattr(target, "tolist") and len(target.shape) == 1)


def index_of(target: Any, classifier: Classifier) -> int:
    """Return the index of a class, given by its index or its name."""
    if isinstance(target, str):
        try:
            return named(target, classifier.labels)
        except UserError as error:
            names = [name.strip() for label in classifier.labels for name in label.split(",")]
            close = did_you_mean(nearest(target, names))
            raise UserError(f"target={shown(target)}: {error}{close}") from error
    count = len(classifier.labels)
    try:
        index = operator.index(target)
    except TypeError:
        raise UserError(f"target={shown(target)}: must be None, an index or a class name") from None
    is_index = not isinstance(target, bool) and 0 <= index < count
    require(is_index, f"target={shown(target)}: the classes are 0..{count - 1}")
    return index
