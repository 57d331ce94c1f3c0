"""Networks of every origin: the same numbers as without the house, names, and what is refused."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import models

from genattr import components
from genattr.dataset import imagenet_classes, places365_classes
from genattr.errors import UserError
from genattr.protocols import Classifier
from tests import toys
from tests.contract.options import built, compose_config

TOY = "classifier.path=tests.toys:"


def build(option: str, *overrides: str) -> Classifier:
    cfg = compose_config(f"classifier={option}", "trust=true", *overrides)
    return built(cfg.classifier, "classifier")


def images(size: int = 64, rows: int = 2) -> Tensor:
    return torch.rand(rows, 3, size, size, generator=torch.Generator().manual_seed(1))


def normalized(x: Tensor) -> Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def saved(folder: Path, state: Mapping[str, object]) -> Path:
    torch.save(state, folder / "net.pth")
    return folder / "net.pth"


def see_something(network: nn.Module, x: Tensor) -> None:
    """Give batch norms the statistics of a batch: without them, every photo scores the same."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    network.train()(x)
    network.eval()


@torch.no_grad()
def test_inception_gives_what_torchvisions_pretrained_one_gives(tmp_path: Path) -> None:
    torch.manual_seed(0)
    own = models.inception_v3(weights=None, transform_input=True, init_weights=False)
    see_something(own, normalized(images(299)))
    file = saved(tmp_path, own.state_dict())
    classifier = build("inception_v3", f"classifier.checkpoint={file}")
    assert classifier.input_size == 299
    assert classifier.fingerprint
    file.unlink()
    x = images(299)
    expected = own(normalized(x))
    assert torch.allclose(classifier(x), expected, rtol=1e-3, atol=1e-4)
    own.transform_input = False
    assert not torch.allclose(own(normalized(x)), expected, rtol=1e-2, atol=1e-3)
    assert list(classifier.labels) == list(imagenet_classes.class_names())


@torch.no_grad()
def test_resnet50_of_the_literature() -> None:
    classifier = build("resnet50_imagenet", "classifier.weights=null")
    torch.manual_seed(0)
    own = models.resnet50(weights=None).eval()
    x = images(classifier.input_size)
    assert torch.allclose(classifier(x), own(normalized(x)), rtol=1e-3, atol=1e-4)
    assert compose_config("classifier=resnet50_imagenet").classifier.weights == "IMAGENET1K_V1"


@torch.no_grad()
def test_places_reads_the_authors_format(tmp_path: Path) -> None:
    file = toys.places_file(tmp_path)
    classifier = build("resnet50_places365", f"classifier.checkpoint={file}")
    torch.manual_seed(0)
    own = models.resnet50(num_classes=365).eval()
    x = images(224)
    assert torch.allclose(classifier(x), own(normalized(x)), rtol=1e-3, atol=1e-4)
    assert list(classifier.labels) == list(places365_classes.class_names())
    assert classifier.labels[0] == "airfield"


def test_places_is_fetched_into_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENATTR_CACHE", str(tmp_path))
    toys.places_file(tmp_path)
    assert build("resnet50_places365")(images(224, 1)).shape == (1, 365)
    (tmp_path / "resnet50_places365.pth.tar").unlink()
    url = "classifier.weights.url=http://127.0.0.1:1/resnet50_places365.pth.tar"
    with pytest.raises(UserError, match=r"could not be fetched.*: put the file from .*CC BY"):
        _ = build("resnet50_places365", url).fingerprint


def test_torchvisions_weights_go_through_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENATTR_CACHE", str(tmp_path))
    (tmp_path / "squeezenet1_1-b8a52dc0.pth").write_bytes(b"other")
    classifier = build("torchvision", "classifier.name=squeezenet1_1")
    with pytest.raises(
        UserError, match=r"squeezenet1_1-b8a52dc0\.pth is not the expected.*b8a52dc0"
    ):
        _ = classifier.fingerprint


@torch.no_grad()
def test_torchvision_renames_old_weights_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    own = models.densenet121(weights=None).eval()
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value
        for name, value in own.state_dict().items()
        if "num_batches" not in name
    }
    checkpoint = f"classifier.checkpoint={saved(tmp_path, old)}"
    classifier = build("torchvision", "classifier.name=densenet121", checkpoint)
    x = images(224, 1)
    assert torch.allclose(classifier(x), own(normalized(x)), rtol=1e-3, atol=1e-4)
    assert "get_state_dict" not in vars(models.DenseNet121_Weights)


@pytest.mark.parametrize("weights", ["IMAGENET1K_V1", "null"])
def test_another_architectures_checkpoint_is_named(tmp_path: Path, weights: str) -> None:
    file = saved(tmp_path, models.squeezenet1_1().state_dict())
    name = ["classifier.name=resnet18", f"classifier.weights={weights}"]
    classifier = build("torchvision", *name, f"classifier.checkpoint={file}")
    with pytest.raises(UserError) as caught:
        _ = classifier.fingerprint
    assert str(caught.value) == (
        f"{file} does not fit resnet18: it lacks conv1.weight, bn1.weight, bn1.bias and "
        "99 more; it also has features.0.weight, features.0.bias, features.3.squeeze.weight and "
        "49 more"
    )


def test_a_tag_that_timm_does_not_know_is_told_with_those_it_does() -> None:
    with pytest.raises(UserError) as caught:
        build("timm", "classifier.name=resnet18.foo")
    assert str(caught.value).startswith("classifier.name=resnet18.foo: no such tag; resnet18 has ")
    tags = str(caught.value).partition(" has ")[2].split(", ")
    own = timm.models.get_arch_pretrained_cfgs("resnet18").values()
    assert sorted(tags) == sorted(config.tag for config in own)


@pytest.mark.parametrize(
    ("known", "source"),
    [
        ({}, r"model\.safetensors of timm/resnet18\.a1_in1k from Hugging Face"),
        ({"hf_hub_filename": "a.bin"}, r"a\.bin of timm/resnet18\.a1_in1k from Hugging Face"),
        ({"hf_hub_id": None, "url": "http://127.0.0.1:1/a.pth"}, r"http://127\.0\.0\.1:1/a\.pth"),
        ({"hf_hub_id": None, "url": ""}, r"a file of them \(timm names none\)"),
    ],
)
def test_timms_weights_without_a_network_are_told_by_file_and_source(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, str | None], source: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError

    own = replace(timm.get_pretrained_cfg("resnet18.a1_in1k"), **known)
    monkeypatch.setattr("genattr.assets.http.answers", lambda _: True)  # until asked for a file
    monkeypatch.setattr(timm, "create_model", fail)
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda _: own)
    told = (
        r"^the weights of resnet18\.a1_in1k could not be fetched \(ConnectionError\): "
        rf"get {source}, and give it as classifier\.checkpoint=/path/to/file$"
    )
    with pytest.raises(UserError, match=told):
        _ = build("timm", "classifier.name=resnet18.a1_in1k").fingerprint


@pytest.mark.parametrize(
    ("option", "path"),
    [
        ("callable", "NETWORK"),
        ("callable", "ToyNetwork"),
        ("callable", "load_network"),
        ("torchscript", ""),
    ],
)
def test_each_door_gives_the_same_network(tmp_path: Path, option: str, path: str) -> None:
    where = f"{TOY}{path}"
    if option == "torchscript":
        where = f"classifier.path={toys.torchscript_file(tmp_path)}"
    classifier = build(option, where, "classifier.input_size=64")
    x = images().requires_grad_()
    own = toys.ToyNetwork().eval()(normalized(x))
    assert torch.allclose(classifier(x), own, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad(y[:, 0].sum(), x)[0] for y in (classifier(x), own)]
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-5)
    assert classifier.labels[9] == "class 9"
    assert len(classifier.labels) == 10


def test_a_function_is_given_normalized_images_or_raw_ones() -> None:
    x = images()
    assert torch.allclose(build("callable", f"{TOY}color")(x), normalized(x).mean(dim=(2, 3)))
    raw = ["classifier.mean=[0]", "classifier.std=[1]"]
    assert torch.allclose(build("callable", f"{TOY}color", *raw)(x), x.mean(dim=(2, 3)))


def test_probabilities_are_turned_into_their_logs(caplog: pytest.LogCaptureFixture) -> None:
    x = images()
    given = build("callable", f"{TOY}shares", "classifier.outputs=probabilities")
    assert torch.allclose(given(x).softmax(1), build("callable", f"{TOY}color")(x).softmax(1))
    with pytest.raises(UserError, match=r"those of color add up to .*try classifier\.outputs=log"):
        build("callable", f"{TOY}color", "classifier.outputs=probabilities")(x)
    with caplog.at_level(logging.WARNING, "genattr"):
        build("callable", f"{TOY}shares")(x)
    assert "shares: looks as if it needs classifier.outputs=probabilities" in caplog.text


def test_a_frozen_torchscript_file_serves(tmp_path: Path) -> None:
    frozen = torch.jit.freeze(torch.jit.script(toys.ToyNetwork().eval()))
    torch.jit.save(frozen, tmp_path / "frozen.pt")
    classifier = build("torchscript", f"classifier.path={tmp_path / 'frozen.pt'}")
    x = images(224)
    assert torch.allclose(
        classifier(x), toys.ToyNetwork().eval()(normalized(x)), rtol=1e-4, atol=1e-5
    )


def write_module(folder: Path, name: str, source: str) -> None:
    (folder / f"{name}.py").write_text(source)


def test_identity_follows_code_and_weights_not_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    prints = []
    for version in (1, 2):
        write_module(
            tmp_path, f"identity{version}", f"def f(x):\n    return {version} * x.mean((2, 3))\n"
        )
        prints.append(build("callable", f"classifier.path=identity{version}:f").fingerprint)
    assert prints[0] != prints[1]
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\n")
    plain, named = (
        components.identity(build("callable", f"{TOY}color", *labels))
        for labels in ([], [f"classifier.labels={names}"])
    )
    assert plain == named
    files = [
        toys.torchscript_file(tmp_path, network, f"{name}.pt")
        for name, network in (("one", toys.ToyNetwork()), ("two", toys.ToyNetwork(4)))
    ]
    prints = [build("torchscript", f"classifier.path={file}").fingerprint for file in files]
    assert prints[0] != prints[1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [("red\n green \nblue\n\n", ["red", "green", "blue"]), ("rot\r\ngrün\r\nblau", None)],
)
def test_labels_from_a_file(tmp_path: Path, content: str, expected: list[str] | None) -> None:
    file = tmp_path / "names.txt"
    file.write_text(content, encoding="utf-8")
    labels = build("callable", f"{TOY}color", f"classifier.labels={file}").labels
    assert list(labels) == (expected or ["rot", "grün", "blau"])
    assert labels[1:] == list(labels)[1:]


@pytest.mark.parametrize("count", [1000, 365, 7])
def test_labels_by_the_number_of_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    file = toys.torchscript_file(tmp_path, toys.ToyNetwork(count))
    expected = {1000: "tench", 365: "airfield"}.get(count, "class 0")
    labels = build("torchscript", f"classifier.path={file}").labels
    assert (labels[0], len(labels)) == (expected, count)


@pytest.mark.parametrize("typed", ["[red,green,'7']", "[red,green,7]"])
def test_labels_in_brackets(typed: str) -> None:
    named = build("callable", f"{TOY}color", f"classifier.labels={typed}")
    assert list(named.labels) == ["red", "green", "7"]
    assert components.identity(named) == components.identity(build("callable", f"{TOY}color"))


def test_labels_that_are_not_as_many_are_refused_before_any_photo(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("red\ngreen\n")
    for labels, found in ((tmp_path / "names.txt", 2), ("imagenet", 1000), ("places365", 365)):
        classifier = build("callable", f"{TOY}color", f"classifier.labels={labels}")
        with pytest.raises(UserError, match=f"{labels}: {found} names, .* has 3 classes"):
            classifier.to(torch.device("cpu"))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, 2 * x


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["callable"], "classifier=callable needs classifier.path=package.module:name"),
        (["callable", f"{TOY}nothing"], r"classifier\.path=tests\.toys:nothing: no nothing in .*"),
        (["callable", f"{TOY}NOT_CALLABLE"], r".*NOT_CALLABLE: a int cannot be called"),
        (["callable", "classifier.path=toys"], r".*=toys: must look like package\.module:name"),
        (["callable", "classifier.path=no.such:f"], r".*=no\.such:f: no module no, neither .*"),
        (["callable", f"{TOY}load_nonsense"], r".*called without arguments, it gives int, which.*"),
        (["torchscript"], r"classifier=torchscript needs classifier\.path=.*"),
        (["torchscript", "classifier.path=no.pt"], r"classifier\.path=no\.pt: no such file"),
        (
            ["callable", f"{TOY}color", "classifier.labels=names"],
            r"classifier\.labels=names: no such file; it may be imagenet, places365, .*",
        ),
        (["callable", f"{TOY}color", "classifier.std=[0]"], r"classifier\.std=\[0.*\]: must be.*"),
        (
            ["callable", f"{TOY}NETWORK", "classifier.input_size=2"],
            r"NETWORK fails on images of 2 x 2 pixels \(classifier\.input_size\): .*",
        ),
        (
            ["callable", "classifier.path=torch:Tensor.cpu"],
            r"Tensor\.cpu gives \(1, 3, 224, 224\) for one image, not \(1, classes\)",
        ),
        (
            ["callable", "classifier.path=tests.classifier.test_networks:Pair"],
            r"classifier\.output=None: no such output; there is 0, 1",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=f"^{told}$"):
        build(*overrides).to(torch.device("cpu"))


def test_a_file_that_is_no_torchscript_is_named(tmp_path: Path) -> None:
    file = saved(tmp_path, {"a": torch.zeros(1)})
    classifier = build("torchscript", f"classifier.path={file}")
    with pytest.raises(UserError, match=f"classifier.path={file}: not a TorchScript file: "):
        _ = classifier.fingerprint


FRESH = {"weights": None, "num_classes": 10}
LIKE_ITS_WEIGHTS = {"transform_input": True, "init_weights": False}


def with_head(network: nn.Module, name: str, classes: int = 10) -> nn.Module:
    """Replace one layer by that of other classes, as fine-tuning does."""
    parent, _, child = name.rpartition(".")
    old = network.get_submodule(name)
    setattr(network.get_submodule(parent), child, nn.Linear(old.in_features, classes))
    return network


def tuned(name: str) -> nn.Module:
    if name == "inception_v3 by one head":  # the other keeps its 1000 classes
        return with_head(models.inception_v3(weights=None, **LIKE_ITS_WEIGHTS), "fc")
    if name == "googlenet":  # torchvision's pretrained one has no other heads
        return models.googlenet(**FRESH, **LIKE_ITS_WEIGHTS, aux_logits=False)
    if name == "inception_v3":
        return models.inception_v3(**FRESH, **LIKE_ITS_WEIGHTS)
    return models.get_model(name, **FRESH)


@torch.no_grad()
@pytest.mark.parametrize(
    "kind",
    [
        *("resnet18", "densenet121", "squeezenet1_1", "mnasnet0_5"),
        *("googlenet", "inception_v3", "inception_v3 by one head"),
    ],
)
def test_a_tuned_network_of_torchvision(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    name, own = kind.partition(" ")[0], tuned(kind).eval()
    size = 299 if name == "inception_v3" else 224
    see_something(own, normalized(images(size)))
    file = saved(tmp_path, {"model": {f"module.{k}": v for k, v in own.state_dict().items()}})
    keys = [f"classifier.name={name}", f"classifier.checkpoint={file}", "classifier.num_classes=10"]
    classifier = build("torchvision", *keys)
    x = images(classifier.input_size)
    assert torch.allclose(classifier(x), own(normalized(x)), rtol=1e-3, atol=1e-4)
    assert len(classifier.labels) == 10
    categories = models.get_model_weights(name).DEFAULT.meta["categories"]
    assert len(categories) == 1000
    with pytest.raises(UserError, match=r": try classifier\.num_classes=10$"):
        _ = build("torchvision", *keys[:2]).fingerprint


@torch.no_grad()
@pytest.mark.parametrize("aux", [True, False])
def test_a_network_trained_from_scratch_has_plain_input(tmp_path: Path, aux: bool) -> None:
    torch.manual_seed(0)
    own = models.googlenet(**FRESH, init_weights=False, aux_logits=aux).eval()
    see_something(own, normalized(images(224)))
    keys = ["classifier.name=googlenet", "classifier.weights=null", "classifier.num_classes=10"]
    file = saved(tmp_path, own.state_dict())
    classifier = build("torchvision", *keys, f"classifier.checkpoint={file}")
    x = images(224)
    assert torch.allclose(classifier(x), own(normalized(x)), rtol=1e-3, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_a_tuned_network_of_timm(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    own = timm.create_model(name, num_classes=10).eval()
    file = saved(tmp_path, {"state_dict": own.state_dict(), "arch": name, "epoch": 3})
    keys = [f"classifier.name={name}", f"classifier.checkpoint={file}", "classifier.num_classes=10"]
    classifier = build("timm", *keys)
    x = images(classifier.input_size)
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (classifier.mean, classifier.std))
    assert torch.allclose(classifier(x), own((x - mean) / std), rtol=1e-3, atol=1e-4)
    with pytest.raises(UserError, match=r": try classifier\.num_classes=10$"):
        _ = build("timm", *keys[:2]).fingerprint


@pytest.mark.parametrize("option", ["timm", "torchvision"])
def test_pretrained_weights_keep_their_head(option: str) -> None:
    name = "classifier.name=resnet18"
    with pytest.raises(UserError) as caught:
        build(option, name, "classifier.num_classes=10")
    assert str(caught.value) == (
        "classifier.num_classes=10: the weights of resnet18 have 1000 classes, and another head "
        "would be random: give classifier.checkpoint=/path/to/file"
    )
    assert build(option, name, "classifier.num_classes=1000").num_classes == 1000
    off = {"timm": "classifier.pretrained=false", "torchvision": "classifier.weights=null"}[option]
    assert len(build(option, name, off, "classifier.num_classes=10").labels) == 10


def test_keys_of_a_checkpoint_are_no_part_of_a_heatmaps_key(tmp_path: Path) -> None:
    file = saved(tmp_path, {"model": models.squeezenet1_1(weights=None).state_dict()})
    keys = ["classifier.name=squeezenet1_1", f"classifier.checkpoint={file}"]
    more = ["classifier.num_classes=1000", "classifier.checkpoint_entry=model"]
    identities = [components.identity(build("torchvision", *keys, *one)) for one in ([], more)]
    assert identities[0] == identities[1]
    assert not {"num_classes", "checkpoint_entry"} & identities[0].keys()
