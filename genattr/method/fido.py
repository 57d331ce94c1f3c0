"""FIDO-CA: Chang et al. 2019, as the paper runs it (appendix A1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from genattr.method.descent import Descent
from genattr.method.mask import check_mask_size, upsample
from genattr.method.search import Entry, SearchMethod
from genattr.parameters import Count, NotNegative, Objective, Pixels, Positive
from genattr.probe import Probe
from genattr.types import Heatmap

RAMP = 30  # steps over which the size penalty grows to its weight
SMALLEST = 1e-6  # probability, clamped before its logit


@dataclass(frozen=True)
class Fido(SearchMethod):
    """Learn how likely each cell is to be dropped, from random holes, by Adam.

    Parameters
    ----------
    mask_size
        Cells along each axis.
    steps
        Optimization steps.
    batch
        Random holes a step.
    lr
        Adam's learning rate at the start; it falls linearly to 0.
    l1
        Weight of the size: of the kept part (preservation) or of the dropped one (deletion),
        summed over the image's pixels.
    temperature
        Of the relaxed bits; a low one makes them nearly 0 or 1.
    objective
        ``preservation``: keep little, and the log-odds high (the paper). ``deletion``: drop little,
        and the log-odds low.
    together
        Photos that are explained at a time: a batch always has ``together * batch`` rows. It is
        part of the heatmap's key if it is not 1, as in MP.
    requires_inpainter
        Refuse fillers that do not synthesize from context.
    """

    mask_size: Pixels
    steps: Count
    batch: Count
    lr: Positive
    l1: NotNegative
    temperature: Positive
    objective: Objective
    together: Count
    requires_inpainter: bool = field(metadata={"identity": False})

    @property
    def idle(self) -> Sequence[str]:
        return ("together",) if self.together == 1 else ()

    @property
    def family(self) -> str:
        return "FIDO-CA"

    @property
    def title(self) -> str:
        return "FIDO-CA" if self.objective == "preservation" else "FIDO-CA deletion"

    @property
    def in_words(self) -> str:
        aim = "lower the classifier's answer when little is hidden"
        if self.objective == "preservation":
            aim = "keep the classifier's answer when little is shown"
        return (
            f"Each of {self.mask_size} x {self.mask_size} cells is hidden at random, with a "
            f"probability that is learned in {self.steps} steps so as to {aim}."
        )

    def unit(self, quantity: str) -> str:
        kind = "kept" if self.objective == "preservation" else "hidden"
        return f"learned probability that the place is {kind}, less 0.5"

    def calls(self, size: int) -> int:
        check_mask_size(self.mask_size, size)
        return self.steps * self.batch + 1

    def search(self, like: Probe) -> LearnedDrops:
        return LearnedDrops(self, like)

    def removed(self, heatmap: Heatmap, size: int) -> Tensor:
        """Return the pixels whose learned probability of being dropped is above 0.5."""
        kept = upsample(heatmap.values, size, "bilinear")
        return kept > 0 if self.objective == "deletion" else kept < 0


class LearnedDrops(Descent):
    """The logits of dropping a cell, (S, n, n), as they are learned for several photos.

    Parameters
    ----------
    method
        What is learned, and how.
    like
        One of the probes; see ``Stack``.

    Attributes
    ----------
    uniform
        (S, batch, 1, D, D), the draws from U(0, 1) of the step.
    """

    def __init__(self, method: Fido, like: Probe) -> None:
        n, steps = method.mask_size, range(method.steps)
        logits = torch.zeros(method.together, n, n, device=like.image.device)
        rates = [method.lr * (1 - step / method.steps) for step in steps]
        super().__init__(logits, rates, method.batch, like)
        self.method = method
        self.uniform = logits.new_zeros(method.together, method.batch, 1, like.size, like.size)
        self._weights = logits.new_tensor([method.l1 * min(step / RAMP, 1) for step in steps])
        self._draws: dict[int, torch.Generator] = {}

    def start(self, slot: int, entry: Entry) -> Tensor:
        self._draws[slot] = entry.probe.generator("fido")
        return torch.zeros_like(self.values[slot])

    def bring(self) -> None:
        drawn = self.uniform
        if not self.is_watched:
            drawn = torch.zeros(self.uniform.shape, pin_memory=self.uniform.is_cuda)
        for slot, _ in self.running:
            torch.rand(drawn.shape[1:], generator=self._draws[slot], out=drawn[slot])
        self.uniform.copy_(drawn, non_blocking=True)

    def loss(self, values: Tensor, number: Tensor) -> Tensor:
        drop = upsample(torch.sigmoid(values), self.uniform.shape[-1], "bilinear")[:, None]
        hole = relaxed_bits(drop, self.uniform, self.method.temperature)
        scores = self.stack.scores(self.stack.composite(hole)).unbounded
        score = scores.view(len(values), -1).mean(dim=1)
        weight = self._weights[number]
        if self.method.objective == "preservation":
            return weight * (1 - drop).flatten(1).sum(dim=1) - score
        return weight * drop.flatten(1).sum(dim=1) + score

    def heatmap(self, slot: int, entry: Entry) -> Heatmap:
        drop = torch.sigmoid(self.values[slot])
        values = 0.5 - drop if self.method.objective == "preservation" else drop - 0.5
        return entry.probe.heatmap(
            values, (-0.5, 0.5), area=float(drop.mean()), changed_nothing=float(entry.is_blind)
        )


def relaxed_bits(probability: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """Draw from the binary concrete distribution, differentiable by the probability.

    Parameters
    ----------
    probability
        Of a 1; in [0, 1].
    uniform
        Draws from U(0, 1); broadcast against the probability.
    temperature
        The bits become exact as it goes to 0.

    Returns
    -------
    Values in (0, 1), more than 0.5 where the exact bit would be 1.
    """
    logit = torch.logit(probability, SMALLEST) + torch.logit(uniform, SMALLEST)
    return torch.sigmoid(logit / temperature)
