"""MP2 (and MP2-G with a generative filler): the paper's section 3.5.

No code of it is published; docs/methods.md and docs/mp2.md explain the choices that the paper
leaves open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from genattr.method.base import GENERATIVE, Method
from genattr.method.mask import changes_nothing, check_mask_size, sum_by_cell, upsample
from genattr.method.search import Search, padded_rows, search_together
from genattr.parameters import Allowed, Count
from genattr.probe import Probe, score_together
from genattr.protocols import Filler
from genattr.types import Heatmap, Placement, Sample

Stop = Annotated[float, Ge(0), Lt(1), Allowed("in [0, 1), or null for chance")]


@dataclass(frozen=True)
class MP2(Method):
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

    mask_size: Count
    cells_per_step: Count
    stop: Stop | None
    max_steps: Count | None
    rank_by: Literal["mask_gradient", "image_gradient"]
    rank_filler: Filler | None
    heatmap: Literal["order", "binary"]
    together: Count = field(metadata={"identity": False})
    requires_inpainter: bool = field(metadata={"identity": False})

    needs_gradient: ClassVar[bool] = True

    @property
    def family(self) -> str:
        return "MP2"

    @property
    def title(self) -> str:
        return self.family + GENERATIVE * self.requires_inpainter

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

    def rows(self, size: int, heatmaps: int) -> int:
        return padded_rows(self.calls(size), heatmaps, self.together)

    def explain(self, probe: Probe) -> Heatmap:
        return next(self.explain_many([probe]))[1]

    def explain_many(self, probes: Iterable[Probe]) -> Iterator[tuple[Probe, Heatmap]]:
        """Explain several photos together, with the same result as one by one."""
        return search_together(probes, self.together, self._begin, self._advance)

    def reads(self, sample: Sample) -> dict[str, Any]:
        of_filler = {} if self.rank_filler is None else self.rank_filler.reads(sample)
        return {"rank_filler_reads": of_filler} if of_filler else {}

    def removed(self, heatmap: Heatmap, size: int) -> Tensor:
        """Return the hole as it has grown."""
        return upsample((heatmap.values > 0).float(), size, "nearest").bool()

    def _begin(self, probe: Probe) -> GrowingHole:
        return GrowingHole(probe, self, chance(probe.classifier.alternatives))

    def _advance(self, searches: Sequence[GrowingHole]) -> None:
        """Score the current holes, and grow those whose probability is still above ``stop``."""
        if self.ranks_apart:
            self._score(searches)
            searches = [search for search in searches if not search.finished]
        if searches:
            self._grow(searches)

    @torch.no_grad()
    def _score(self, searches: Sequence[GrowingHole]) -> None:
        images = torch.cat([s.probe.composite(s.hole(s.cells())) for s in searches])
        scores = score_together([s.probe for s in searches], images, self.together).prob
        for search, score in zip(searches, scores.tolist(), strict=True):
            search.score = score

    def _grow(self, searches: Sequence[GrowingHole]) -> None:
        cells = [search.cells().requires_grad_() for search in searches]
        images = torch.cat(
            [s.ranker.composite(s.hole(mask)) for s, mask in zip(searches, cells, strict=True)]
        )
        scores = score_together([search.ranker for search in searches], images, self.together)
        ranks = self._rank(scores.unbounded.sum(), cells, images)
        for search, score, rank in zip(searches, scores.prob.tolist(), ranks, strict=True):
            if not self.ranks_apart:
                search.score = score
            if not search.finished:
                search.add(rank)

    def _rank(self, score: Tensor, cells: Sequence[Tensor], images: Tensor) -> Sequence[Tensor]:
        """Return one (n, n) sensitivity per photo.

        Log-odds rank the cells as the probability does, and their gradient does not vanish where
        the probability is 1.
        """
        if self.rank_by == "mask_gradient":
            return [gradient.abs() for gradient in torch.autograd.grad(score, cells)]
        (gradients,) = torch.autograd.grad(score, images)
        return [sum_by_cell(gradient.norm(dim=0), self.mask_size) for gradient in gradients]


class GrowingHole(Search):
    """The hole of one photo as it grows.

    Attributes
    ----------
    ranker
        The probe whose gradient ranks the cells.
    joined
        (n * n,) the step at which a cell joined the hole; -1: it has not.
    n_steps
        Steps so far.
    score
        The probability with the current hole; None: not computed yet.
    is_blind
        The filler returns the photo, so that no hole has an effect.
    """

    def __init__(self, probe: Probe, method: MP2, chance: float) -> None:
        super().__init__(probe)
        self.method = method
        self.stop = chance if method.stop is None else method.stop
        ranks_apart = method.ranks_apart
        self.ranker = probe.sharing_counts(filler=method.rank_filler) if ranks_apart else probe
        self.joined = torch.full((method.mask_size**2,), -1, device=probe.image.device)
        self.n_steps = 0
        self.score: float | None = None
        self.is_blind = changes_nothing(probe)

    @property
    def finished(self) -> bool:
        if self.score is None:
            return self.is_blind
        return self.score <= self.stop or self.n_steps == self.method.steps

    def cells(self) -> Tensor:
        """Return the hole as (n, n) zeros and ones."""
        n = self.method.mask_size
        return (self.joined >= 0).float().view(n, n)

    def hole(self, cells: Tensor) -> Tensor:
        """Return cells as a (1, 1, D, D) hole."""
        return upsample(cells, self.probe.size, "nearest")

    def add(self, rank: Tensor) -> None:
        """Let the cells of highest rank join the hole.

        Parameters
        ----------
        rank
            (n, n), not negative.

        Raises
        ------
        UserError
            If there is NaN or infinity in it.
        """
        rank = self.probe.defined_gradient(rank)
        open_rank = rank.flatten().masked_fill(self.joined >= 0, -torch.inf)
        best = open_rank.argsort(descending=True, stable=True)[: self.method.cells_per_step]
        self.joined[best[self.joined[best] < 0]] = self.n_steps
        self.n_steps += 1
        self.score = None

    def heatmap(self) -> Heatmap:
        n = self.method.mask_size
        values = (self.cells() if self.method.heatmap == "binary" else self._order()).view(n, n)
        score = self.probe.original if self.score is None else self.score
        return self.probe.heatmap(
            values,
            (0.0, 1.0),
            Placement("nearest"),
            steps=self.n_steps,
            area=float(self.cells().mean()),
            final_score=score,
            reached_stop=float(score <= self.stop),
            changed_nothing=float(self.is_blind),
        )

    def _order(self) -> Tensor:
        """Give a cell that joined at the t-th of T steps (T - t) / T, and the others 0."""
        falling = (self.n_steps - self.joined) / max(self.n_steps, 1)
        return torch.where(self.joined >= 0, falling, 0.0)


def chance(alternatives: int) -> float:
    """Return 1 / K to one digit, as the paper rounds: 0.001 for 1000 classes, 0.003 for 365."""
    return float(f"{1 / alternatives:.0e}")
