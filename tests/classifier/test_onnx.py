"""ONNX files against the same networks in PyTorch."""

from __future__ import annotations

import re
import shutil
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genattr import components
from genattr.errors import UserError
from tests import toys
from tests.classifier.test_networks import build, images, normalized

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


class ChannelsLast(nn.Module):
    def forward(self, photos: Tensor) -> Tensor:
        return toys.NETWORK(photos.permute(0, 3, 1, 2))


class Bytes(nn.Module):
    """Takes whole numbers from 0 to 255."""

    def forward(self, photos: Tensor) -> Tensor:
        return toys.NETWORK(photos.float() / 255)


class Several(nn.Module):
    def forward(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        return toys.NETWORK(photos), photos.mean((2, 3))


class Difference(nn.Module):
    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return toys.NETWORK(one - other)


def some(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor]:
    return (torch.zeros(shape, dtype=dtype),)


ROWS = ({0: torch.export.Dim("rows")},)
WRITTEN = {
    "one row": {},
    "four rows": {"args": some(4, 3, 64, 64)},
    "any rows": {"dynamic_shapes": ROWS, "args": some(2, 3, 64, 64)},
    "weights inside": {"external_data": False},
    "channels last": {"network": ChannelsLast(), "args": some(1, 64, 64, 3)},
    "half": {
        "network": deepcopy(toys.NETWORK).half(),
        "args": some(1, 3, 64, 64, dtype=torch.half),
    },
}


def opened(file: Path, *keys: str) -> components.Component:
    return build("onnx", f"classifier.path={file}", *keys)


@pytest.mark.parametrize("kind", WRITTEN)
def test_equals_the_same_network_in_pytorch(tmp_path: Path, kind: str) -> None:
    classifier = opened(toys.onnx_file(tmp_path, **WRITTEN[kind]))
    x = images(rows=5)
    expected = toys.NETWORK.eval()(normalized(x)).detach()
    tolerance = {"rtol": 3e-2, "atol": 1e-1} if kind == "half" else {"rtol": 1e-4, "atol": 1e-4}
    assert torch.allclose(classifier(x), expected, **tolerance)
    assert classifier(x).dtype == torch.float32
    assert (classifier.input_size, len(classifier.labels)) == (64, 10)
    assert classifier.layout == ("nhwc" if kind == "channels last" else "nchw")


def test_it_has_nothing_for_methods_that_look_inside(tmp_path: Path) -> None:
    classifier = opened(toys.onnx_file(tmp_path))
    assert not classifier.has_gradient
    assert not classifier.in_pytorch
    assert classifier.network is None
    module = classifier.build()
    assert deepcopy(module) is module
    x = images().requires_grad_()
    assert not classifier(x).requires_grad


def test_bytes_are_given_whole_numbers(tmp_path: Path) -> None:
    file = toys.onnx_file(tmp_path, Bytes(), args=some(1, 3, 64, 64, dtype=torch.uint8))
    x = (images() * 255).round() / 255
    raw = ["classifier.mean=[0]", "classifier.std=[0.003921569]"]
    expected = toys.NETWORK.eval()(x).detach()
    assert torch.allclose(opened(file, *raw)(x), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(
        UserError, match=r"^the network takes whole numbers from 0 to 255: give cla"
    ):
        opened(file)(x)


def test_several_outputs_have_names(tmp_path: Path) -> None:
    file = toys.onnx_file(tmp_path, Several(), output_names=["scores", "color"])
    x = images()
    outputs = opened(file).build()(x)
    assert list(outputs) == ["scores", "color"]
    assert torch.allclose(outputs["color"], x.mean((2, 3)), atol=1e-5)
    assert torch.allclose(outputs["scores"], toys.NETWORK.eval()(x), rtol=1e-4, atol=1e-4)


def test_weights_beside_the_file_are_part_of_its_identity(tmp_path: Path) -> None:
    file = toys.onnx_file(tmp_path, external_data=True)
    weights = file.with_name("toy.onnx.data")
    before = opened(file).fingerprint
    moved = tmp_path / "moved"
    moved.mkdir()
    for one in (file, weights):
        shutil.copy(one, moved)
    assert opened(moved / "toy.onnx").fingerprint == before
    changed = bytearray(weights.read_bytes())
    changed[0] ^= 1
    weights.write_bytes(changed)
    assert opened(file).fingerprint != before
    weights.unlink()
    with pytest.raises(UserError, match=r"toy\.onnx: not as classifier=onnx takes it: "):
        opened(file)


@pytest.mark.parametrize(
    ("written", "keys", "told"),
    [
        ({}, ["classifier.input_size=32"], ".input_size=32: toy takes images of 64 x 64 pixels"),
        ({"args": some(1, 3, 64, 48)}, [], "{path}: toy takes images of 64 x 48 pixels, which are"),
        (
            {"network": Difference(), "args": some(1, 3, 64, 64) * 2},
            [],
            "{path}: one input is needed, and it has one, other",
        ),
        ({"network": nn.Identity(), "args": some(1, 5)}, [], "{path}: its input has 2 axes, not"),
    ],
)
def test_networks_of_other_images_are_refused(
    tmp_path: Path, written: dict[str, object], keys: list[str], told: str
) -> None:
    file = toys.onnx_file(tmp_path, **written)
    told = told.format(path=f".path={file}")
    with pytest.raises(UserError, match=f"^classifier{re.escape(told)}"):
        opened(file, *keys)


def test_images_of_any_size_need_the_key(tmp_path: Path) -> None:
    sides = {axis: torch.export.Dim(name, min=8) for axis, name in ((2, "h"), (3, "w"))}
    file = toys.onnx_file(tmp_path, dynamic_shapes=(sides,))
    with pytest.raises(
        UserError, match=r"^classifier\.input_size: toy takes images of any size: g"
    ):
        opened(file)
    x = images(40)
    expected = toys.NETWORK.eval()(normalized(x)).detach()
    classifier = opened(file, "classifier.input_size=40")
    assert torch.allclose(classifier(x), expected, rtol=1e-4, atol=1e-4)


def test_what_is_no_such_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "net.onnx"
    with pytest.raises(UserError, match=r"^classifier=onnx needs classifier\.path=/path/to/it$"):
        build("onnx")
    with pytest.raises(UserError, match=r"net\.onnx: no such file or folder$"):
        opened(file)
    file.write_text("text")
    with pytest.raises(UserError, match=r"net\.onnx: not as classifier=onnx takes it: ") as caught:
        opened(file)
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"^classifier=onnx needs pip install 'genattr\[onnx\]'$"):
        opened(file)
