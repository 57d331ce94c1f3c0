"""The engine of a run: incremental if the network allows it and the results agree, else dense."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from math import isqrt

import torch
from torch import Tensor
from torch.nn import functional

from genattr.engine.graph import Graph, trace
from genattr.engine.incremental import Photo
from genattr.engine.plan import Batch, plan
from genattr.errors import reason, require
from genattr.ops.crops import cut_out
from genattr.ops.foreign import staying
from genattr.protocols import Classifier
from genattr.scoring import answers

log = logging.getLogger(__name__)

PLAIN = "plain"
MODES = ("auto", "incremental", "dense", PLAIN)
LEAST_LOCAL = 0.5  # share of the multiply-adds before the head; below it windows are not faster
TOLERANCE = 1e-5  # of a probability, against the dense path
LEAST_EFFECT = 1e-2  # differences must be below this share of what the windows change

Content = Callable[[Tensor, Tensor], Tensor]


class Engine:
    """Scores many windows of one photo, incrementally if possible.

    Parameters
    ----------
    mode
        ``auto``: incremental on CPUs if the network allows it; ``incremental``: UserError if it
        does not; ``dense``: never incremental; ``plain``: nor are layers fused.
    classifier
        The network.
    batch_size
        A batch has about twice as many windows, which are small.
    device
        Where the classifier's weights are.
    """

    def __init__(
        self, mode: str, classifier: Classifier, batch_size: int, device: torch.device | str = "cpu"
    ) -> None:
        require(mode in MODES, f"engine={mode}: must be {', '.join(MODES[:-1])} or {MODES[-1]}")
        self.mode = mode
        self.classifier = classifier
        self.device = torch.device(device)
        self._per_axis = max(isqrt(2 * batch_size), 1)
        self._batches = lru_cache(maxsize=4)(self._plan)
        self.smaller = lru_cache(maxsize=4)(self._smaller)

    @cached_property
    def is_incremental(self) -> bool:
        """Whether windows are computed incrementally; decided and logged at first use."""
        if self.mode in ("dense", PLAIN):
            return False
        reason = self.obstacle
        require(
            not reason or self.mode == "auto",
            f"engine=incremental: {reason}; engine=auto takes the dense path there",
        )
        log.info("engine: %s", f"dense, because {reason}" if reason else "incremental")
        return not reason

    @cached_property
    def obstacle(self) -> str:
        """Reason against incremental inference; empty if there is none."""
        if self.mode == "auto" and self.device.type != "cpu":
            return f"it has been measured on CPUs alone, not on {self.device.type}"
        if not self.classifier.has_gradient:
            return f"{self.classifier.title} is no PyTorch network, whose steps could be told"
        try:
            share = self.graph.local_share
            if share < LEAST_LOCAL:
                return (
                    f"{self.graph.first_global} is not local, and {1 - share:.0%} of the "
                    "multiply-adds come after it"
                )
            return disagreement(self)
        except Exception as error:
            return f"the network cannot be traced ({reason(error)})"

    def _smaller(self, batch_size: int) -> Engine:
        """Return an engine that knows what this one does, and scores smaller batches."""
        _ = self.is_incremental
        twin = copy.copy(self)
        twin._per_axis = max(isqrt(2 * batch_size), 1)
        twin._batches = lru_cache(maxsize=1)(twin._plan)
        return twin

    @cached_property
    def graph(self) -> Graph:
        """The classifier's local steps and its head."""
        size = self.classifier.input_size
        example = torch.full((1, 3, size, size), 0.5, device=self.device)
        with staying("it ends the program"):
            return trace(self.classifier, example)

    @torch.no_grad()
    def logits(
        self, image: Tensor, boxes: Tensor, content: Content
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield rows of the boxes and the classifier's output for them, batch by batch.

        Equal boxes in equal order are batched equally, so that results are bit-equal.

        Parameters
        ----------
        image
            (3, D, D) in [0, 1].
        boxes
            (N, 4) int64, half-open.
        content
            Maps rows (n,) and windows (n, 4) around their boxes to the windows' pixels,
            (n, 3, h, w).
        """
        photo = Photo(self.graph, image)
        windows = inside(boxes.cpu(), image.shape[-1])
        for batch in self.batches(windows):
            logits = photo.logits(batch, content(batch.rows, windows[batch.rows]))
            yield batch.places.on(image.device), logits

    def batches(self, windows: Tensor) -> list[Batch]:
        """Return the batches of (N, 4) windows inside the image."""
        return self._batches(tuple(windows.flatten().tolist()))

    def _plan(self, numbers: tuple[int, ...]) -> list[Batch]:
        return list(plan(self.graph, torch.tensor(numbers).view(-1, 4), self._per_axis))


def inside(boxes: Tensor, size: int) -> Tensor:
    """Clip boxes to the image; one that is empty becomes one pixel."""
    first = boxes[:, :2].clamp(0, size - 1)
    return torch.cat([first, torch.maximum(boxes[:, 2:].clamp(max=size), first + 1)], dim=1)


@torch.no_grad()
def disagreement(engine: Engine) -> str:
    """Compare with the dense path on a few windows of a made-up photo; empty if all agree."""
    size = engine.classifier.input_size
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 8, 8, generator=random).to(engine.device)
    image = functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)[0]
    boxes = probing_boxes(size)
    noise = torch.rand(len(boxes), 3, size, size, generator=random).to(engine.device)
    images = image.repeat(len(boxes), 1, 1, 1)
    for row, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        images[row, :, y0:y1, x0:x1] = noise[row, :, y0:y1, x0:x1]
    dense = answers(engine.classifier, images)
    incremental = torch.empty_like(dense)
    for rows, logits in engine.logits(
        image, boxes, lambda rows, windows: cut_out(images[rows], windows)
    ):
        incremental[rows] = logits
    effect = float((dense - answers(engine.classifier, image[None])).abs().max())
    p_error, error = _differences(engine.classifier, dense, incremental)
    p_most, most = _rounding(engine.classifier, images, dense)
    log.debug("windows differ by %.1e of a probability, %.1e of a logit", p_error, error)
    if not (p_error < max(TOLERANCE, p_most) and error <= max(LEAST_EFFECT * effect, most)):
        return f"its probabilities differ from the dense path by {p_error:.1e}"
    return ""


def _rounding(classifier: Classifier, images: Tensor, dense: Tensor) -> tuple[float, float]:
    """Return how far fewer bits alone move a probability and a logit; 0 for 32 bits."""
    if classifier.exact is classifier:
        return 0.0, 0.0
    return _differences(classifier, dense, answers(classifier.exact, images))


def _differences(classifier: Classifier, first: Tensor, second: Tensor) -> tuple[float, float]:
    """Return the largest differences of a probability and of a logit, of (N, K) logits."""
    one, other = map(classifier.probabilities, (first, second))
    return float((one - other).abs().max()), float((first - second).abs().max())


def probing_boxes(size: int) -> Tensor:
    """Return (N, 4) boxes in the corners, at the edges and inside, of two sizes."""
    boxes = []
    for side in (max(size // 8, 1), max(size // 40, 1)):
        last = size - side
        for x, y in ((0, 0), (last, last), (last, 0), (0, last // 3), (last // 2, last // 2 + 1)):
            boxes.append([x, y, x + side, y + side])
    return torch.tensor(boxes)
