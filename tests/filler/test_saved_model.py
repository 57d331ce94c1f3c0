"""A TensorFlow SavedModel as a filler, against the same network in PyTorch."""

from __future__ import annotations

import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genattr import components
from genattr.errors import UserError
from genattr.filler.saved_model import SavedModelInpainter
from tests.contract.options import built, compose_config
from tests.toys import Rim, saved_model

NAMES = ["filler.arguments={photo:image,hole:mask}", "filler.output=filled"]
with_tensorflow = pytest.mark.skipif(find_spec("tensorflow") is None, reason="needs tensorflow")


def build(folder: Path, *overrides: str) -> SavedModelInpainter:
    path = f"filler.path={folder}"
    return built(
        compose_config("filler=saved_model", path, "trust=true", *overrides).filler, "filler"
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tensorflow")
    return saved_model(tmp_path_factory.mktemp("nhwc"))


def scene() -> tuple[Tensor, Tensor]:
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(3, 1, 16, 16, dtype=torch.bool)
    for row in range(3):
        hole[row, :, 2 + row : 9, 3 : 7 + row] = True
    return images, hole


@with_tensorflow
@pytest.mark.parametrize("batch_size", [1, 2])
def test_equals_the_same_network_in_pytorch(model: Path, batch_size: int) -> None:
    images, hole = scene()
    filler = build(model, *NAMES, f"filler.batch_size={batch_size}")
    expected = Rim()(images.masked_fill(hole, 0.5), hole.float())
    assert torch.allclose(filler.fill(images, hole, [0, 0, 0]), expected, atol=1e-6)


@with_tensorflow
def test_channels_may_come_first(tmp_path: Path, model: Path) -> None:
    images, hole = scene()
    first = build(saved_model(tmp_path, "nchw"), *NAMES, "filler.layout=nchw")
    expected = build(model, *NAMES).fill(images, hole, [0, 0, 0])
    assert torch.allclose(first.fill(images, hole, [0, 0, 0]), expected, atol=1e-6)


@with_tensorflow
def test_the_folders_content_is_its_identity(tmp_path: Path, model: Path) -> None:
    moved = tmp_path / "rim"
    shutil.copytree(model, moved)
    identity = components.identity(build(model, *NAMES))
    assert identity == components.identity(build(moved, *NAMES))
    assert build(moved, *NAMES).title == "rim"
    next((moved / "variables").glob("*.index")).write_bytes(b"other")
    assert identity["weights"] != components.identity(build(moved, *NAMES))["weights"]


@with_tensorflow
@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ([], "filler.arguments: the inputs of rim are hole, photo, not image, mask"),
        ([*NAMES, "filler.signature=f"], "filler.signature=f: no such function; there is serving_"),
        (NAMES[:1], "filler.output=None: no such output; there is "),
    ],
)
def test_names_that_it_does_not_have_are_told(model: Path, overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(told)}"):
        build(model, *overrides).fill(*scene(), [0, 0, 0])


@with_tensorflow
def test_the_output_may_have_a_range_of_its_own(model: Path) -> None:
    images, hole = scene()
    brightened = build(model, *NAMES, "filler.output_range=[-1,1]").fill(images, hole, [0, 0, 0])
    plain = build(model, *NAMES).fill(images, hole, [0, 0, 0])
    assert torch.allclose(brightened, (plain + 1) / 2, atol=1e-6)
    with pytest.raises(UserError, match=r"gives holes from about 0\..*set filler\.output_range"):
        build(model, *NAMES, "filler.output_range=[2,3]").fill(images, hole, [0, 0, 0])


@with_tensorflow
def test_a_damaged_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(UserError, match=rf"^filler\.path={tmp_path}: not a SavedModel: "):
        build(tmp_path).fill(*scene(), [0, 0, 0])


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^filler\.path={tmp_path}: no folder with a saved_model"):
        build(tmp_path)
    with pytest.raises(UserError, match=r"^filler=saved_model needs filler\."):
        built(compose_config("filler=saved_model").filler, "filler")


def test_without_tensorflow_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(UserError, match=re.escape("pip install 'genattr[tensorflow]'")):
        build(tmp_path).fill(*scene(), [0, 0, 0])
