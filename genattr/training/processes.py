"""Training in several processes, as ``torchrun`` starts them; one process needs none of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from genattr import environment
from genattr.errors import require

PATIENCE = timedelta(days=1)  # while the first process reads the photos


@dataclass(frozen=True)
class Processes:
    """The processes that train together.

    Attributes
    ----------
    rank
        This one, from 0 on.
    count
        All.
    """

    rank: int
    count: int

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and talks."""
        return self.rank == 0

    def average(self, values: Tensor) -> None:
        """Replace values by their mean over the processes."""
        if self.count > 1:
            distributed.all_reduce(values)
            values /= self.count

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            distributed.barrier()


def started() -> Processes:
    """Return what ``torchrun`` tells through the environment."""
    return Processes(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def own_device(name: str) -> torch.device:
    """Return the device of this process; under ``torchrun`` the GPU of its own number.

    Raises
    ------
    UserError
        If this machine has no such device, or fewer GPUs than processes.
    """
    device = environment.resolve_device(name)
    if device.type != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    index, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    require(
        index < there,
        f"torchrun started {os.environ['LOCAL_WORLD_SIZE']} processes here, but there are {there} "
        "GPUs: lower --nproc-per-node, or use device=cpu",
    )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


@contextmanager
def together(processes: Processes, device: torch.device) -> Iterator[None]:
    """Connect the processes."""
    if processes.count == 1:
        yield
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()
