"""DeepFill-v1 against tensors of the authors' graph, and its attention against a slow twin."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from genattr.filler._deepfill import contextual_attention as ca
from genattr.filler._deepfill import network as deepfill_network
from tests.filler import seeded_deepfill as seeded
from tests.filler.seeded_deepfill import Array, golden, nchw, nhwc
from tests.filler.slow_attention import slow_attention

ATOL = 5e-5
SHARP = 10.0
SOFT = 0.1


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return seeded.network()


def run(network: nn.Module, image: Tensor, hole: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Run the network; return what comes out of it and of each of its modules, by name."""
    seen: dict[str, Tensor] = {}
    modules = [(name, module) for name, module in network.named_modules() if name]
    hooks = [
        module.register_forward_hook(
            lambda _, given, output, name=name: seen.update(
                {name: output.clone(), f"{name} in": given[0].clone()}
            )
        )
        for name, module in modules
    ]
    with torch.no_grad():
        complete = network(image, hole)
    for hook in hooks:
        hook.remove()
    return complete, seen


@pytest.fixture(scope="module")
def small_case(network: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
    return run(network, *seeded.given("s"))


def close(found: Tensor, expected: Array, atol: float = ATOL) -> None:
    assert np.allclose(nhwc(found), expected, rtol=0, atol=atol), np.abs(
        nhwc(found) - expected
    ).max()


LAYERS = sorted({re.sub("s_L_|_(stat|tl|br)$", "", k) for k in golden() if k.startswith("s_L_")})


def test_every_layer_has_a_golden_sample() -> None:
    assert len(LAYERS) == 42
    assert {name.split(".")[1] for name in deepfill_network.variable_names()} == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer(small_case: tuple[Tensor, dict[str, Tensor]], layer: str) -> None:
    (found,) = (nhwc(v) for name, v in small_case[1].items() if name.split(".")[-1] == layer)
    assert np.allclose(found[:3, :3, :8], golden()[f"s_L_{layer}_tl"], rtol=0, atol=ATOL)
    assert np.allclose(found[-3:, -3:, :8], golden()[f"s_L_{layer}_br"], rtol=0, atol=ATOL)
    wide = found.astype(np.float64)
    mean, std, total = golden()[f"s_L_{layer}_stat"]
    assert wide.mean() == pytest.approx(mean, abs=ATOL)
    assert wide.std() == pytest.approx(std, abs=ATOL)
    assert np.abs(wide).sum() == pytest.approx(total, rel=ATOL)


@pytest.mark.parametrize(
    ("tap", "golden_name"),
    [
        ("coarse", "s_coarse_preclip"),
        ("imagined", "s_hallu"),
        ("matched", "s_ca_in"),
        ("copied in", "s_ca_out"),
        ("copied", "s_pm"),
        ("fine", "s_fine_preclip"),
    ],
)
def test_each_part(
    small_case: tuple[Tensor, dict[str, Tensor]], tap: str, golden_name: str
) -> None:
    close(small_case[1][tap], golden()[golden_name])


def test_the_clipped_stages(network: nn.Module) -> None:
    image, hole = seeded.given("s")
    visible = image * (1 - hole)
    with torch.no_grad():
        guess = network.coarse_guess(visible, hole)
        close(guess, golden()["s_coarse"])
        close(network.refine(guess * hole + visible, hole), golden()["s_fine"])


def test_a_small_photo_is_completed(small_case: tuple[Tensor, dict[str, Tensor]]) -> None:
    close(small_case[0], golden()["s_complete"])
    as_bytes = ((nhwc(small_case[0]) + 1) * 127.5).clip(0, 255).astype(np.uint8)[..., ::-1]
    assert np.abs(as_bytes.astype(int) - golden()["s_u8_rgb"]).max() <= 1


def test_the_attentions_steps(small_case: tuple[Tensor, dict[str, Tensor]]) -> None:
    features = small_case[1]["matched"]
    hole = ca.nearest(seeded.given("s")[1], 16, 24)
    close(hole, golden()["s_mask_s"], 0)
    removed, half = ca.nearest(hole, 8, 12), ca.nearest(features, 8, 12)
    close(removed, golden()["s_mask_att"], 0)
    close(half, golden()["s_f_down"])
    known = ca.usable(removed)
    assert np.array_equal(known.flatten(), golden()["s_mm"].ravel())
    scores = ca.similarity(half, half)
    assert np.allclose(scores, golden()["s_score_raw"].reshape(1, 96, 96), atol=ATOL)
    fused = ca.fuse(scores, 8, 12)
    assert np.allclose(fused, golden()["s_score_fused"].reshape(1, 96, 96), atol=ATOL)
    weights = ca.attention(features, features, hole)
    assert torch.equal(weights, ca.weights(fused, known))
    assert np.allclose(weights, golden()["s_att"].reshape(1, 96, 96), rtol=0, atol=ATOL)
    assert np.array_equal(best(weights, 12).reshape(8, 12, 2), golden()["s_argmax"])
    own = np.stack(np.mgrid[:8, :12], axis=-1)
    assert np.array_equal(golden()["s_argmax"] - own, golden()["s_offset"])


def best(weights: Tensor, width: int) -> Array:
    """Return the (row, column) of the patch that each position attends to most."""
    index = weights.argmax(dim=2).numpy()
    return np.stack([index // width, index % width], axis=-1)


def test_a_photo_of_256_pixels_is_completed(network: nn.Module) -> None:
    image, hole = seeded.given("chelsea")
    complete, seen = run(network, image, hole)
    close(seen["coarse"].clamp(-1, 1), golden()["chelsea_coarse"])
    close(complete, golden()["chelsea_complete"])
    as_bytes = ((nhwc(complete) + 1) * 127.5).clip(0, 255).astype(np.uint8)[..., ::-1]
    assert np.abs(as_bytes.astype(int) - golden()["chelsea_u8_rgb"]).max() <= 1
    matched = seen["matched"]
    weights = ca.attention(matched, matched, ca.nearest(hole, 64, 64))
    assert np.array_equal(best(weights, 32).reshape(32, 32, 2), golden()["chelsea_argmax"])


@pytest.mark.parametrize(("fused", "expected"), [(True, "y"), (False, "y_nofuse")])
def test_attention_alone(fused: bool, expected: str) -> None:
    parts = [nchw(golden()[f"ca_unit_{part}"]) for part in ("f", "b", "mask")]
    found = ca.contextual_attention(*parts, fused=fused)
    assert torch.allclose(found, nchw(golden()[f"ca_unit_{expected}"]), rtol=0, atol=ATOL)
    if fused:
        own = np.stack(np.mgrid[:12, :20], axis=-1)
        weights = ca.attention(*parts)
        offset = best(weights, 20).reshape(2, 12, 20, 2) - own
        assert np.array_equal(offset, golden()["ca_unit_offset"])


@pytest.mark.parametrize("table", [name for name in golden() if name.startswith("nn_idx")])
def test_nearest_pixels(table: str) -> None:
    size, wanted = map(int, re.findall(r"\d+", table))
    assert np.array_equal(ca.nearest_index(size, wanted, torch.device("cpu")), golden()[table])


@pytest.mark.parametrize(("fused", "expected"), [(True, "y"), (False, "y_nofuse")])
def test_the_slow_twin_agrees_with_the_authors_graph(fused: bool, expected: str) -> None:
    cases = zip(*(golden()[f"ca_unit_{part}"] for part in ("f", "b", "mask")), strict=True)
    for row, (foreground, background, hole) in enumerate(cases):
        found, _ = slow_attention(foreground, background, hole, fused)
        assert np.allclose(found, golden()[f"ca_unit_{expected}"][row], rtol=0, atol=ATOL)


def agrees_with_the_slow_twin(seen: dict[str, Tensor], hole: Tensor, atol: float) -> Array:
    """Compare what attention gave within a network; return the twin's weights."""
    features = nhwc(seen["matched"])
    small = ca.nearest(hole, *features.shape[:2])
    expected, weights = slow_attention(features, features, nhwc(small))
    close(seen["copied in"], expected, atol)
    return weights


@pytest.mark.parametrize("sharpness", [SOFT, 1.0, SHARP])
@pytest.mark.parametrize("size", [(64, 96), (40, 24), (8, 8), (16, 200)])
def test_soft_and_sharp_attention(sharpness: float, size: tuple[int, int]) -> None:
    image, hole = scene(1, 1, size)
    _, seen = run(seeded.network(sharpness), image, hole)
    weights = agrees_with_the_slow_twin(seen, hole, ATOL * max(1.0, sharpness))
    if size == (64, 96):
        clear = weights.max(axis=1).mean()
        assert clear < 0.7 if sharpness == SOFT else clear > 0.9
        lost = 1 - weights.sum(axis=1).min()  # the share of patches that touch the hole
        assert lost > 1e-3 if sharpness == SOFT else lost < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("sharpness", [SOFT, 1.0, SHARP])
def test_attention_at_512_pixels(sharpness: float) -> None:
    image, hole = scene(2, 1, (512, 512))
    complete, seen = run(seeded.network(sharpness), image, hole)
    agrees_with_the_slow_twin(seen, hole, ATOL * max(1.0, sharpness))
    assert complete.isfinite().all()


def scene(seed: int, rows: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return smooth photos in [-1, 1] and a rectangular hole in each."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(rows, 3, 6, 6, generator=generator) * 2 - 1
    images = nn.functional.interpolate(coarse, size, mode="bicubic").clamp(-1, 1)
    holes = torch.zeros(rows, 1, *size)
    for row in range(rows):
        y, x = (int(torch.randint(0, side // 2, (), generator=generator)) for side in size)
        holes[row, 0, y : y + size[0] // 3, x : x + size[1] // 3] = 1
    return images, holes


@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_rows_do_not_depend_on_each_other(network: nn.Module, seed: int) -> None:
    images, holes = scene(seed, 3, (40, 64))
    together, _ = run(network, images, holes)
    for row in range(3):
        alone, _ = run(network, images[row : row + 1], holes[row : row + 1])
        assert torch.allclose(together[row], alone[0], rtol=0, atol=ATOL / 10)


@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_the_photo_stays_and_what_the_hole_hides_does_not_count(
    network: nn.Module, seed: int
) -> None:
    image, hole = scene(seed, 1, (40, 64))
    complete, _ = run(network, image, hole)
    assert torch.equal(complete * (1 - hole), image * (1 - hole))
    other, _ = run(network, torch.where(hole > 0, torch.rand_like(image), image), hole)
    assert torch.equal(complete, other)


def test_rows_are_attended_to_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [nchw(golden()[f"ca_unit_{part}"]) for part in ("f", "b", "mask")]
    whole = ca.contextual_attention(*parts)
    monkeypatch.setattr(ca, "ROOM", 1)
    assert torch.allclose(ca.contextual_attention(*parts), whole, rtol=0, atol=1e-6)


def test_a_photo_that_is_removed_whole_has_nothing_to_copy(network: nn.Module) -> None:
    image, _ = scene(3, 1, (64, 96))
    complete, seen = run(network, image, torch.ones(1, 1, 64, 96))
    assert not seen["copied in"].any()
    assert complete.isfinite().all()
    nothing, _ = run(network, torch.zeros_like(image), torch.ones(1, 1, 64, 96))
    assert torch.equal(complete, nothing)


def test_a_thin_hole_may_vanish_for_attention(network: nn.Module) -> None:
    """Row 2 is not among the nearest rows when 64 of them become 16."""
    image, hole = scene(4, 1, (64, 96))
    hole = torch.zeros_like(hole)
    hole[:, :, 2] = 1
    assert not ca.nearest(hole, 16, 24).any()
    _, seen = run(network, image, hole)
    agrees_with_the_slow_twin(seen, torch.zeros_like(hole), ATOL)
