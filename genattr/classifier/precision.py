"""Reduced precision of the classifier, for GPUs that are faster with it."""

from __future__ import annotations

import copy
import logging
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from genattr import environment
from genattr.classifier import sixteen
from genattr.classifier.trial import trial_images
from genattr.errors import UserError, require
from genattr.ops.backward import RowScale, between
from genattr.protocols import Classifier
from genattr.scoring import answers

log = logging.getLogger(__name__)
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
NAMES = ("fp32", "tf32", *DTYPES)
COMPARED = 8  # photos on which the two are compared


@dataclass(frozen=True)
class Reduced(Classifier):
    """A classifier that computes with fewer bits; a subclass says how.

    Parameters
    ----------
    classifier
        With 32 bits.
    precision
        Its name.
    """

    tolerance: ClassVar[float] = 1e-2

    classifier: Classifier
    precision: str
    device: torch.device = field(metadata={"identity": False})

    @property
    def exact(self) -> Classifier:
        return self.classifier

    @property
    def title(self) -> str:
        return f"{self.classifier.title} {self.precision}"

    @property
    def input_size(self) -> int:
        return self.classifier.input_size

    @property
    def labels(self) -> Sequence[str]:
        return self.classifier.labels

    @property
    def sigmoid(self) -> bool:
        return self.classifier.sigmoid

    @property
    def has_logits(self) -> bool:
        return self.classifier.has_logits

    @property
    def reading(self) -> str:
        return self.classifier.reading

    @property
    def is_foreign(self) -> bool:
        return self.classifier.is_foreign

    def check_outputs(self, images: Tensor) -> None:
        self.classifier.check_outputs(images)

    @property
    def fingerprint(self) -> str | None:
        return self.classifier.fingerprint

    @property
    def has_gradient(self) -> bool:  # type: ignore[override]
        return self.classifier.has_gradient

    @property
    def network(self) -> nn.Module | None:
        """That of 32 bits."""
        return self.classifier.network

    @property
    def of_network(self) -> Classifier:
        return self.classifier

    def with_network(self, change: Callable[[nn.Module], nn.Module]) -> Classifier:
        changed = self.classifier.with_network(change)
        return self if changed is self.classifier else replace(self, classifier=changed)

    def to(self, device: torch.device) -> None:
        self.classifier.to(device)

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """Map (B, 3, D, D) in [0, 1] to (B, K) logits or log-probabilities, in 32 bits."""

    @torch.no_grad()
    def difference(self, images: Tensor) -> float:
        """Return the largest change of any class's probability by the reduced precision.

        Parameters
        ----------
        images
            (B, 3, D, D) in [0, 1].
        """
        exact = self.probabilities(answers(self.classifier, images))
        return float((self.probabilities(answers(self, images)) - exact).abs().max())


class TensorFloat(Reduced):
    """Computed with TF32, whose factors have 10 bits and sums 32, as is its gradient.

    All else that the process computes, such as fills, keeps its 32 bits. Devices without TF32
    compute as with fp32.
    """

    def __call__(self, images: Tensor) -> Tensor:
        if not self._is_possible:
            return self.classifier(images)
        with environment.tf32():
            return between(
                self.classifier,
                images,
                lambda _: environment.allow_tf32(True),
                lambda _: environment.allow_tf32(False),
            )

    @cached_property
    def _is_possible(self) -> bool:
        return environment.has_tf32(self.device)


class Sixteen(Reduced):
    """Convolutions and products of 16 bits; the last layer has 32, and so have the logits.

    The rest follows the rules of PyTorch's autocast.
    """

    def __call__(self, images: Tensor) -> Tensor:
        scale = RowScale()
        return between(partial(self._ask, self._fast), images, scale.enlarge, scale.restore)

    def _ask(self, classifier: Classifier, images: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self._dtype):
            return classifier(images).float()

    @property
    def _dtype(self) -> torch.dtype:
        return DTYPES[self.precision]

    @cached_property
    def _fast(self) -> Classifier:
        """The classifier with a copy of its network for 16 bits; itself if it cannot be copied."""
        twin = self._copied()
        if twin is self.classifier or not self._lower(twin):
            log.info(
                "precision=%s: the last layer of %s is not found, so it is computed in 16 bits too",
                self.precision,
                self.classifier.title,
            )
        return twin

    def _copied(self) -> Classifier:
        try:
            return self.classifier.with_network(copy.deepcopy)
        except Exception:  # a user's module may hold anything
            return self.classifier

    @torch.enable_grad()
    def _lower(self, twin: Classifier) -> bool:
        """Prepare a twin's own network; return whether its last layers keep 32 bits."""
        assert twin.network is not None
        images = trial_images(self.input_size)[:1].to(self.device).requires_grad_()
        try:
            return sixteen.lower(twin.network, lambda: self._ask(twin, images), self._dtype)
        except UserError:  # a function that answers plain images alone, such as one of NumPy
            return False


def reduce(classifier: Classifier, precision: str, device: torch.device) -> Classifier:
    """Return the classifier with the bits that ``precision`` asks for.

    Raises
    ------
    UserError
        If there is no such precision, or another runtime than PyTorch computes the classifier.
    """
    require(
        precision in NAMES,
        f"precision={precision}: must be {', '.join(NAMES[:-1])} or {NAMES[-1]}",
    )
    if precision == "fp32":
        return classifier
    require(
        classifier.in_pytorch,
        f"precision={precision}: {classifier.title} is computed outside PyTorch, where only "
        "precision=fp32 works",
    )
    if precision != "tf32":
        return Sixteen(classifier, precision, device)
    if not environment.has_tf32(device):
        log.info("precision=tf32: device %s has no TF32, so that it computes as fp32 does", device)
    return TensorFloat(classifier, precision, device)
