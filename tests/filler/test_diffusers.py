"""A tiny Stable Diffusion pipeline with random weights as a filler, against the library itself."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from genattr import components
from genattr.errors import UserError
from genattr.filler.diffusers import DiffusersInpainter
from tests.contract.options import built, compose_config
from tests.toys import pipeline

with_diffusers = pytest.mark.skipif(find_spec("diffusers") is None, reason="needs diffusers")
SMALL = ["filler.steps=2", "filler.size=null", "filler.dilate=0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("diffusers")
    return pipeline(tmp_path_factory.mktemp("sd"))


def build(folder: Path | str, *overrides: str) -> DiffusersInpainter:
    keys = [f"filler.name={folder}", *SMALL, *overrides]
    return built(compose_config("filler=diffusers", *keys).filler, "filler")


def scene(size: int = 64) -> tuple[Tensor, Tensor]:
    """Return photos of 8 bits."""
    drawn = torch.randint(0, 256, (2, 3, size, size), generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(2, 1, size, size, dtype=torch.bool)
    hole[0, :, 20:40, 10:30] = True
    hole[1, :, 5:15, 30:60] = True
    return drawn / 255, hole


@with_diffusers
@pytest.mark.parametrize("prompt", ["", "a b"])
def test_equals_the_library_as_people_call_it(folder: Path, prompt: str) -> None:
    from diffusers import AutoPipelineForInpainting

    images, hole = scene()
    keys = [f"filler.prompt='{prompt}'", "filler.guidance=3"]
    filled = build(folder, *keys).fill(images, hole, [5, 6])
    library = AutoPipelineForInpainting.from_pretrained(folder, use_safetensors=True)
    for row, seed in enumerate([5, 6]):
        blank = images[row].masked_fill(hole[row], 127 / 255).permute(1, 2, 0) * 255
        found = library(
            prompt,
            image=Image.fromarray(blank.round().byte().numpy()),
            mask_image=Image.fromarray(hole[row, 0].byte().mul(255).numpy()),
            height=64,
            width=64,
            num_inference_steps=2,
            guidance_scale=3.0,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        ).images[0]
        assert np.allclose(filled[row].permute(1, 2, 0), found, atol=1e-5)


@with_diffusers
def test_a_rows_seed_alone_decides_what_is_drawn(folder: Path) -> None:
    images, hole = scene()
    same = images[:1].expand(3, -1, -1, -1), hole[:1].expand(3, -1, -1, -1)
    filler = build(folder, "filler.batch_size=3")
    drawn = filler.fill(*same, [7, 8, 7])
    assert torch.allclose(drawn[0], drawn[2], atol=1e-6)
    assert (drawn[0] - drawn[1]).abs().max() > 0.01


@with_diffusers
def test_weights_and_scheduler_are_its_identity(folder: Path, tmp_path: Path) -> None:
    moved = pipeline(tmp_path)
    assert components.identity(build(folder)) == components.identity(build(moved))
    assert build(moved).title == "pipeline"
    settings = moved / "scheduler" / "scheduler_config.json"
    settings.write_text(settings.read_text().replace('"beta_end": 0.02', '"beta_end": 0.03'))
    other = build(moved)
    assert other.fingerprint != build(folder).fingerprint
    weights = moved / "vae" / "diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    state[next(iter(state))] += 1
    save_file(state, weights, {"format": "pt"})
    assert build(moved).fingerprint != other.fingerprint


@with_diffusers
def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    moved = pipeline(tmp_path)
    weights = moved / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(UserError, match=f"^filler.name={moved}: no inpainting pipeline: "):
        build(moved).fill(*scene(), [0, 0])


@with_diffusers
@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["filler.steps=0"], "filler.steps=0: must be at least 1"),
        (["filler.dtype=int8"], "filler.dtype=int8: must be float32, float16 or bfloat16"),
        (["filler.name=/none"], "filler.name=/none: no such folder"),
        (["filler.name=null"], "filler=diffusers needs filler.name=<folder or hub repository>"),
    ],
)
def test_wrong_keys_are_told(folder: Path, overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(told)}"):
        build(folder, *overrides)


@with_diffusers
@pytest.mark.parametrize("index", [None, "[]", '{"a":' * 100_000])
def test_a_folder_without_a_pipeline_is_told(tmp_path: Path, index: str | None) -> None:
    if index is not None:
        (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(UserError, match=f"^filler.name={tmp_path}: no inpainting pipeline: ") as it:
        build(tmp_path).fill(*scene(), [0, 0])
    assert "\n" not in str(it.value)


def test_without_the_library_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UserError, match=re.escape("pip install 'genattr[diffusers]'")):
        build("some/pipeline")
