"""Seeds of holes against the plain hash of each hole's bytes; draws that are seeded for a while."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pytest
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


def test_a_fixed_seed_draws_as_manual_seed_does_and_is_taken_back() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    before = torch.random.get_rng_state()
    with seeds.fixed(7):
        assert torch.equal(torch.rand(3), expected)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_gpu_is_seeded_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a GPU's generator is touched")

    for name in ("manual_seed", "manual_seed_all", "get_rng_state", "set_rng_state", "init"):
        monkeypatch.setattr(torch.cuda, name, refuse)
    with seeds.fixed(0):
        torch.rand(1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpus_generator_is_seeded_where_asked_and_taken_back() -> None:
    gpu = torch.device("cuda", 0)
    before = torch.cuda.get_rng_state(gpu)
    with seeds.fixed(7):
        torch.rand(3)
    assert torch.equal(torch.cuda.get_rng_state(gpu), before)
    with seeds.fixed(7, gpu):
        first = torch.rand(3, device=gpu)
    with seeds.fixed(7, gpu):
        assert torch.equal(torch.rand(3, device=gpu), first)
    assert torch.equal(torch.cuda.get_rng_state(gpu), before)
