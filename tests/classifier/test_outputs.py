"""Outputs of every kind become the probabilities that they mean, or are refused in one line."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genattr.classifier.trial import check_answers, trial_images
from genattr.errors import UserError
from genattr.protocols import Classifier
from tests import toys
from tests.contract.options import built, compose_config

CPU = torch.device("cpu")
RAW = ["classifier.input_size=16", "classifier.mean=[0]", "classifier.std=[1]"]
Named = namedtuple("Named", ["features", "scores"])


@dataclass
class Answer:
    features: Tensor
    scores: Tensor
    loss: Tensor | None = None


def logits(x: Tensor) -> Tensor:
    """Three logits, which leave [0, 1]."""
    return 6 * x.mean(dim=(2, 3)) - 3


def several(x: Tensor) -> Tensor:
    return logits(x).sigmoid()


def one(x: Tensor) -> Tensor:
    return logits(x)[:, :1]


def one_sigmoid(x: Tensor) -> Tensor:
    return one(x).sigmoid()


def one_squeezed(x: Tensor) -> Tensor:
    return one(x).squeeze()


def shares(x: Tensor) -> Tensor:
    return logits(x).softmax(1)


def convolutional(x: Tensor) -> Tensor:
    return logits(x)[:, :, None, None]


def as_dict(x: Tensor) -> dict[str, Tensor]:
    return OrderedDict(features=x, scores=logits(x))


def as_pair(x: Tensor) -> tuple[Tensor, Tensor]:
    return x, logits(x)


def as_named(x: Tensor) -> Any:
    return Named(x, logits(x))


def as_dataclass(x: Tensor) -> Answer:
    return Answer(x, logits(x))


def alone_in_a_list(x: Tensor) -> list[Tensor]:
    return [logits(x)]


def of_gray(x: Tensor) -> Tensor:
    assert x.shape[1] == 1, "one channel"
    return torch.cat([logits(x), -logits(x)], dim=1)


class Normed(nn.Module):
    """A convolution, and a batch norm that could be folded into it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)
        self.norm.running_mean.data.uniform_(-1, 1)
        self.norm.running_var.data.uniform_(0.1, 3)
        self.norm.bias.data.uniform_(-9, 9)

    def features(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Any:
        return {"features": x, "scores": self.features(x)}


class Changed(Normed):
    """The same, with an activation between both that works in place, and a softmax."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(nn.functional.relu(self.conv(x), inplace=True)).mean((2, 3)).softmax(1)


class Skipped(Normed):
    """The batch norm's input is used elsewhere, too."""

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv(x)
        return (self.norm(conv) + conv).mean((2, 3)).softmax(1)


def class_numbers(x: Tensor) -> Tensor:
    return logits(x).argmax(dim=1, keepdim=True)


class Double(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 16).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).flatten(1) * 9


def leave() -> None:
    raise SystemExit(0)


class Four(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(4, 3, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).flatten(1)


def failing(error: Exception) -> Callable[[Tensor], Tensor]:
    def fail(x: Tensor) -> Tensor:
        raise error

    return fail


FAIL_ASSERT, FAIL_KEY = failing(AssertionError()), failing(KeyError("head"))
FAIL_TYPE = failing(TypeError("forward() missing 1 required argument: 'mask'"))


class Statistics(nn.Module):
    """Batch norm of the batch itself: a row depends on its neighbors."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        features = logits(x)
        return self.norm(features) if len(x) > 1 else features


def dropping(x: Tensor) -> Tensor:
    return nn.functional.dropout(logits(x), training=True)


def build(name: str, *overrides: str) -> Classifier:
    path = f"classifier.path=tests.classifier.test_outputs:{name}"
    cfg = compose_config("classifier=callable", path, *RAW, *overrides)
    return built(cfg.classifier, "classifier")


def outputs(kind: str) -> str:
    return f"classifier.outputs={kind}"


def sigmoid(values: Tensor) -> np.ndarray:
    return 1 / (1 + np.exp(-values.double().numpy()))


@pytest.mark.parametrize(
    ("name", "kind", "reading"),
    [
        ("logits", "sigmoid_logits", "sigmoid of each of 3 logits"),
        ("several", "sigmoid_probabilities", "3 probabilities of a class each"),
    ],
)
def test_each_class_has_a_probability_of_its_own(name: str, kind: str, reading: str) -> None:
    classifier, x = build(name, outputs(kind)), trial_images(16)
    expected = sigmoid(logits(x))
    answers = classifier(x)
    assert np.allclose(classifier.probabilities(answers).numpy(), expected, atol=1e-6)
    for target in range(3):
        odds = classifier.log_odds(answers, torch.full((len(x),), target))
        assert np.allclose(odds.numpy(), logits(x)[:, target].numpy(), atol=1e-4)
    assert (classifier.reading, classifier.alternatives) == (reading, 2)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("one", "logits"),
        ("one", "sigmoid_logits"),
        ("one_squeezed", "logits"),
        ("one_sigmoid", "probabilities"),
        ("one_sigmoid", "sigmoid_probabilities"),
    ],
)
def test_one_output_is_two_classes(name: str, kind: str) -> None:
    classifier, x = build(name, outputs(kind)), trial_images(16)
    check_answers(classifier, CPU)
    yes = sigmoid(one(x)[:, 0])
    found = classifier.probabilities(classifier(x)).numpy()
    assert np.allclose(found, np.stack([1 - yes, yes], axis=1), atol=1e-6)
    assert list(classifier.labels) == ["class 0", "class 1"]
    assert classifier(x).argmax(dim=1).tolist() == (yes > 0.5).astype(int).tolist()


def test_a_binary_network_never_meets_heatmaps_of_its_softmax() -> None:
    """Before, the softmax of one output was 1: such heatmaps must not be found again."""
    assert str(build("one").fingerprint).endswith("-binary")
    assert not str(build("logits").fingerprint).endswith("-binary")


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("several", "logits", "as probabilities are and logits are not: try classifier.outputs="
         "sigmoid_probabilities"),
        ("several", "sigmoid_logits", "try classifier.outputs=sigmoid_probabilities"),
        ("one_sigmoid", "logits", "try classifier.outputs=sigmoid_probabilities"),
        ("shares", "logits", "try classifier.outputs=probabilities"),
        ("logits", "sigmoid_probabilities", "not in [0, 1]: try classifier.outputs=sigmoid_logits"),
        ("one", "sigmoid_probabilities", "not in [0, 1]: try classifier.outputs=sigmoid_logits"),
        ("several", "probabilities", "not to 1; try classifier.outputs=sigmoid_probabilities"),
    ],
)  # fmt: skip
def test_outputs_that_are_something_else_are_refused(name: str, kind: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        check_answers(build(name, outputs(kind)), CPU)
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"classifier.outputs={kind}: those of {name} ")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("logits", "logits"), ("shares", "probabilities"), ("several", "sigmoid_probabilities")],
)
def test_outputs_that_are_what_they_are_said_to_be_pass(name: str, kind: str) -> None:
    check_answers(build(name, outputs(kind)), CPU)


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("as_dict", "scores"),
        ("as_pair", "1"),
        ("as_named", "1"),
        ("as_named", "scores"),
        ("as_dataclass", "scores"),
        ("alone_in_a_list", "null"),
        ("convolutional", "null"),
    ],
)
def test_one_of_several_outputs_is_chosen(name: str, output: str) -> None:
    x = trial_images(16)
    assert torch.allclose(build(name, f"classifier.output={output}")(x), logits(x), atol=1e-5)


@pytest.mark.parametrize("name", ["as_dict", "as_pair", "as_named", "as_dataclass"])
def test_several_outputs_are_listed(name: str) -> None:
    with pytest.raises(UserError, match=r"^classifier\.output=None: no such output; there is "):
        check_answers(build(name), CPU)


def test_a_gray_network_gets_pillows_gray() -> None:
    classifier, x = build("of_gray", "classifier.channels=gray"), trial_images(16)
    luma = (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    assert torch.allclose(classifier(x), of_gray(luma), atol=1e-5)
    with pytest.raises(
        UserError, match=r"AssertionError: one channel.*; a .* classifier\.channels=gray$"
    ):
        check_answers(build("of_gray"), CPU)
    with pytest.raises(UserError, match=r"^classifier\.mean: 3 numbers; a network of one channel"):
        build("of_gray", "classifier.channels=gray", "classifier.mean=[0,0,0]")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Four", "to have 4 channels, but got 3 channels"),
        ("FAIL_ASSERT", ": AssertionError"),
        ("FAIL_KEY", ": KeyError: 'head'"),
        ("FAIL_TYPE", ": TypeError: forward() missing 1 required argument: 'mask'"),
    ],
)
def test_whatever_a_network_raises_is_one_line(name: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        check_answers(build(name), CPU)
    line = str(caught.value)
    assert line.startswith(f"{name} fails on images of 16 x 16 pixels")
    assert told in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "when"),
    [("dropping", "when it is asked twice"), ("Statistics", "beside other images")],
)
def test_a_network_that_is_not_in_evaluation_mode_is_refused(name: str, when: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(UserError, match=f"answers the same image differently {when}: a prob"):
        check_answers(build(name), CPU)


def test_a_file_traced_in_training_mode_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(*toys.ToyNetwork().layers, nn.Dropout(0.5)).train()
    torch.jit.trace(network, torch.rand(4, 3, 16, 16), check_trace=False).save(tmp_path / "n.pt")
    cfg = compose_config(
        "classifier=torchscript", f"classifier.path={tmp_path / 'n.pt'}", *RAW, "trust=true"
    )
    with pytest.raises(UserError, match=r"answers the same image differently .*evaluation mode"):
        check_answers(built(cfg.classifier, "classifier"), CPU)


@torch.no_grad()
def test_a_network_with_several_outputs_is_folded_as_one_with_one() -> None:
    classifier, x = build("Normed", "classifier.output=scores"), trial_images(16)
    assert torch.allclose(classifier(x), Normed().eval().features(x), rtol=1e-3, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("network", [Changed, Skipped])
def test_a_batch_norm_whose_input_is_changed_or_shared_is_left_as_it_is(
    network: type[nn.Module],
) -> None:
    classifier = build(network.__name__, outputs("probabilities"))
    x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    found, expected = classifier.probabilities(classifier(x)), network().eval()(x)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_numbers_of_classes_are_no_scores() -> None:
    with pytest.raises(UserError, match=r"gives 1 numbers of torch\.int64 for an image: one logit"):
        check_answers(build("class_numbers"), CPU)


def test_weights_of_other_precision_are_computed_in_32_bits() -> None:
    assert build("Double")(trial_images(16)).dtype == torch.float32


def test_code_that_ends_the_program_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"called without arguments: it ends the program"):
        check_answers(build("leave"), CPU)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit()\n")
    cfg = compose_config("classifier=callable", "classifier.path=leaving:x", *RAW)
    with pytest.raises(UserError, match=r"importing leaving ends the program \(sys\.exit\)$"):
        built(cfg.classifier, "classifier")
