"""MP, MP2 and FIDO as one would write them first: photo by photo, with PyTorch's own Adam.

A batch has as many rows as that of all photos together, black ones behind the photo's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from genattr.method.fido import Fido, relaxed_bits
from genattr.method.mp import MP
from genattr.method.mp2 import MP2
from genattr.probe import Probe
from genattr.scoring import Scores


def scores(probe: Probe, images: Tensor, rows: int) -> Scores:
    probe.counts.add_scored(len(images))
    padded = functional.pad(images, (0, 0, 0, 0, 0, 0, 0, rows - len(images)))
    return probe.scorer.read(probe.classifier(padded)[: len(images)])


def large(cells: Tensor, probe: Probe, mode: str) -> Tensor:
    corners = None if mode == "nearest" else False
    size = (probe.size, probe.size)
    return functional.interpolate(cells[None, None], size, mode=mode, align_corners=corners)


def moved(
    probe: Probe, jitter: int, draws: torch.Generator, known: dict[tuple[int, int], Probe]
) -> Probe:
    if jitter == 0:
        return probe
    side = (probe.size + jitter, probe.size + jitter)
    image = functional.interpolate(probe.sample.image[None], side, mode="bilinear")[0]
    y, x = torch.randint(jitter, (2,), generator=draws).tolist()
    window = image[:, y : y + probe.size, x : x + probe.size]
    return known.setdefault((y, x), probe.sharing_counts(image=window))


def variation(hole: Tensor) -> Tensor:
    return hole.diff(dim=0).abs().pow(3).sum() + hole.diff(dim=1).abs().pow(3).sum()


def mp(method: MP, probe: Probe) -> Tensor:
    """Return the (n, n) hole."""
    draws = probe.generator("mp")
    hole = torch.rand(method.mask_size, method.mask_size, generator=draws).requires_grad_()
    adam = torch.optim.Adam([hole], lr=method.lr)
    known: dict[tuple[int, int], Probe] = {}
    for _ in range(method.steps):
        removed = large(hole, probe, method.interpolation)
        views = [moved(probe, method.jitter, draws, known) for _ in range(method.jitter_batch)]
        images = torch.cat([view.composite(removed, hard=method.binarize) for view in views])
        rows = method.together * method.jitter_batch
        score = scores(probe, images, rows).explained.mean()
        deletes = method.objective == "deletion"
        size = (hole if deletes else 1 - hole).abs().sum()
        penalty = method.l1 * size + method.tv * variation(hole)
        adam.zero_grad()
        (penalty + (score if deletes else -score)).backward()
        adam.step()
        with torch.no_grad():
            hole.clamp_(0, 1)
    return hole.detach()


def mp2(method: MP2, probe: Probe, stop: float) -> Tensor:
    """Return the (n, n) steps at which cells joined; -1: they have not."""
    n = method.mask_size
    joined = torch.full((n * n,), -1)
    ranker = probe.sharing_counts(filler=method.rank_filler) if method.ranks_apart else probe
    for step in range(method.steps + 1):
        cells = (joined >= 0).float().view(n, n).requires_grad_()
        hole = large(cells, probe, "nearest")
        images = probe.composite(hole)
        found = scores(probe, images, method.together)
        if found.prob.item() <= stop or step == method.steps:
            break
        if method.ranks_apart:
            images = ranker.composite(hole)
            found = scores(ranker, images, method.together)
        rank = (
            rank_of(method, found.unbounded.sum(), cells, images)
            .flatten()
            .masked_fill(joined >= 0, -torch.inf)
        )
        best = rank.argsort(descending=True, stable=True)[: method.cells_per_step]
        joined[best[joined[best] < 0]] = step
    return joined.view(n, n)


def rank_of(method: MP2, odds: Tensor, cells: Tensor, images: Tensor) -> Tensor:
    if method.rank_by == "mask_gradient":
        return torch.autograd.grad(odds, cells)[0].abs()
    norm = torch.autograd.grad(odds, images)[0][0].norm(dim=0)
    size, n = len(norm), method.mask_size
    sums = torch.zeros(n, n)
    for y in range(size):
        for x in range(size):
            sums[y * n // size, x * n // size] += norm[y, x]
    return sums


def fido(method: Fido, probe: Probe) -> Tensor:
    """Return the (n, n) logits of dropping."""
    draws = probe.generator("fido")
    logits = torch.zeros(method.mask_size, method.mask_size, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=method.lr)
    for step in range(method.steps):
        adam.param_groups[0]["lr"] = method.lr * (1 - step / method.steps)
        drop = large(torch.sigmoid(logits), probe, "bilinear")
        uniform = torch.rand(method.batch, 1, probe.size, probe.size, generator=draws)
        images = probe.composite(relaxed_bits(drop, uniform, method.temperature))
        rows = method.together * method.batch
        score = scores(probe, images, rows).unbounded.mean()
        weight = method.l1 * min(step / 30, 1)
        keeps = method.objective == "preservation"
        size = (1 - drop if keeps else drop).sum()
        adam.zero_grad()
        (weight * size + (-score if keeps else score)).backward()
        adam.step()
    return logits.detach()
