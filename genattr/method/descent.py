"""Masks of several photos that are learned together by Adam."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from genattr.method.search import Entry, Search
from genattr.ops.adam import Adam
from genattr.probe import Probe


class Descent(Search):
    """A search that learns its masks by Adam, in as many steps for each photo.

    Parameters
    ----------
    values
        (S, n, n), what is learned; S photos at a time.
    rates
        Adam's learning rate in each step.
    rows
        Rows of a batch that a photo takes.
    like
        One of the probes; see ``Stack``.

    Attributes
    ----------
    number
        (S,) int64 on the device, the steps of each photo so far.
    """

    def __init__(self, values: Tensor, rates: Sequence[float], rows: int, like: Probe) -> None:
        super().__init__(len(values), len(rates), like)
        self.values, self._rows = values, rows
        self.number = torch.zeros(len(values), dtype=torch.long, device=values.device)
        self._adam = Adam(values, rates)

    @property
    def state(self) -> Sequence[Tensor]:
        return *self._adam.state, self.number

    def begin(self, slot: int, entry: Entry) -> None:
        self.values[slot] = self.start(slot, entry)
        self.number[slot] = 0
        self._adam.begin(slot)

    def step(self) -> None:
        number = self.number.clamp(max=self.bound - 1)
        values = self.values.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.loss(values, number).sum(), values)
        self._adam.step(gradient, number)
        self.limit()
        self.number.add_(1)

    def look(self) -> None:
        are_defined = self.values.isfinite().flatten(1).all(dim=1).tolist()
        for slot, entry in self.running:
            entry.probe.require_gradient(is_defined=are_defined[slot])
            age = entry.age(self.taken)
            entry.count(self._rows * age, self._rows * age if slot in self.stack.asking else 0)
            entry.finished = age == self.bound

    def limit(self) -> None:
        """Bring the values back to where they are allowed, after a step."""
        return

    @abstractmethod
    def start(self, slot: int, entry: Entry) -> Tensor:
        """Prepare for a photo that has come, and return the (n, n) values that it begins with."""

    @abstractmethod
    def loss(self, values: Tensor, number: Tensor) -> Tensor:
        """Return the (S,) objectives at a step.

        Parameters
        ----------
        values
            (S, n, n).
        number
            (S,) int64, the step of each photo, from 0.
        """
