"""Counted noise against SplitMix64 in Python's integers, and against the normal distribution."""

from __future__ import annotations

from statistics import NormalDist

import pytest
import torch
from scipy import stats

from genattr.ops import counter_noise
from genattr.ops.counter_noise import draws, normals

CPU = torch.device("cpu")
PUBLISHED = [  # of the seed 1234567, by the reference implementation
    6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431,
    16408922859458223821,
]  # fmt: skip


def splitmix64(state: int, count: int) -> list[int]:
    """Compute the first outputs as they are published, in unsigned integers of 64 bits."""
    whole, outputs = 2**64 - 1, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & whole
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & whole
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & whole
        outputs.append(z ^ (z >> 31))
    return outputs


def test_draws_are_splitmix64() -> None:
    seeds = [1234567, 0, 1, 2**62, 2**63 - 1]
    found = [[number % 2**64 for number in row] for row in draws(torch.tensor(seeds), 50).tolist()]
    assert found == [splitmix64(seed, 50) for seed in seeds]
    assert found[0][:5] == PUBLISHED


def test_numbers_are_the_quantiles_of_the_draws_words() -> None:
    expected = []
    for output in splitmix64(77, 5):
        for place in range(4):
            word = output >> 16 * place & 0xFFFF
            signed = word - 65536 if word >= 32768 else word
            expected.append(NormalDist().inv_cdf((signed + 32768.5) / 65536))
    found = normals([77], 18, CPU)
    assert found.shape == (1, 18)
    assert torch.allclose(found[0], torch.tensor(expected[:18]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("count", [1, 4, 3 * 33 * 33])
def test_a_row_follows_from_its_seed_alone(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = [5, 2**63 - 1, 0, 5]
    together = normals(seeds, count, CPU)
    for row, seed in enumerate(seeds):
        assert torch.equal(together[row], normals([seed], count, CPU)[0])
    monkeypatch.setattr(counter_noise, "ROOM_OF_CPU", 2 * count)
    assert torch.equal(together, normals(seeds, count, CPU))


def test_numbers_are_normal() -> None:
    numbers = normals(range(4), 150_000, CPU).flatten()
    for power, moment, deviation in ((1, 0, 1), (2, 1, 2**0.5), (3, 0, 15**0.5), (4, 3, 96**0.5)):
        error = deviation / len(numbers) ** 0.5
        assert float((numbers**power).mean()) == pytest.approx(moment, abs=4 * error)
    assert stats.kstest(numbers.numpy()[::10], "norm").pvalue > 0.01


def test_rows_neighbors_and_words_are_independent() -> None:
    """Also of seeds that follow each other; each correlation has a deviation of 1/200."""
    numbers = normals(range(3), 40_000, CPU)
    shifted = [numbers[0].roll(places) for places in (1, 2, 3, 4, 224, 224 * 224 % 40_000)]
    table = torch.stack([*numbers, *shifted, numbers[0] ** 2, numbers[1].abs()])
    between = torch.corrcoef(table) - torch.eye(len(table))
    between[0, -2] = between[-2, 0] = between[1, -1] = between[-1, 1] = 0  # of the same numbers
    assert between.abs().max() < 4.5 / 200
