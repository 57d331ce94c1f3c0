"""Random draws that depend on the run's seed, the photo and the purpose, and on nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

CPU = torch.device("cpu")


def derive(*parts: object) -> int:
    """Hash the parts to a seed in 0..2**63-1, the same on every machine."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """Return a CPU generator seeded by the parts, so that every device sees the same draws."""
    return torch.Generator().manual_seed(derive(*parts))


@contextmanager
def fixed(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Seed PyTorch's own generators of the CPU and one device, and set them back afterwards.

    The generators of other devices stay as they are, which ``torch.manual_seed`` would seed too;
    no device is initialized for this.
    """
    is_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if is_cuda else []):
        torch.default_generator.manual_seed(seed)
        if is_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield


def of_holes(hole: Tensor, *parts: object) -> list[int]:
    """Derive one seed per row from the parts and the hole itself.

    Equal holes get equal seeds in any order or batch.

    Parameters
    ----------
    hole
        (B, 1, D, D) bool.
    """
    hashes = (blake2b(row, digest_size=8).hexdigest() for row in _rows(hole))
    return [derive(*parts, one) for one in hashes]


def _rows(hole: Tensor) -> NDArray[np.uint8]:
    """Return one byte a pixel; from another device, eight pixels travel in one."""
    flat = hole.flatten(1)
    if flat.device.type == "cpu":
        return flat.contiguous().view(torch.uint8).numpy()
    return unpacked(packed(flat).cpu(), flat.shape[1])


def packed(bits: Tensor) -> Tensor:
    """Pack (n, m) bools into bytes, the first of eight as the highest bit, as ``np.packbits``."""
    wide = functional.pad(bits, (0, -bits.shape[1] % 8)).view(len(bits), -1, 8).byte()
    place = torch.arange(7, -1, -1, dtype=torch.uint8, device=bits.device)
    return torch.bitwise_left_shift(wide, place).sum(dim=2, dtype=torch.uint8)


def unpacked(packed_bits: Tensor, count: int) -> NDArray[np.uint8]:
    """Return the first ``count`` bits of each row of bytes, one byte each."""
    return np.unpackbits(packed_bits.numpy(), axis=1, count=count)
