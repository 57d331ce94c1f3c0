"""Seeds of holes against the plain hash of each hole's bytes."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import torch

from genattr import seeds


def holes(size: int = 17) -> torch.Tensor:
    return torch.rand(6, 1, size, size, generator=torch.Generator().manual_seed(0)) < 0.5


def test_a_seed_is_the_hash_of_its_hole() -> None:
    hole = holes()
    hashes = [blake2b(row.numpy().tobytes(), digest_size=8).hexdigest() for row in hole]
    expected = [seeds.derive(3, "photo", "fill", one) for one in hashes]
    assert seeds.of_holes(hole, 3, "photo", "fill") == expected
    assert seeds.of_holes(hole[::2], 3, "photo", "fill") == expected[::2]


def test_seeds_keep_the_values_that_stored_heatmaps_were_made_with() -> None:
    square = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    square[..., 2:5, 1:7] = True
    assert seeds.of_holes(square, 0, "cat.jpg", "fill") == [6638685690061667132]


def test_bits_that_travel_packed_are_the_same() -> None:
    for size in (16, 17):
        flat = holes(size).flatten(1)
        packed = seeds.packed(flat)
        assert np.array_equal(packed, np.packbits(flat, axis=1))
        assert np.array_equal(seeds.unpacked(packed, size**2), flat)
