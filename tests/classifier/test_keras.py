"""Keras files and SavedModel folders against Keras's own predictions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from genattr.errors import UserError
from tests import toys
from tests.classifier.test_networks import build, images, normalized

pytest.importorskip("tensorflow")


def predicted(model: Any, x: Tensor) -> Tensor:
    last = normalized(x).permute(0, 2, 3, 1).numpy()
    return torch.from_numpy(model.predict(last, verbose=0))


def opened(file: Path, *keys: str, option: str = "keras") -> Any:
    return build(option, f"classifier.path={file}", *keys)


@pytest.mark.parametrize("name", ["toy.keras", "toy.h5", "toy"])
@pytest.mark.parametrize("rows", [None, 2])
def test_equals_keras_itself(tmp_path: Path, name: str, rows: int | None) -> None:
    model = toys.keras_model(batch_size=rows)
    if name == "toy":
        model.export(str(tmp_path / name), verbose=False)
    else:
        model.save(tmp_path / name)
    option = "saved_model" if name == "toy" else "keras"
    classifier = opened(tmp_path / name, option=option)
    x = images(rows=5)
    expected = predicted(toys.keras_model(), x)
    assert torch.allclose(classifier(x), expected, atol=1e-5)
    assert (classifier.input_size, classifier.layout, classifier.title) == (64, "nhwc", "toy")
    assert len(classifier.labels) == 5
    assert classifier.network is None


def test_a_model_of_reduced_precision(tmp_path: Path) -> None:
    import keras

    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        file = toys.keras_file(tmp_path)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    x = images()
    scores = opened(file)(x)
    assert scores.dtype == torch.float32
    assert torch.allclose(scores, predicted(toys.keras_model(), x), atol=1e-2)


def test_several_outputs_have_names(tmp_path: Path) -> None:
    import keras

    taken = keras.Input((64, 64, 3))
    color = keras.layers.GlobalAveragePooling2D(name="color")(taken)
    scores = keras.layers.Dense(5, name="scores")(color)
    for kind, outputs in (("list", [scores, color]), ("dict", {"scores": scores, "color": color})):
        keras.Model(taken, outputs).save(tmp_path / f"{kind}.keras")
        found = opened(tmp_path / f"{kind}.keras").build()(images())
        assert torch.allclose(found["color"], images().mean((2, 3)), atol=1e-5)
        assert found["scores"].shape == (2, 5)


def test_images_of_any_size_need_the_key(tmp_path: Path) -> None:
    toys.keras_model((None, None, 3)).save(tmp_path / "toy.keras")
    with pytest.raises(
        UserError, match=r"^classifier\.input_size: toy takes images of any size: g"
    ):
        opened(tmp_path / "toy.keras")
    x = images(40)
    classifier = opened(tmp_path / "toy.keras", "classifier.input_size=40")
    assert torch.allclose(classifier(x), predicted(toys.keras_model((40, 40, 3)), x), atol=1e-5)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_code_in_a_file_runs_if_it_is_trusted(tmp_path: Path, ending: str) -> None:
    import keras

    layers = [keras.layers.Lambda(lambda x: x * 2), keras.layers.GlobalAveragePooling2D()]
    keras.Sequential([keras.Input((64, 64, 3)), keras.Sequential(layers)]).save(
        tmp_path / f"net.{ending}"
    )
    with pytest.raises(UserError, match=r"it has Lambda.*, which can run code: .*trust=true$"):
        opened(tmp_path / f"net.{ending}", "trust=false")
    twice = opened(tmp_path / f"net.{ending}", "trust=true").build()(images())
    assert torch.allclose(twice, 2 * images().mean((2, 3)), atol=1e-5)


def test_what_is_no_such_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toys.keras_model().save_weights(tmp_path / "net.weights.h5")
    with pytest.raises(UserError, match="it holds weights without their layers: "):
        opened(tmp_path / "net.weights.h5")
    (tmp_path / "net.keras").write_text("text")
    with pytest.raises(UserError, match=r"net\.keras: not as classifier=keras takes it: "):
        opened(tmp_path / "net.keras")
    with pytest.raises(UserError, match=f"^classifier.path={tmp_path}: no folder with a saved_m"):
        opened(tmp_path, option="saved_model")
    folder = toys.keras_folder(tmp_path)
    with pytest.raises(UserError, match=r"^classifier\.signature=f: no such function; there is se"):
        opened(folder, "classifier.signature=f", option="saved_model")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    told = r"^classifier={} needs pip install 'genattr\[tensorflow\]'$"
    for option, path in (("keras", tmp_path / "net.keras"), ("saved_model", folder)):
        with pytest.raises(UserError, match=told.format(option)):
            opened(path, option=option)


@pytest.mark.parametrize(
    ("option", "write"), [("keras", toys.keras_file), ("saved_model", toys.keras_folder)]
)
def test_the_content_is_the_identity(
    tmp_path: Path, option: str, write: Callable[[Path], Path]
) -> None:
    path = write(tmp_path)
    before = opened(path, option=option).fingerprint
    moved = path.rename(tmp_path / f"moved{path.suffix}")
    assert opened(moved, option=option).fingerprint == before
    inside = moved / "fingerprint.pb" if moved.is_dir() else moved
    inside.write_bytes(inside.read_bytes() + b"more")
    assert opened(moved, option=option).fingerprint != before
