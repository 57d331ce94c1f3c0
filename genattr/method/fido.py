"""FIDO-CA: Chang et al. 2019, as the paper runs it (appendix A1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from genattr.method.base import Method
from genattr.method.mask import changes_nothing, check_mask_size, upsample
from genattr.parameters import Count, NotNegative, Objective, Positive
from genattr.probe import Probe, score_together
from genattr.types import Heatmap

RAMP = 30  # steps over which the size penalty grows to its weight
SMALLEST = 1e-6  # probability, clamped before its logit


@dataclass(frozen=True)
class Fido(Method):
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
    requires_inpainter
        Refuse fillers that do not synthesize from context.
    """

    mask_size: Count
    steps: Count
    batch: Count
    lr: Positive
    l1: NotNegative
    temperature: Positive
    objective: Objective
    requires_inpainter: bool = field(metadata={"identity": False})

    needs_gradient: ClassVar[bool] = True

    @property
    def family(self) -> str:
        return "FIDO-CA"

    @property
    def title(self) -> str:
        return "FIDO-CA" if self.objective == "preservation" else "FIDO-CA deletion"

    def calls(self, size: int) -> int:
        check_mask_size(self.mask_size, size)
        return self.steps * self.batch + 1

    def explain(self, probe: Probe) -> Heatmap:
        blind = changes_nothing(probe)
        n = self.mask_size
        drop = torch.full((n, n), 0.5) if blind else torch.sigmoid(self._learn(probe))
        values = 0.5 - drop if self.objective == "preservation" else drop - 0.5
        area = float(drop.mean())
        return probe.heatmap(values, (-0.5, 0.5), area=area, changed_nothing=float(blind))

    def removed(self, heatmap: Heatmap, size: int) -> Tensor:
        """Return the pixels whose learned probability of being dropped is above 0.5."""
        kept = upsample(heatmap.values, size, "bilinear")
        return kept > 0 if self.objective == "deletion" else kept < 0

    def _learn(self, probe: Probe) -> Tensor:
        """Return the (n, n) logits of dropping a cell."""
        draws = probe.generator("fido")
        n = self.mask_size
        drop_logits = torch.zeros(n, n, device=probe.image.device, requires_grad=True)
        optimizer = torch.optim.Adam([drop_logits], lr=self.lr)
        for step in range(self.steps):
            optimizer.param_groups[0]["lr"] = self.lr * (1 - step / self.steps)
            optimizer.zero_grad()
            self.loss(probe, drop_logits, step, draws).backward()
            optimizer.step()
        return probe.defined_gradient(drop_logits.detach())

    def loss(self, probe: Probe, drop_logits: Tensor, step: int, draws: torch.Generator) -> Tensor:
        """Return the objective at a step, for newly drawn holes.

        Parameters
        ----------
        drop_logits
            (n, n).
        """
        drop = upsample(torch.sigmoid(drop_logits), probe.size, "bilinear")
        uniform = torch.rand(self.batch, 1, probe.size, probe.size, generator=draws)
        hole = relaxed_bits(drop, uniform.to(drop.device), self.temperature)
        images = probe.composite(hole)
        score = score_together([probe] * self.batch, images, self.batch).unbounded.mean()
        weight = self.l1 * min(step / RAMP, 1)
        if self.objective == "preservation":
            return weight * (1 - drop).sum() - score
        return weight * drop.sum() + score


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
