"""LightFill against the script that trained it, and the laws of what it leaves alone."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from genattr.engine.choose import Engine
from genattr.errors import UserError
from genattr.filler._lightfill import weights
from genattr.filler._lightfill.network import ARCHITECTURE, LightFill, smooth_fill
from genattr.filler.lightfill import LightFillInpainter
from genattr.probe import Probe
from genattr.types import DenseHoles
from tests.conftest import linear_probe
from tests.contract.options import built, compose_config
from tests.filler import lightfill_golden as golden

GRAY = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)


def build(*overrides: str) -> LightFillInpainter:
    return built(compose_config("filler=lightfill", *overrides).filler, "filler")


@pytest.fixture(scope="module")
def whole() -> LightFillInpainter:
    """It sees the whole photo."""
    return build("filler.context=full")


@pytest.fixture
def script() -> None:
    if not golden.SCRIPT.is_file():
        pytest.skip(f"needs {golden.SCRIPT}")


def scene(side: int, rows: int) -> tuple[Tensor, Tensor]:
    """Return photos and holes of several kinds."""
    drawn = [golden.drawn(list(golden.KINDS)[row % 6], side, row) for row in range(rows)]
    photos, holes = zip(*drawn, strict=True)
    return torch.cat(photos), torch.cat(holes)


def square(side: int, start: int, stop: int) -> Tensor:
    hole = torch.zeros(1, 1, side, side, dtype=torch.bool)
    hole[..., start:stop, start:stop] = True
    return hole


@pytest.mark.parametrize(("kind", "side"), golden.cases())
def test_it_fills_as_the_reference_did(whole: LightFillInpainter, kind: str, side: int) -> None:
    photo, hole = golden.drawn(kind, side, 0)
    filled = golden.thinned(whole.fill(photo, hole, [0]))
    with np.load(golden.CARRIED) as file:
        expected = torch.from_numpy(file[f"{kind} {side}"])
    assert torch.allclose(filled, expected, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize("kind", golden.KINDS)
def test_it_fills_as_the_script_does(whole: LightFillInpainter, kind: str) -> None:
    for seed in range(20):
        photo, hole = golden.drawn(kind, golden.SIDES[seed % len(golden.SIDES)], seed)
        if hole.any() and not hole.all():
            filled, expected = whole.fill(photo, hole, [0]), golden.expected(photo, hole)
            assert torch.allclose(filled, expected, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("script")
def test_the_golden_outputs_are_the_scripts() -> None:
    with np.load(golden.CARRIED) as file:
        for kind, side in golden.cases():
            expected = golden.thinned(golden.expected(*golden.drawn(kind, side, 0)))
            assert np.allclose(file[f"{kind} {side}"], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("context", ["full", 16])
def test_what_is_removed_does_not_matter(context: object) -> None:
    filler = build(f"filler.context={context}")
    photos, holes = scene(100, 6)
    other = torch.where(holes, 1 - photos, photos)
    assert torch.equal(filler.fill(photos, holes, [0] * 6), filler.fill(other, holes, [0] * 6))


def test_what_is_added_at_the_right_and_the_bottom_is_a_hole(whole: LightFillInpainter) -> None:
    """The same photo, in a frame whose rest is removed as well."""
    photo, hole = golden.drawn("object", 100, 3)
    frame, removed = torch.rand(1, 3, 112, 112), torch.ones(1, 1, 112, 112, dtype=torch.bool)
    frame[..., :100, :100], removed[..., :100, :100] = photo, hole
    filled = whole.fill(frame, removed, [0])[..., :100, :100]
    assert torch.equal(filled, whole.fill(photo, hole, [0]))


def test_kept_pixels_stay_bit_equal_in_composites() -> None:
    probe = linear_probe(48, filler=build())
    hole = square(48, 10, 30)
    composite = probe.composite(hole)
    assert torch.equal(composite.masked_select(~hole), probe.image[None].masked_select(~hole))
    assert not torch.equal(composite, probe.image[None])


@pytest.mark.parametrize("batch_size", [1, 3, "auto"])
@pytest.mark.parametrize("context", ["full", 8])
def test_a_row_has_the_same_bits_in_any_order_and_company(
    batch_size: object, context: object
) -> None:
    filler = build(f"filler.batch_size={batch_size}", f"filler.context={context}")
    photos, holes = scene(96, 7)
    together = filler.fill(photos, holes, [0] * 7)
    order = [3, 0, 6, 5, 1, 4, 2]
    assert torch.equal(filler.fill(photos[order], holes[order], [0] * 7), together[order])
    for row in range(7):
        alone = filler.fill(photos[row : row + 1], holes[row : row + 1], [0])
        assert torch.equal(alone[0], together[row])


def test_batch_sizes_agree_to_a_hundred_thousandth() -> None:
    photos, holes = scene(64, 12)
    first, *others = (
        build("filler.context=full", f"filler.batch_size={size}").fill(photos, holes, [0] * 12)
        for size in (1, 2, 5, 8)
    )
    for other in others:
        assert torch.allclose(first, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("side", "rows"), [(64, 8), (80, 4), (96, 4), (112, 4), (128, 2), (160, 1), (224, 1), (384, 1)]
)
def test_a_single_hole_costs_at_most_a_photo_of_224_pixels(side: int, rows: int) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    filler = build()
    assert filler.together(side, side, cpu) == rows
    assert rows * side**2 <= 224**2 or rows == 1
    on_gpu = filler.together(side, side, gpu)
    assert 32 * 224**2 // 2 < on_gpu * side**2 <= 32 * 224**2
    assert build("filler.batch_size=32").together(side, side, cpu) == rows
    assert build("filler.batch_size=32").together(side, side, gpu) == 32
    assert build("filler.batch_size=1").together(side, side, cpu) == 1


def test_a_photo_removed_whole_becomes_gray() -> None:
    photos, holes = scene(96, 3)
    holes[1] = True
    filled = build().fill(photos, holes, [0] * 3)
    assert torch.equal(filled[1], GRAY.expand(3, 96, 96))


def test_a_window_removed_whole_becomes_gray() -> None:
    filled = build("filler.context=0").fill(torch.rand(1, 3, 96, 96), square(96, 32, 64), [0])
    assert torch.equal(filled[0, :, 32:64, 32:64], GRAY.expand(3, 32, 32))


@pytest.mark.parametrize("size", ["null", 64])
def test_without_a_hole_it_gives_the_photo(size: object) -> None:
    photos, holes = scene(96, 3)
    holes[1] = False
    filled = build(f"filler.size={size}").fill(photos, holes, [0] * 3)
    assert torch.equal(filled[1], photos[1])
    assert not torch.equal(filled[0], photos[0])


def test_the_smooth_guess_keeps_what_is_kept_and_a_constant() -> None:
    photo, hole = golden.drawn("cells", 96, 1)
    keep = 1 - hole.float()
    guess = smooth_fill(photo, keep)
    assert torch.equal(guess * keep, photo * keep)
    assert photo[~hole.expand_as(photo)].min() <= guess.min()
    assert guess.max() <= photo[~hole.expand_as(photo)].max()
    constant = torch.full_like(photo, 0.3)
    assert torch.allclose(smooth_fill(constant, keep), constant, atol=1e-6)


def test_the_license_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    filler = build()
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            filler.fill(torch.rand(1, 3, 32, 32), square(32, 8, 16), [0])
    (told,) = [record.getMessage() for record in caplog.records]
    assert told == (
        "filler=lightfill: its weights are CC-BY-NC-4.0, not for commercial use; filler=mirror is"
        " free for it"
    )


def test_the_shipped_file_is_in_full_precision_once_loaded() -> None:
    state = weights.load(None).state_dict()
    assert {value.dtype for value in state.values()} == {torch.float32}
    assert sum(value.numel() for value in state.values()) == 2_933_508
    assert state.keys() == weights.SHIPPED.load().keys()


def test_another_file_of_the_same_network_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    network, file = LightFill(), tmp_path / "mine.safetensors"
    weights.write(network, file, {"steps": "1"})
    other = build(f"filler.checkpoint={file}")
    assert other.fingerprint != build().fingerprint
    photo, hole = golden.drawn("box", 64, 1)
    halved = network.half().float()
    with torch.no_grad():
        keep = 1 - hole.float()
        expected = (halved((photo * 2 - 1) * keep, keep) + 1) / 2
    caplog.clear()
    assert torch.allclose(other.fill(photo, hole, [0]), expected.clamp(0, 1), atol=1e-5)
    assert not caplog.records


def of_others(folder: Path) -> Path:
    file = folder / "others.safetensors"
    save_file({"a": torch.zeros(1)}, file, {"architecture": "else-2"})
    return file


def untold(folder: Path) -> Path:
    file = folder / "untold.safetensors"
    save_file(LightFill().state_dict(), file)
    return file


def misfit(folder: Path) -> Path:
    file = folder / "misfit.safetensors"
    state = LightFill().state_dict()
    state["out.bias"] = torch.zeros(3)
    save_file(state, file, {"architecture": ARCHITECTURE})
    return file


def broken(folder: Path) -> Path:
    file = folder / "broken.safetensors"
    file.write_bytes(b"no tensors")
    return file


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (of_others, rf"its architecture is else-2, but filler=lightfill needs {ARCHITECTURE}$"),
        (untold, rf"its architecture is none, but filler=lightfill needs {ARCHITECTURE}$"),
        (misfit, r"does not fit LightFill: its out\.bias is 3, not 12$"),
        (broken, r"not a safetensors file: "),
        (lambda folder: folder / "none", r"no such file$"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, make: object, told: str) -> None:
    file = make(tmp_path)
    with pytest.raises(UserError, match=told) as caught:
        build(f"filler.checkpoint={file}").network  # noqa: B018
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_replaced_shipped_file_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = weights.PackagedWeights(weights.SHIPPED.package, weights.FILE, "0" * 64, "none")
    monkeypatch.setattr(weights, "SHIPPED", wrong)
    with pytest.raises(UserError, match="is not the expected file: sha256"):
        weights.load(None)


def test_the_incremental_engine_sees_the_same_composites() -> None:
    sample, classifier, method = _sp_g()
    engine = Engine("incremental", classifier, 8)
    filler = build("filler.context=32")
    dense = method.explain(Probe(sample, sample.label, classifier, filler, batch_size=8))
    quick = method.explain(
        Probe(sample, sample.label, classifier, filler, batch_size=8, engine=engine)
    )
    assert engine.is_incremental
    assert torch.allclose(dense.values, quick.values, atol=1e-5)


def _sp_g() -> tuple[object, object, object]:
    cfg = compose_config("method=sp-g", "method.stride=97", "classifier=efficientnet_lite0")
    dataset = built(compose_config("dataset=samples").dataset, "dataset")
    parts = (built(cfg[group], group) for group in ("classifier", "method"))
    return (dataset.load(0, 224), *parts)


def test_dense_holes_are_scored_through_it() -> None:
    probe = linear_probe(32, filler=build())
    scores = probe.score(DenseHoles(torch.cat([square(32, 4, 12), square(32, 0, 0)])))
    assert scores[1] == pytest.approx(probe.original)
