"""The user's own models stay as they are, and are never taken for each other."""

from __future__ import annotations

import copy
import gc
import weakref
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

import genattr
from genattr.library import models
from tests.toys import ToyNetwork

KEYS = {"method": "sp", "patch_size": 24, "stride": 24, "threads": 1, "engine": "dense"}
IMAGE = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(0))


def explained(model: object, **keys: object) -> torch.Tensor:
    return genattr.explain(IMAGE, model, 0, **KEYS | keys).values


def test_a_module_stays_as_it_is() -> None:
    network = ToyNetwork().train()
    network.layers[0].weight.requires_grad_(False)
    network.layers[1].eval()
    calls = []
    hook = network.layers[2].register_forward_hook(lambda *_: calls.append(1))
    state = {name: value.clone() for name, value in network.state_dict().items()}
    training = [part.training for part in network.modules()]
    wanted = [parameter.requires_grad for parameter in network.parameters()]
    places = [parameter.data_ptr() for parameter in network.parameters()]
    values = explained(network)
    hook.remove()
    assert torch.isfinite(values).all()
    assert [part.training for part in network.modules()] == training
    assert [parameter.requires_grad for parameter in network.parameters()] == wanted
    assert [parameter.data_ptr() for parameter in network.parameters()] == places
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.equal(explained(network), values)


@torch.no_grad()
def change_in_place(network: ToyNetwork) -> None:
    network.layers[0].weight.add_(0.5)


def change_data(network: ToyNetwork) -> None:
    network.layers[0].weight.data.mul_(2)


def change_layer(network: ToyNetwork) -> None:
    network.layers[2] = nn.GELU()


def change_attribute(network: ToyNetwork) -> None:
    network.layers[1].eps = 10.0


@pytest.mark.parametrize("change", [change_in_place, change_data, change_layer, change_attribute])
def test_a_changed_module_is_explained_anew(change: object) -> None:
    network, twin = ToyNetwork(), ToyNetwork()
    before = explained(network)
    change(network)
    change(twin)
    after = explained(network)
    assert not torch.equal(after, before)
    assert torch.equal(after, explained(twin))


def test_a_function_over_a_changed_module_is_explained_anew() -> None:
    network = ToyNetwork().eval()

    def function(images: torch.Tensor) -> torch.Tensor:
        return network(images)

    before = explained(function)
    assert torch.equal(explained(function), before)
    change_data(network)
    assert not torch.equal(explained(function), before)


def test_the_same_module_is_prepared_once_and_forgotten_with_it() -> None:
    network = ToyNetwork()
    first = models.classifier_of(network, {}, 48)
    assert models.classifier_of(network, {}, 48) is first
    assert models.classifier_of(copy.deepcopy(network), {}, 48) is not first
    alive, kept = weakref.ref(network), weakref.ref(first)
    del network, first
    gc.collect()
    assert alive() is None
    assert kept() is None


def test_a_model_of_timm_tells_its_normalization() -> None:
    network = timm.create_model("test_resnet", pretrained=False, num_classes=5)
    own = network.pretrained_cfg
    classifier = models.classifier_of(network, {}, None)
    assert classifier.input_size == own["input_size"][-1]
    assert list(classifier.mean) == list(own["mean"])
    assert "(the model's own)" in classifier.reading
    given = models.classifier_of(network, {"mean": [0.1], "std": [0.2], "input_size": 64}, None)
    assert (given.input_size, list(given.mean)) == (64, [0.1])
    assert "mean 0.1 and std 0.2 (as given)" in given.reading


class Configured(ToyNetwork):
    """A network with a config as those of transformers have it."""

    class Config:
        image_size = 40
        id2label = {index: f"name {index}" for index in range(10)}  # noqa: RUF012
        _name_or_path = ""

    config = Config()


def test_a_model_of_transformers_tells_its_classes(tmp_path: Path) -> None:
    settings = models.own_settings(Configured())
    assert settings["input_size"] == 40
    assert settings["labels"][3] == "name 3"
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5], "image_std": [0.4]}')
    Configured.Config._name_or_path = str(tmp_path)
    assert models.own_settings(Configured())["mean"] == [0.5]


def test_a_model_of_old_weight_norm_can_be_copied() -> None:
    network = ToyNetwork()
    network.layers[5] = nn.utils.weight_norm(network.layers[5])
    assert torch.isfinite(explained(network)).all()


def test_the_precision_and_seeds_of_the_user_stay() -> None:
    network = ToyNetwork()
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    torch.backends.cudnn.allow_tf32 = True
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        inside = explained(network)
    assert torch.equal(inside, explained(network))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.backends.cudnn.allow_tf32
