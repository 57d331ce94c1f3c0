"""Reduced precision of the classifier, for GPUs that are faster with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from genattr.errors import require
from genattr.protocols import Classifier

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
NAMES = ("fp32", *DTYPES)
COMPARED = 8  # photos on which the two are compared


@dataclass(frozen=True)
class Reduced(Classifier):
    """A classifier whose convolutions and products are computed with 16 bits.

    Parameters
    ----------
    classifier
        With 32 bits.
    precision
        ``bf16`` or ``fp16``.
    """

    key_name: ClassVar[str] = "genattr.precision.Reduced"
    tolerance: ClassVar[float] = 1e-2

    classifier: Classifier
    precision: str
    device: torch.device = field(metadata={"identity": False})

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
        return self.classifier.network

    def to(self, device: torch.device) -> None:
        self.classifier.to(device)

    def __call__(self, images: Tensor) -> Tensor:
        with torch.autocast(self.device.type, DTYPES[self.precision]):
            return self.classifier(images).float()

    @torch.no_grad()
    def difference(self, images: Tensor) -> float:
        """Return the largest change of any class's probability by the reduced precision.

        Parameters
        ----------
        images
            (B, 3, D, D) in [0, 1].
        """
        exact = self.probabilities(self.classifier(images))
        return float((self.probabilities(self(images)) - exact).abs().max())


def reduce(classifier: Classifier, precision: str, device: torch.device) -> Classifier:
    """Return the classifier with the bits that ``precision`` asks for."""
    require(precision in NAMES, f"precision={precision}: must be fp32, bf16 or fp16")
    return classifier if precision == "fp32" else Reduced(classifier, precision, device)
