"""Images on which a classifier is tried before a run, and what its answers must be like."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from genattr.errors import require
from genattr.ops.foreign import telling
from genattr.protocols import Classifier

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
    size, name = classifier.input_size, classifier.title
    images = trial_images(size).to(device)
    with telling(f"classifier {name} fails on images of {size} x {size} pixels"):
        alone = classifier(images[:1])
        together, again = classifier(images), classifier(images)
    require(
        alone.ndim == 2 and len(alone) == 1,
        f"classifier {name} gives {tuple(alone.shape)} for one image; (1, classes) is needed",
    )
    require(
        bool(torch.isfinite(together).all()),
        f"classifier {name} gives NaN or infinity for plain colors or noise: check its weights, "
        "mean, std and outputs",
    )
    classifier.check_outputs(images)
    _check_steady(classifier, "when it is asked twice", together, again)
    _check_steady(classifier, "beside other images", together[:1], alone)


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
