"""What must fit together before anything long starts; each mistake is a UserError in one line."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from genattr import config
from genattr.errors import UserError, require
from genattr.metric.localization import Localization
from genattr.run.study import Study, name_of
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
    for one in (study, *variants(study).values()):
        _ = one.cost  # refuses parameters that do not fit the classifier's images
    _check_boxes(study)
    _check_classifier(study)
    _check_labels(study)


def check_chosen(study: Study, photos: Sequence[int]) -> None:
    """Check that the chosen photos have a class where the run explains it."""
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
    needs_inpainter = getattr(study.method, "requires_inpainter", False)
    require(
        study.filler.inpaints or not needs_inpainter,
        f"method {name_of(study.method)} needs a filler that inpaints, and "
        f"{name_of(study.filler)} does not: try filler=mirror",
    )


def _check_signal(study: Study) -> None:
    """Refuse a mask gradient that is zero: where the filler leaves what no hole covers."""
    if not getattr(study.method, "needs_fill_outside", False) or not study.filler.reads_hole:
        return
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(study.device)
    sample = Sample(image[0], None, "noise", None, (32, 32))
    filled = study.filler.for_sample(sample).fill(image, torch.zeros_like(image[:, :1]) > 0, [0])
    require(
        not torch.equal(filled, image),
        f"method.rank_by=mask_gradient has nothing to rank by: {name_of(study.filler)} gives the "
        "photo back outside the hole; try filler@method.rank_filler=blur, or "
        "method.rank_by=image_gradient",
    )


def _check_boxes(study: Study) -> None:
    names = [name for name, metric in study.metrics.items() if isinstance(metric, Localization)]
    if not names or study.dataset.has_boxes:
        return
    others = ",".join(name for name in study.metrics if name not in names)
    raise UserError(
        f"metric {names[0]} needs boxes, and no photo of dataset {name_of(study.dataset)} has "
        f"any: give them, or use metric=[{others}]"
    )


def _check_classifier(study: Study) -> None:
    size = study.classifier.input_size
    gray = torch.full((1, 3, size, size), 0.5, device=study.device)
    with torch.no_grad():
        output = study.classifier(gray)
    name = name_of(study.classifier)
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
    """Check all labels, where the run compares them with the classifier's classes."""
    correct_only = study.cfg.selection.correct_only
    if config.top_k(study.cfg.target) > 0 and not correct_only:
        return
    count, labels = len(study.classifier.labels), study.dataset.photo_labels
    require(
        study.dataset.n_classes in (None, count),
        f"dataset {name_of(study.dataset)} has labels of {study.dataset.n_classes} classes, and "
        f"classifier {name_of(study.classifier)} knows {count}: choose a classifier of these "
        "classes, or target=predicted",
    )
    for image_id, label in zip(study.dataset.ids, labels, strict=True):
        require(
            label is None or 0 <= label < count,
            f"{image_id} has label {label}, and classifier {name_of(study.classifier)} knows the "
            f"classes 0..{count - 1}",
        )
    require(
        not correct_only or None not in labels,
        f"selection.correct_only needs the label of every photo: {labels.count(None)} of "
        f"{len(labels)} have none",
    )
