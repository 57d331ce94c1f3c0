"""Checks of a run before anything long starts; each mistake is a UserError in one line."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from genattr.classifier.matching import are_numbered
from genattr.classifier.relabeled import index_of
from genattr.classifier.trial import gradient_fault
from genattr.components import under
from genattr.errors import UserError, abridged, require
from genattr.metric.base import Metric
from genattr.perturbation import filled_by
from genattr.report import paper
from genattr.run.study import Study
from genattr.run.variants import variants
from genattr.types import Sample

log = logging.getLogger(__name__)
WITHOUT_BOXES = ("deletion", "insertion", "saliency")  # metrics to try where there are no boxes


def check_study(study: Study) -> None:
    """Check the components of a run against each other and against the photos' labels.

    Opens no photo.

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
    _check_gradient(study)
    study.method.check(study.classifier, study.device)
    _check_explained(study)
    _check_classes(study)
    _check_labels(study)
    _ = study.target_classes  # raises UserError for one that the classifier does not know
    _check_metrics(study)
    _check_wishes(study)


def check_chosen(study: Study, photos: Sequence[int]) -> None:
    """Check that the chosen photos have a label if the run explains labels."""
    if not study.target.is_label:
        return
    ids, labels = study.photos.ids, study.photos.photo_labels
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
    hole = torch.zeros_like(image[:, :1]) > 0
    filled = filled_by(study.filler.for_sample(sample), image, hole, [0])
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


def _check_gradient(study: Study) -> None:
    if not study.method.needs_gradient:
        return
    classifier = study.classifier
    search = "sp-g or lime-g" if study.method.requires_inpainter else "sp or lime"
    fault = "has none"
    if classifier.has_gradient:
        fault = gradient_fault(classifier, study.device)
    require(
        not fault,
        f"method {study.method.title} needs the classifier's gradient, and classifier "
        f"{classifier.title} {fault}: try method={search}, or a PyTorch network "
        f"{'whose steps can be differentiated' if classifier.has_gradient else ''}".rstrip(),
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
        "has any: give them, or choose another method, such as method=sp",
    )
    names = [name for name, metric in study.metrics.items() if metric.needs_boxes]
    if not names:
        return
    others = [name for name in study.metrics if name not in names] or WITHOUT_BOXES
    raise UserError(
        f"metric {names[0]} needs boxes, and no photo of dataset {study.dataset.title} has "
        f"any: give them, or use metric=[{','.join(others)}]"
    )


def _check_explained(study: Study) -> None:
    require(
        study.classifier.has_logits or study.cfg.explain != "logit",
        f"explain=logit: classifier {study.classifier.title} gives probabilities and no logits: "
        "try explain=log_odds",
    )


def _compares_labels(study: Study) -> bool:
    """Whether the run needs the labels as classes of the classifier."""
    return study.target.is_label or study.cfg.selection.correct_only


def _check_classes(study: Study) -> None:
    """Check that the classifier knows the classes of the labels, by their names."""
    dataset, names = study.dataset, study.dataset.class_names
    if dataset.may_mean_names:
        _check_numbers(study)
    known = index_of(dataset, study.classifier)
    if names is None or known is None:
        return
    used = {label for labels in dataset.label_sets for label in labels}
    unknown = [names[label] for label in sorted(used - known.keys())]
    title, classes = study.classifier.title, study.classifier.labels
    if are_numbered(classes):
        lacks = "it has no names for them"
    else:
        lacks = f"it has no {abridged(unknown)}, but {abridged(classes)}"
    problem = (
        f"dataset {dataset.title} has labels of {len(names)} classes, and classifier {title} knows "
        f"{len(classes)}: {lacks}"
    )
    require(
        not unknown or not _compares_labels(study),
        f"{problem}: give classifier.labels the names of its classes in its order (in brackets, "
        "or a text file with one a line), choose a classifier of these classes, or use "
        "target=predicted",
    )
    if unknown:
        log.info("%s: labels of these are left out", problem)
    elif unused := [name for index, name in enumerate(names) if index not in known]:
        log.info("classifier %s has no %s, and no photo is of them", title, abridged(unused))


def _check_numbers(study: Study) -> None:
    """Refuse numbers as labels that are the name of one class and the index of another."""
    classes = list(study.classifier.labels)
    for label in sorted({label for labels in study.dataset.label_sets for label in labels}):
        other = classes.index(str(label)) if str(label) in classes else label
        require(
            other == label,
            f"label {label}: classifier {study.classifier.title} calls class {other} so: say what "
            "numbers are by dataset.labels_are=names or dataset.labels_are=indices",
        )


def _check_labels(study: Study) -> None:
    """Check all labels if the run compares them with the classifier's classes."""
    if not _compares_labels(study):
        return
    count, labels = len(study.classifier.labels), study.photos.photo_labels
    for image_id, labels_of_photo in zip(study.photos.ids, study.photos.label_sets, strict=True):
        require(
            len(labels_of_photo) <= 1 or study.classifier.sigmoid,
            f"{image_id} has {len(labels_of_photo)} labels, and by the softmax of classifier "
            f"{study.classifier.title} a photo is of one class: give one, or say that each class "
            "has a probability of its own by classifier.outputs=sigmoid_logits",
        )
    for image_id, label in zip(study.photos.ids, labels, strict=True):
        require(
            label is None or 0 <= label < count,
            f"{image_id} has label {label}, and classifier {study.classifier.title} knows the "
            f"classes 0..{count - 1}",
        )
    require(
        not study.cfg.selection.correct_only or None not in labels,
        f"selection.correct_only needs the label of every photo: {labels.count(None)} of "
        f"{len(labels)} have none",
    )


def _check_metrics(study: Study) -> None:
    """Let metrics refuse the classifier."""
    for name, metric in study.metrics.items():
        with under(f"metric.{name}", Metric):
            metric.check(study.classifier, study.device)
