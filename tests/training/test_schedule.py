from __future__ import annotations

import pytest

from genattr.training.schedule import decay, plan
from tests.training.test_settings import read


def test_crop_sizes_take_turns_in_stages() -> None:
    settings = read("steps=100")
    sides = [plan(step, settings, 1).side for step in range(100)]
    assert set(sides[:50]) == {128}
    assert sides[50:54] == [160, 128, 160, 128]
    assert sides[70:76] == [224, 128, 224, 224, 128, 224]


def test_a_batch_has_as_many_pixels_at_every_size_and_is_shared_out() -> None:
    settings = read("steps=100", "batch=192")
    assert [plan(step, settings, 1).count for step in (0, 50, 70)] == [192, 123, 63]
    assert plan(0, settings, 4).count == 48


def test_the_learning_rate_warms_up_and_falls_to_0() -> None:
    settings = read("steps=1000", "warmup=10", "lr=0.1")
    rates = [plan(step, settings, 1).lr for step in (0, 9, 500, 999)]
    assert rates == pytest.approx([0.01, 0.1, 0.05, 0], abs=1e-4)


def test_the_discriminator_learns_before_it_counts() -> None:
    settings = read("steps=100", "adversarial=2", "gan_from=0.2", "gan_full=0.4")
    plans = [plan(step, settings, 1) for step in (10, 18, 30, 50)]
    assert [one.judging for one in plans] == [False, True, True, True]
    assert [one.adversarial for one in plans] == pytest.approx([0, 0, 1, 2])
    assert not plan(50, read("steps=100", "adversarial=0"), 1).judging


def test_the_running_mean_forgets_the_first_steps() -> None:
    assert decay(0, 0.999) == 0.1
    assert decay(10**6, 0.999) == 0.999
