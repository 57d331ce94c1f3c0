"""Folders of transformers against transformers' own processors and models."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from genattr.classifier import precision
from genattr.errors import UserError
from tests import toys
from tests.classifier.test_networks import build, images

transformers = pytest.importorskip("transformers")
SMALL = {"size": {"height": 32, "width": 32}}
UNEVEN = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}


def opened(folder: Path, *keys: str) -> Any:
    return build("huggingface", f"classifier.path={folder}", *keys)


def photos() -> Tensor:
    """Return photos of whole numbers, as processors take them."""
    return (images(32) * 255).round() / 255


def processed(folder: Path) -> Tensor:
    """Return the model's logits for the photos by transformers alone."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    pixels = (photos() * 255).round().byte().permute(0, 2, 3, 1).numpy()
    values = processor([Image.fromarray(photo) for photo in pixels], return_tensors="pt")
    model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval().float()
    return model(**values).logits.detach()


PROCESSORS = {
    "plain": lambda: transformers.ViTImageProcessor(**SMALL, **UNEVEN),
    "not normalized": lambda: transformers.ViTImageProcessor(**SMALL, do_normalize=False),
    "not rescaled": lambda: transformers.ViTImageProcessor(
        **SMALL, do_rescale=False, image_mean=[100, 120, 140], image_std=[100] * 3
    ),
    "normalized twice": lambda: transformers.EfficientNetImageProcessor(
        **SMALL, **UNEVEN, include_top=True
    ),
}


@pytest.mark.parametrize("kind", PROCESSORS)
def test_equals_transformers_itself(tmp_path: Path, kind: str) -> None:
    folder = toys.transformers_folder(tmp_path)
    PROCESSORS[kind]().save_pretrained(folder)
    classifier = opened(folder)
    assert classifier.input_size == 32
    assert torch.allclose(classifier(photos()), processed(folder), atol=1e-6)
    assert classifier.labels[3] == "class 3"


def test_mean_and_std_are_the_processors_own_numbers(tmp_path: Path) -> None:
    folder = toys.transformers_folder(tmp_path)
    PROCESSORS["plain"]().save_pretrained(folder)
    classifier = opened(folder)
    assert (classifier.mean, classifier.std) == (UNEVEN["image_mean"], UNEVEN["image_std"])
    given = opened(folder, "classifier.mean=[0.5]", "classifier.std=[0.5]")
    assert (given.mean, given.std) == ([0.5], [0.5])


def test_images_that_are_no_squares_need_a_size(tmp_path: Path) -> None:
    folder = toys.transformers_folder(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 48}).save_pretrained(folder)
    with pytest.raises(UserError, match=r"its images have 32 x 48 pixels, no squares: give classi"):
        opened(folder)
    assert opened(folder, "classifier.input_size=32").mean == [0.5, 0.5, 0.5]


def test_it_is_a_pytorch_network(tmp_path: Path) -> None:
    classifier = opened(toys.transformers_folder(tmp_path))
    x = photos().requires_grad_()
    gradient = torch.autograd.grad(classifier(x)[:, 0].sum(), x)[0]
    step = 1e-2 * gradient.sign()
    moved = (classifier(x + step) - classifier(x - step))[:, 0].sum()
    assert torch.allclose(moved, 2e-2 * gradient.abs().sum(), rtol=1e-2)
    assert classifier.has_gradient
    assert isinstance(classifier.network, torch.nn.Module)


def test_fewer_bits_leave_the_last_layer_at_32(tmp_path: Path) -> None:
    classifier = opened(toys.transformers_folder(tmp_path))
    reduced = precision.reduce(classifier, "bf16", torch.device("cpu"))
    features: list[torch.Tensor] = []
    head = reduced._fast.network.get_submodule("model.classifier")
    head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    found = reduced(photos())
    weights = classifier.network.get_submodule("model.classifier")
    assert torch.equal(found, weights(features[-1].float()))
    assert torch.allclose(found, classifier(photos()), atol=0.02)


def test_half_precision_is_computed_in_single(tmp_path: Path) -> None:
    folder = toys.transformers_folder(tmp_path)
    model = transformers.AutoModelForImageClassification.from_pretrained(folder)
    model.to(torch.bfloat16).save_pretrained(folder)
    assert torch.allclose(opened(folder)(photos()), processed(folder), atol=1e-6)
    assert {value.dtype for value in opened(folder).build().parameters()} == {torch.float32}


def test_names_are_the_folders_and_no_part_of_the_identity(tmp_path: Path) -> None:
    names = {0: "ant", 1: "bee", 2: "cat", 3: "dog"}
    named = toys.transformers_folder(tmp_path, "named", id2label=names)
    classifier = opened(named)
    assert list(classifier.labels) == ["ant", "bee", "cat", "dog"]
    assert classifier.fingerprint == opened(toys.transformers_folder(tmp_path)).fingerprint
    other = toys.transformers_folder(tmp_path, "other", hidden_act="relu")
    assert classifier.fingerprint != opened(other).fingerprint
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\n")
    assert opened(named, f"classifier.labels={tmp_path}/names.txt").labels[1] == "b"


def changed(folder: Path, **values: object) -> Path:
    """Change settings in the folder's config.json."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    return folder


def pickled(folder: Path) -> Path:
    model = transformers.AutoModelForImageClassification.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def headless(folder: Path) -> Path:
    """Leave the body of the network alone, as models without a task have it."""
    transformers.AutoModelForImageClassification.from_pretrained(folder).vit.save_pretrained(folder)
    return folder


def with_code(folder: Path) -> Path:
    (folder / "own.py").write_text("open('harm', 'w')")
    auto = {"AutoConfig": "own.Config", "AutoModelForImageClassification": "own.Model"}
    return changed(folder, auto_map=auto, model_type="own")


def of_other_classes(folder: Path) -> Path:
    return changed(folder, id2label={str(index): f"c{index}" for index in range(7)})


def without_keys(folder: Path) -> Path:
    (folder / "config.json").write_text("[1]")
    return folder


def nested(folder: Path) -> Path:
    (folder / "config.json").write_text('{"a":' * 100_000)
    return folder


def of_names_in_a_list(folder: Path) -> Path:
    return changed(folder, id2label=["a", "b"])


def of_endless_layers(folder: Path) -> Path:
    return changed(folder, num_hidden_layers=10**9)


def of_endless_stages(folder: Path) -> Path:
    return changed(folder, own={"depths": [2, 10**9]})


def of_a_shard_elsewhere(folder: Path) -> Path:
    weights = (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
    listed = dict.fromkeys(load_file(weights), f"../{weights.name}")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))
    return folder


@pytest.mark.parametrize(
    ("spoiled", "told"),
    [
        (without_keys, "config.json has no keys"),
        (nested, "config.json: maximum recursion depth"),
        (of_names_in_a_list, "config.json: id2label must give each number a name"),
        (of_a_shard_elsewhere, "model.safetensors.index.json names files outside of the folder: "),
        (of_endless_layers, "config.json: num_hidden_layers must be at most 1,000"),
        (of_endless_stages, "config.json: depths must be at most 1,000"),
        (pickled, "its weights are pickled: write them again by model.save_pretrained(folder), wh"),
        (headless, "its weights lack classifier.bias, classifier.weight in the sizes that config"),
        (of_other_classes, "its weights lack classifier.bias, classifier.weight in the sizes"),
        (with_code, "The repository "),
    ],
)
def test_folders_that_do_not_have_all_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoiled: Any, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = spoiled(toys.transformers_folder(tmp_path))
    keys = ["classifier.input_size=32", "classifier.mean=[0.5]", "classifier.std=[0.5]"]
    with pytest.raises(UserError, match=f"^classifier.path={folder}: {re.escape(told)}") as caught:
        _ = opened(folder, *keys).fingerprint
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harm").exists()


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^classifier=huggingface needs classifier\.path="):
        build("huggingface")
    with pytest.raises(UserError, match=r"path=google/vit: no folder with a config\.json; models"):
        opened(Path("google/vit"))
    folder = toys.transformers_folder(tmp_path)
    with pytest.raises(UserError, match=r"toy fails on images of 64 x 64 pixels \(classifier\.inp"):
        _ = opened(folder, "classifier.input_size=64").fingerprint
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(UserError, match=r"give classifier\.input_size, classifier\.mean and class"):
        opened(folder)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"huggingface needs pip install 'genattr\[huggingface\]'$"):
        opened(folder)
