"""The interface of attribution methods."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from genattr.probe import Probe
from genattr.protocols import Classifier, Component
from genattr.types import Heatmap, RectangleHoles

GENERATIVE = "-G"  # ends the title of a method that requires an inpainter


class Method(Component):
    """An attribution method.

    Attributes
    ----------
    requires_inpainter
        Fillers that do not synthesize from the hole's surroundings are refused: a G method.
    needs_gradient
        It differentiates the classifier.
    needs_boxes
        It uses the labeled boxes; photos without boxes are skipped and reported.
    needs_network
        It uses the PyTorch module ``probe.network``, as Grad-CAM does for its layers.
    """

    group: ClassVar[str] = "method"
    requires_inpainter: bool = False
    needs_gradient: ClassVar[bool] = False
    needs_boxes: ClassVar[bool] = False
    needs_network: ClassVar[bool] = False

    @property
    def family(self) -> str:
        """Name that a G method and its plain counterpart share."""
        return self.title

    def unit(self, quantity: str) -> str:
        """Return what a value of a map is, for people.

        Parameters
        ----------
        quantity
            What is explained, for people, such as "probability".
        """
        return "value of the map, without a unit"

    @property
    def needs_fill_outside(self) -> bool:
        """The mask gradient is zero if the filler copies the photo outside the hole."""
        return False

    def calls(self, size: int) -> int:
        """Return an upper bound of the images that one explanation scores, for progress and cost.

        It is called before any photo is opened, so it should raise UserError for parameters that
        do not fit images of ``size`` pixels.
        """
        raise NotImplementedError

    def check(self, classifier: Classifier, device: torch.device) -> None:
        """Raise UserError if the method cannot explain a classifier, on a device."""

    def rows(self, size: int, heatmaps: int) -> int:
        """Bound the images, padding included, that go through the network for so many heatmaps."""
        return self.calls(size) * heatmaps

    def explain(self, probe: Probe) -> Heatmap:
        """Explain the probe's target on the probe's photo."""
        raise NotImplementedError

    def explain_many(self, probes: Iterable[Probe]) -> Iterator[tuple[Probe, Heatmap]]:
        """Explain photos in any order, with the same results as one by one, and time each."""
        for probe in probes:
            start = time.perf_counter()
            heatmap = self.explain(probe)
            yield probe, replace(heatmap, seconds=time.perf_counter() - start)

    def removed(self, heatmap: Heatmap, size: int) -> Tensor | None:
        """Return the method's final hole, as the classifier last saw it.

        Returns
        -------
        (1, 1, size, size) bool, or float in [0, 1] if the hole is soft; None: the method has no
        final hole.
        """
        return None

    def sample_hole(self, heatmap: Heatmap, probe: Probe) -> Tensor | None:
        """Return one of the holes that the method asked about, for pictures.

        Returns
        -------
        (1, 1, D, D) bool; None: it asks about none that tells anything by itself.
        """
        return None

    def cell_holes(self, size: int) -> RectangleHoles | None:
        """Return the windows whose removal lowers the probability by the value of a map's cell.

        Returns
        -------
        One per cell, row by row, all of one size; None: cells have another meaning, or belong to
        other holes.
        """
        return None
