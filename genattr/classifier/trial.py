"""Images on which a classifier is tried before a run, and what its answers must be like."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from genattr.errors import reason, require
from genattr.memory import Room
from genattr.ops.foreign import as_before
from genattr.protocols import Classifier
from genattr.scoring import NO_GRADIENT, answers

COLORS = ((0, 0, 0), (1, 1, 1), (0.5, 0.5, 0.5), (1, 0, 0), (0, 1, 0), (0, 0, 1))


def trial_images(size: int) -> Tensor:
    """Return 8 unlike images, (8, 3, size, size) in [0, 1]: noise, coarse noise, plain colors."""
    draws = torch.Generator().manual_seed(0)
    fine = torch.rand(1, 3, size, size, generator=draws)
    coarse = torch.rand(1, 3, 4, 4, generator=draws)
    smooth = functional.interpolate(coarse, (size, size), mode="bilinear", align_corners=False)
    plain = torch.tensor(COLORS).view(-1, 3, 1, 1).expand(-1, -1, size, size)
    return torch.cat([fine, smooth, plain])


@torch.no_grad()
def check_answers(classifier: Classifier, device: torch.device) -> None:
    """Refuse a classifier whose answers cannot be explained.

    Raises
    ------
    UserError
        If it fails, if it does not give one finite number per class, if the numbers are not what
        ``classifier.outputs`` says, or if an image's probabilities depend on the call or on the
        other images.
    """
    images = trial_images(classifier.input_size).to(device)
    Room("batch_size", len(images)).fit(lambda rows: _check_answers(classifier, images[:rows]))


def _check_answers(classifier: Classifier, images: Tensor) -> None:
    name = classifier.title
    alone = answers(classifier, images[:1])
    together, again = (answers(classifier, images) for _ in range(2))
    require(
        bool(torch.isfinite(together).all()),
        f"classifier {name} gives NaN or infinity for plain colors or noise: check its weights, "
        "mean, std and outputs",
    )
    classifier.check_outputs(images)
    _check_steady(classifier, "when it is asked twice", together, again)
    _check_steady(classifier, "beside other images", together[:1], alone)


def gradient_fault(classifier: Classifier, device: torch.device) -> str:
    """Differentiate a classifier once, on two images of noise.

    Returns
    -------
    What is wrong with its gradient, as the end of a sentence; empty if nothing is.
    """
    if "gradient" not in classifier.trials:
        classifier.trials["gradient"] = _gradient_fault(classifier, device)
    return classifier.trials["gradient"]


@torch.enable_grad()
def _gradient_fault(classifier: Classifier, device: torch.device) -> str:
    images = trial_images(classifier.input_size).to(device)
    try:
        gradient = _gradient(classifier, images[:2])
        if gradient is None:
            return NO_GRADIENT
        if not bool(gradient.isfinite().all()):
            return "gives NaN or infinity for noise, as the gradient of a root or a norm is at 0"
        every = gradient if bool(gradient.any()) else _gradient(classifier, images)
        if every is None or not bool(every.any()):
            return (
                "gives zeros in all images that were tried, as rounding, comparing and argmax have "
                "no other gradient"
            )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except SystemExit:
        return "ends the program when it is differentiated (sys.exit)"
    except Exception as error:  # a user's network may do anything
        return f"fails when it is differentiated ({reason(error)})"
    return ""


def _gradient(classifier: Classifier, images: Tensor) -> Tensor | None:
    """Return the gradient of all logits, with random weights; None if there is no path to it."""
    images = images.clone().requires_grad_()
    with as_before():
        logits = classifier(images.clone())
    if not logits.requires_grad:
        return None
    draws = torch.Generator().manual_seed(0)
    weights = torch.randn(logits.shape, generator=draws).to(logits)
    return torch.autograd.grad((logits * weights).sum(), images, allow_unused=True)[0]


def _check_steady(classifier: Classifier, when: str, first: Tensor, second: Tensor) -> None:
    """Compare the probabilities of the same images in two calls, (N, K) logits each."""
    one, other = map(classifier.probabilities, (first, second))
    moved = float((one - other).abs().max())
    require(
        moved <= classifier.tolerance,
        f"classifier {classifier.title} answers the same image differently {when}: a probability "
        f"moves by {moved:.2g}, and at most {classifier.tolerance:g} is allowed: put it into "
        "evaluation mode (.eval(), also before exporting or tracing it; no dropout, no batch "
        "statistics)",
    )
