"""Random draws that depend on the run's seed, the photo and the purpose, and on nothing else."""

from __future__ import annotations

from hashlib import blake2b

import torch
from torch import Tensor


def derive(*parts: object) -> int:
    """Hash the parts to a seed in 0..2**63-1, the same on every machine."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """Return a CPU generator seeded by the parts, so that every device sees the same draws."""
    return torch.Generator().manual_seed(derive(*parts))


def of_holes(hole: Tensor, *parts: object) -> list[int]:
    """Derive one seed per row from the parts and the hole itself.

    Equal holes get equal seeds in any order or batch.

    Parameters
    ----------
    hole
        (B, 1, D, D) bool.
    """
    packed = hole.flatten(1).cpu().numpy()
    return [derive(*parts, blake2b(row.tobytes(), digest_size=8).hexdigest()) for row in packed]
