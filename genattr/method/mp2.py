"""MP2 (and MP2-G with a generative filler): the paper's section 3.5.

No code of it is published; docs/methods.md and docs/mp2.md explain the choices that the paper
leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from genattr.method.base import GENERATIVE
from genattr.method.mask import check_mask_size, sum_by_cell, upsample
from genattr.method.search import Entry, Search, SearchMethod
from genattr.method.stack import Stack
from genattr.parameters import Allowed, Count, Pixels
from genattr.probe import Probe
from genattr.protocols import Filler
from genattr.types import Heatmap, Placement, Sample

Stop = Annotated[float, Ge(0), Lt(1), Allowed("in [0, 1), or null for chance")]


@dataclass(frozen=True)
class MP2(SearchMethod):
    """Grow a hole, the most sensitive cells first, until the probability is at chance level.

    Parameters
    ----------
    mask_size
        Cells along each axis.
    cells_per_step
        Cells that join the hole in a step; of equal ones, the lowest index.
    stop
        Probability at which the hole is large enough; None: chance, to one digit: 1 / K (the
        paper's 0.001 for ImageNet and 0.003 for Places365), or 0.5 where each class has a
        probability of its own.
    max_steps
        None: until all cells are in the hole.
    rank_by
        ``mask_gradient``: how the probability changes with the cell, |sum (f - x) ds/dx|.
        ``image_gradient``: the L2 norm of ds/dx over channels, summed over the cell.
    rank_filler
        The f of ``mask_gradient``, while the run's own filler decides when to stop. None: the
        run's own ranks too.
    heatmap
        ``order``: 1 for the first cells, falling linearly to 0 for those never chosen.
        ``binary``: the hole.
    together
        Photos that are explained at a time, and rows of every batch.
    requires_inpainter
        Refuse fillers that do not synthesize from context: MP2-G.
    """

    mask_size: Pixels
    cells_per_step: Count
    stop: Stop | None
    max_steps: Count | None
    rank_by: Literal["mask_gradient", "image_gradient"]
    rank_filler: Filler | None
    heatmap: Literal["order", "binary"]
    together: Count = field(metadata={"identity": False})
    requires_inpainter: bool = field(metadata={"identity": False})

    @property
    def family(self) -> str:
        return "MP2"

    @property
    def title(self) -> str:
        return self.family + GENERATIVE * self.requires_inpainter

    @property
    def in_words(self) -> str:
        return (
            f"A hole grows, {self.cells_per_step} cells of {self.mask_size} x {self.mask_size} at "
            "a time, always where the classifier's gradient promises the largest fall, until the "
            "answer has fallen to chance. The earlier a place joined the hole, the redder it is."
        )

    def unit(self, quantity: str) -> str:
        if self.heatmap == "binary":
            return "1 where the place is in the final hole, 0 elsewhere"
        return "order of removal: 1 first, 0 never"

    @property
    def ranks_apart(self) -> bool:
        """Another filler than the run's own ranks the cells."""
        return self.rank_by == "mask_gradient" and self.rank_filler is not None

    @property
    def needs_fill_outside(self) -> bool:
        return self.rank_by == "mask_gradient" and self.rank_filler is None

    @property
    def steps(self) -> int:
        """Bound the number of steps."""
        all_cells = -(-(self.mask_size**2) // self.cells_per_step)
        return all_cells if self.max_steps is None else min(self.max_steps, all_cells)

    def calls(self, size: int) -> int:
        check_mask_size(self.mask_size, size)
        return (self.steps + 1) * (2 if self.ranks_apart else 1) + 1

    def search(self, like: Probe) -> GrowingHoles:
        return GrowingHoles(self, like)

    def reads(self, sample: Sample) -> dict[str, Any]:
        of_filler = {} if self.rank_filler is None else self.rank_filler.reads(sample)
        return {"rank_filler_reads": of_filler} if of_filler else {}

    def removed(self, heatmap: Heatmap, size: int) -> Tensor:
        """Return the hole as it has grown."""
        return upsample((heatmap.values > 0).float(), size, "nearest").bool()


class GrowingHoles(Search):
    """The holes of several photos as they grow.

    A photo whose hole is large enough stays as it is, whatever further steps compute.

    Parameters
    ----------
    method
        What grows, and how.
    like
        One of the probes; see ``Stack``.

    Attributes
    ----------
    rankers
        The photos with the filler whose gradient ranks the cells.
    joined
        (S, n * n) int64, the step at which a cell joined the hole; -1: it has not.
    n_steps
        (S,) int64, steps in which cells have joined.
    score
        (S,) probabilities with the hole as it was last seen.
    done, broken
        (S,) bool: the hole is large enough; a gradient was NaN or infinite.
    """

    def __init__(self, method: MP2, like: Probe) -> None:
        super().__init__(method.together, method.steps + 1, like)
        self.method = method
        stop = chance(like.classifier.alternatives) if method.stop is None else method.stop
        slots, device = method.together, like.image.device
        self.rankers = Stack(slots, like) if method.ranks_apart else self.stack
        self.joined = torch.full((slots, method.mask_size**2), -1, device=device)
        self.n_steps = torch.zeros(slots, dtype=torch.long, device=device)
        self.score = torch.zeros(slots, device=device)
        self.done = torch.ones(slots, dtype=torch.bool, device=device)
        self.broken = torch.zeros_like(self.done)
        self._stop = stop
        self._enough = torch.full_like(self.score, below(stop))

    @property
    def state(self) -> Sequence[Tensor]:
        return self.joined, self.n_steps, self.score, self.done, self.broken

    @property
    def asks(self) -> bool:
        return bool(self.stack.asking or self.rankers.asking)

    def begin(self, slot: int, entry: Entry) -> None:
        if self.rankers is not self.stack and self.method.rank_filler is not None:
            self.rankers.put(slot, entry.probe.with_filler(self.method.rank_filler))
        self.joined[slot] = -1
        self.n_steps[slot] = 0
        self.done[slot] = entry.is_blind
        self.broken[slot] = False

    def release(self, slot: int) -> tuple[Probe, Heatmap]:
        released = super().release(slot)
        self.rankers.free(slot)
        return released

    def step(self) -> None:
        """Score the holes as they are, and grow those whose probability is still above ``stop``."""
        if self.method.ranks_apart:
            with torch.no_grad():
                images = self.stack.composite(self.hole(self.cells()))
                self._see(self.stack.scores(images).prob)
            if self.is_watched and bool(self.done.all()):
                return
        cells = self.cells().requires_grad_()
        images = self.rankers.composite(self.hole(cells))
        scores = self.rankers.scores(images)
        rank = self._rank(scores.unbounded.sum(), cells, images)
        if not self.method.ranks_apart:
            self._see(scores.prob.detach())
        self._grow(rank)

    def cells(self) -> Tensor:
        """Return the holes as (S, n, n) zeros and ones."""
        n = self.method.mask_size
        return (self.joined >= 0).float().view(-1, n, n)

    def hole(self, cells: Tensor) -> Tensor:
        """Return cells as (S, 1, 1, D, D) holes."""
        return upsample(cells, self.stack.images.shape[-1], "nearest")[:, None]

    def _rank(self, score: Tensor, cells: Tensor, images: Tensor) -> Tensor:
        """Return the (S, n, n) sensitivities.

        Log-odds rank the cells as the probability does, and their gradient does not vanish where
        the probability is 1.
        """
        if self.method.rank_by == "mask_gradient":
            return torch.autograd.grad(score, cells)[0].abs()
        (gradient,) = torch.autograd.grad(score, images)
        return sum_by_cell(gradient[:, 0].norm(dim=1), self.method.mask_size)

    def _see(self, prob: Tensor) -> None:
        """Note the (S,) probabilities, and which holes are large enough by them."""
        self.score.copy_(torch.where(self.done, self.score, prob))
        enough = (self.score <= self._enough) | (self.n_steps == self.method.steps)
        self.done.logical_or_(enough)

    def _grow(self, rank: Tensor) -> None:
        """Let the cells of highest rank join the holes that are not large enough."""
        rank = rank.flatten(1)
        self.broken.logical_or_(~(rank.isfinite().all(dim=1) | self.done))
        open_rank = rank.masked_fill(self.joined >= 0, -torch.inf)
        order = open_rank.argsort(dim=1, descending=True, stable=True)
        best = order[:, : self.method.cells_per_step]
        before = self.joined.gather(1, best)
        joins = (before < 0) & ~self.done[:, None]
        self.joined.scatter_(1, best, torch.where(joins, self.n_steps[:, None], before))
        self.n_steps.add_(~self.done)

    def look(self) -> None:
        known = torch.stack([self.done, self.broken, self.n_steps]).tolist()
        for slot, entry in self.running:
            done, broken, n_steps = (numbers[slot] for numbers in known)
            entry.probe.require_gradient(is_defined=not broken)
            self._count(slot, entry, n_steps + done, n_steps)
            entry.finished = bool(done)

    def _count(self, slot: int, entry: Entry, seen: int, grown: int) -> None:
        """Count the images of holes that were scored so often, and grew so often."""
        filled = seen if slot in self.stack.asking else 0
        if not self.method.ranks_apart:
            entry.count(seen, filled)
            return
        ranker_fills = grown if slot in self.rankers.asking else min(grown, 1)
        entry.count(seen + grown, filled + ranker_fills)

    def heatmap(self, slot: int, entry: Entry) -> Heatmap:
        n = self.method.mask_size
        cells, n_steps = self.cells()[slot], int(self.n_steps[slot])
        order = self._order(self.joined[slot], n_steps).view(n, n)
        values = cells if self.method.heatmap == "binary" else order
        score = entry.probe.original if entry.is_blind else float(self.score[slot])
        return entry.probe.heatmap(
            values,
            (0.0, 1.0),
            Placement("nearest"),
            steps=n_steps,
            area=float(cells.mean()),
            final_score=score,
            reached_stop=float(score <= self._stop),
            changed_nothing=float(entry.is_blind),
        )

    def _order(self, joined: Tensor, n_steps: int) -> Tensor:
        """Give a cell that joined at the t-th of T steps (T - t) / T, and the others 0."""
        falling = (n_steps - joined) / max(n_steps, 1)
        return torch.where(joined >= 0, falling, 0.0)


def chance(alternatives: int) -> float:
    """Return 1 / K to one digit, as the paper rounds: 0.001 for 1000 classes, 0.003 for 365."""
    return float(f"{1 / alternatives:.0e}")


def below(number: float) -> float:
    """Return the largest float32 that is not above a number, which compares as the number does."""
    nearest = torch.tensor(number)
    if nearest.item() > number:
        nearest = nearest.nextafter(torch.tensor(-torch.inf))
    return nearest.item()
