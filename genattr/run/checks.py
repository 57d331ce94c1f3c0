"""Checks of a run before anything long starts; each mistake is a UserError in one line."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from genattr import config
from genattr.component import under
from genattr.errors import UserError, require
from genattr.metric.base import Metric
from genattr.report import paper
from genattr.run.study import Study
from genattr.run.variants import variants
from genattr.types import Sample


def check_study(study: Study) -> None:
    """Check the components of a run against each other and against the photos' labels.

    Opens no photo; the classifier looks at one gray image.

    Raises
    ------
    UserError
        If something does not fit; the message names it and says what would work.
    """
    _check_filler(study)
    _check_signal(study)
    _check_sizes(study)
    _check_boxes(study)
    _check_network(study)
    _check_classifier(study)
    _check_labels(study)
    _check_wishes(study)


def check_chosen(study: Study, photos: Sequence[int]) -> None:
    """Check that the chosen photos have a label if the run explains labels."""
    if config.top_k(study.cfg.target) > 0:
        return
    ids, labels = study.dataset.ids, study.dataset.photo_labels
    without = [ids[index] for index in photos if labels[index] is None]
    if without:
        raise UserError(
            f"target=label: {len(without)} of {len(photos)} photos have no label, such as "
            f"{without[0]}: use target=predicted, or give the labels"
        )


def _check_filler(study: Study) -> None:
    require(
        study.filler.inpaints or not study.method.requires_inpainter,
        f"method {study.method.title} needs a filler that inpaints, and "
        f"{study.filler.title} does not: try filler=lightfill",
    )


def _check_signal(study: Study) -> None:
    """Refuse a filler that copies the photo outside the hole: the mask gradient would be zero."""
    if not study.method.needs_fill_outside or not study.filler.reads_hole:
        return
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(study.device)
    sample = Sample(image[0], None, "noise", None, (32, 32))
    filled = study.filler.for_sample(sample).fill(image, torch.zeros_like(image[:, :1]) > 0, [0])
    require(
        not torch.equal(filled, image),
        f"method.rank_by=mask_gradient has nothing to rank by: {study.filler.title} gives the "
        "photo back outside the hole; try filler@method.rank_filler=blur, or "
        "method.rank_by=image_gradient",
    )


def _check_sizes(study: Study) -> None:
    """Let methods and metrics refuse parameters that do not fit the classifier's images."""
    size = study.classifier.input_size
    for variant in (study, *variants(study).values()):
        variant.method.calls(size)
    for name, metric in study.metrics.items():
        with under(f"metric.{name}", Metric):
            metric.calls(size)


def _check_network(study: Study) -> None:
    require(
        not study.method.needs_network or study.classifier.network is not None,
        f"method {study.method.title} needs a PyTorch network, and classifier "
        f"{study.classifier.title} has none to give",
    )


def _check_wishes(study: Study) -> None:
    """Check the names of the table that ends a sweep, and of the score that it optimizes."""
    if study.cfg.table is not None:
        paper.table(study.cfg.table)
    score = study.cfg.optimize
    require(
        score is None or score.partition("/")[0] in study.metrics,
        f"optimize={score}: no such score; it begins with one of the chosen metrics, "
        f"{', '.join(study.metrics) or 'of which there is none'}, such as deletion/auc",
    )


def _check_boxes(study: Study) -> None:
    if study.dataset.has_boxes:
        return
    require(
        not study.method.needs_boxes,
        f"method {study.method.title} needs boxes, and no photo of dataset {study.dataset.title} "
        "has any: give them, or choose another method",
    )
    names = [name for name, metric in study.metrics.items() if metric.needs_boxes]
    if not names:
        return
    others = ",".join(name for name in study.metrics if name not in names)
    raise UserError(
        f"metric {names[0]} needs boxes, and no photo of dataset {study.dataset.title} has "
        f"any: give them, or use metric=[{others}]"
    )


def _check_classifier(study: Study) -> None:
    size = study.classifier.input_size
    gray = torch.full((1, 3, size, size), 0.5, device=study.device)
    with torch.no_grad():
        output = study.classifier(gray)
    name = study.classifier.title
    require(
        output.ndim == 2 and len(output) == 1,
        f"classifier {name} gives {tuple(output.shape)} for one image; (1, classes) is needed",
    )
    require(
        bool(torch.isfinite(output).all()),
        f"classifier {name} gives NaN or infinity for a gray image: check its weights, mean, std "
        "and outputs",
    )


def _check_labels(study: Study) -> None:
    """Check all labels if the run compares them with the classifier's classes."""
    correct_only = study.cfg.selection.correct_only
    if config.top_k(study.cfg.target) > 0 and not correct_only:
        return
    count, labels = len(study.classifier.labels), study.dataset.photo_labels
    require(
        study.dataset.n_classes in (None, count),
        f"dataset {study.dataset.title} has labels of {study.dataset.n_classes} classes, and "
        f"classifier {study.classifier.title} knows {count}: choose a classifier of these "
        "classes, or target=predicted",
    )
    for image_id, label in zip(study.dataset.ids, labels, strict=True):
        require(
            label is None or 0 <= label < count,
            f"{image_id} has label {label}, and classifier {study.classifier.title} knows the "
            f"classes 0..{count - 1}",
        )
    require(
        not correct_only or None not in labels,
        f"selection.correct_only needs the label of every photo: {labels.count(None)} of "
        f"{len(labels)} have none",
    )
