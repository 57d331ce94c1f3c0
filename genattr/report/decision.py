"""What a page about one decision shows: the heatmap, and what the classifier says without parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from genattr import components, config
from genattr.method.base import Method
from genattr.metric.pixel_order import pixel_ranks
from genattr.plot.parts import Pixels
from genattr.probe import Probe
from genattr.protocols import Filler
from genattr.results.examples import pixels
from genattr.types import Heatmap, Sample

SHARES = (0.05, 0.1, 0.2, 0.4)  # of the pixels, removed in the order of the heatmap
TOLD = 0.2  # the share that the summary speaks of
FIRST = 5  # classes


class Choice(NamedTuple):
    """A class and its probability."""

    label: str
    probability: float


@dataclass(frozen=True)
class Answer:
    """An image that the classifier was asked about, and what it said.

    Attributes
    ----------
    image
        (D, D, 3) uint8.
    probability
        Of the explained class.
    first
        The classifier's first choice.
    """

    image: Pixels
    probability: float
    first: Choice


@dataclass(frozen=True)
class Hidden:
    """A hole, and what stood there.

    Attributes
    ----------
    hole
        (D, D) in [0, 1], 1 = removed.
    answer
        The photo with the hole filled.
    is_final
        It is what the method removes in the end, not one of many holes that it asked about.
    """

    hole: NDArray[np.float32]
    answer: Answer
    is_final: bool


@dataclass(frozen=True)
class Decision:
    """One photo, one explained class, and what the classifier says when parts are removed.

    Attributes
    ----------
    sample
        The photo; its boxes are the labeled ones.
    label
        Name of the explained class.
    answer
        The classifier's answer to the untouched photo.
    choices
        Its first choices, the highest first.
    rank
        Place of the explained class among all, from 1.
    heatmap
        What is explained.
    values
        (D, D) the heatmap over the photo.
    hidden
        A hole that the method asked about; None: it asks about none.
    strongest, weakest
        The photo without its strongest and weakest pixels, one answer for each of ``SHARES``.
    other, others_title
        The photo without the strongest pixels of the share ``TOLD``, filled by another filler, and
        that filler's name.
    """

    sample: Sample
    label: str
    answer: Answer
    choices: Sequence[Choice]
    rank: int
    heatmap: Heatmap
    values: NDArray[np.float32]
    hidden: Hidden | None
    strongest: Sequence[Answer]
    weakest: Sequence[Answer]
    other: Answer
    others_title: str

    @property
    def without(self) -> Answer:
        """The photo without the strongest pixels that the summary speaks of."""
        return self.strongest[SHARES.index(TOLD)]

    @property
    def without_weakest(self) -> Answer:
        """The same without as many of the weakest pixels."""
        return self.weakest[SHARES.index(TOLD)]

    @property
    def is_doubtful(self) -> bool:
        """Whether over all shares the strongest parts matter no more than the weakest."""
        by, against = (
            sum(answer.probability for answer in answers)
            for answers in (self.strongest, self.weakest)
        )
        return by >= against

    @property
    def reversed_at(self) -> Sequence[float]:
        """The shares at which the strongest part matters no more than the weakest."""
        pairs = zip(SHARES, self.strongest, self.weakest, strict=True)
        return [share for share, by, against in pairs if by.probability >= against.probability]


@torch.no_grad()
def decide(probe: Probe, heatmap: Heatmap, method: Method, filler: Filler) -> Decision:
    """Ask the classifier about the photo without parts of it; what is asked is not counted.

    Parameters
    ----------
    probe
        The photo and the class that the heatmap explains.
    method, filler
        What the heatmap is made by.
    """
    other = another(filler)
    own = probe.of_probability().with_filler(filler)
    values = heatmap.to_image(probe.size)
    strongest = _holes(values, own)
    weakest = _holes(-values, own)
    hole, is_final = _hole(method, heatmap, probe)
    told = SHARES.index(TOLD)
    images = [own.image[None], own.composite(strongest), own.composite(weakest)]
    images.append(probe.with_filler(other).composite(strongest[told : told + 1]))
    images += [] if hole is None else [own.composite(hole.to(own.image.device))]
    (plain, *answers), choices, rank = _ask(own, torch.cat(images))
    count = len(SHARES)
    hidden = None
    if hole is not None:
        hidden = Hidden(hole[0, 0].float().cpu().numpy(), answers[-1], is_final)
    return Decision(
        sample=probe.sample,
        label=probe.classifier.labels[heatmap.target],
        answer=plain,
        choices=choices,
        rank=rank,
        heatmap=heatmap,
        values=values.numpy(),
        hidden=hidden,
        strongest=answers[:count],
        weakest=answers[count : 2 * count],
        other=answers[2 * count],
        others_title=other.title,
    )


def another(filler: Filler) -> Filler:
    """Return a filler of another kind: gray beside an inpainter, an inpainter beside others."""
    option = "gray" if filler.inpaints else "mirror"
    node = OmegaConf.load(config.folder() / "filler" / f"{option}.yaml")
    assert isinstance(node, DictConfig)
    return components.build(node, "filler", Filler)


def _holes(values: Tensor, probe: Probe) -> Tensor:
    """Return (shares, 1, D, D) bool holes of the highest pixels; ties in random order."""
    ranks = pixel_ranks(values, probe.generator("decision"))
    counts = torch.tensor([round(share * ranks.numel()) for share in SHARES])
    return (ranks < counts[:, None, None])[:, None].to(probe.image.device)


def _hole(method: Method, heatmap: Heatmap, probe: Probe) -> tuple[Tensor | None, bool]:
    """Return a hole that the method asked about, or else its final one, and whether it is that."""
    asked = method.sample_hole(heatmap, probe)
    if asked is not None:
        return asked, False
    return method.removed(heatmap, probe.size), True


def _ask(probe: Probe, images: Tensor) -> tuple[list[Answer], list[Choice], int]:
    """Return the answers to all images, and the first choices in the first, the photo."""
    scores = probe.scorer.scores(images)
    logits, labels = scores.logits.cpu(), probe.classifier.labels
    every = probe.classifier.probabilities(logits)
    firsts = every.max(dim=1)
    answers = [
        Answer(pixels(image), probability, Choice(labels[index], best))
        for image, probability, best, index in zip(
            images.cpu(), probe.defined(scores.prob).tolist(), *map(Tensor.tolist, firsts),
            strict=True,
        )
    ]  # fmt: skip
    best = every[0].topk(min(FIRST, len(labels)))
    choices = [Choice(labels[index], p) for p, index in zip(*map(Tensor.tolist, best), strict=True)]
    rank = 1 + int((every[0] > every[0, probe.target]).sum())
    return answers, choices, rank
