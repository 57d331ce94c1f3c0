"""What metrics promise beside their scores: directions, what they need, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from genattr.errors import UserError
from genattr.metric import lpips
from genattr.metric.drift import Drift
from genattr.metric.judge import Judge
from genattr.metric.lpips import Lpips
from genattr.metric.ms_ssim import MsSsim
from genattr.metric.randomization import Randomization
from genattr.metric.remains import Remains
from genattr.metric.saliency import Saliency
from tests.conftest import ConstantFiller, LinearClassifier, linear_probe
from tests.contract.options import built, compose_config
from tests.method import hooked_toys as toys
from tests.metric import test_randomization

CPU = torch.device("cpu")
DIRECTIONS = {
    "deletion": "lower", "insertion": "higher", "localization": "lower", "saliency": "lower",
    "remains": "lower", "judge": "lower", "lpips": "higher", "ms_ssim": "lower", "drift": "lower",
    "label_skew": "lower", "randomization": "lower", "srg": "higher", "r_oms": "higher",
}  # fmt: skip


@pytest.mark.parametrize("option", DIRECTIONS)
def test_which_way_is_better_and_what_is_needed(option: str) -> None:
    metric = built(compose_config(f"metric=[{option}]").metric[option], "metric")
    assert metric.direction == DIRECTIONS[option]
    assert metric.needs_boxes == (option in ("localization", "drift"))
    assert metric.uses_held_out == (option in ("localization", "saliency"))
    assert metric.fetches == (option in ("lpips", "judge") and bool(metric.assets))
    assert bool(metric.axis_label) == (len(metric.thresholds) == 20) == metric.uses_held_out
    assert metric.explanations == (metric.steps if option == "randomization" else 0)


def test_images_that_scoring_needs() -> None:
    assert [metric.calls(176) for metric in (Remains(0.5), MsSsim(0.5))] == [1, 0]
    assert MsSsim(0.5).calls(161) == 0
    assert Saliency(alpha=0.5, component="all").calls(12) == 20
    assert Drift(patch_size=12, stride=3).calls(12) == 1
    assert Drift(patch_size=4, stride=4).calls(12) == 9


def test_what_a_metric_does_not_have_is_empty() -> None:
    remains = Remains(0.5)
    assert remains.histogram([]) == []
    assert remains.box(linear_probe(12).heatmap(torch.ones(12, 12), (0, 1)), 12, 0.5) is None


class Three(LinearClassifier):
    """A third class, as likely as the first."""

    def __call__(self, images: Tensor) -> Tensor:
        logits = super().__call__(images)
        return torch.cat([logits, logits[:, :1]], dim=1)


@dataclass(frozen=True)
class Named(LinearClassifier):
    """A judge with names and a kind of outputs of its own."""

    labels: Sequence[str] = ("no", "yes")
    each: bool = field(default=False)

    @property
    def sigmoid(self) -> bool:
        return self.each


def judge(size: int = 12, weight: float = 0.0, **changes: object) -> Judge:
    return Judge(0.5, Named(torch.full((3, size, size), weight), **changes))


def test_a_judge_of_other_classes_is_refused() -> None:
    of = Named(torch.zeros(3, 12, 12), ("goldfish", "tench"))
    with pytest.raises(UserError, match=r"has no goldfish.*, which classifier .* has: it must be"):
        judge(labels=("bus", "tench")).check(of, CPU)
    judge(labels=("tench", "goldfish")).check(of, CPU)
    numbered = Named(torch.zeros(3, 12, 12), ("class 0", "class 1"))
    with pytest.raises(UserError, match=r"knows 3 classes, and classifier .* knows 2: it must be"):
        Judge(0.5, Three(torch.zeros(3, 12, 12), ("a", "b", "c"))).check(numbered, CPU)


def test_a_judge_of_classes_one_by_one_names_those_above_one_half() -> None:
    probe = linear_probe(12, filler=ConstantFiller(0.0))
    ones = probe.heatmap(torch.ones(12, 12), (0.0, 1.0))
    both = {"accuracy": 1.0, "accuracy_before": 1.0}
    neither = {"accuracy": 0.0, "accuracy_before": 0.0}
    assert judge(weight=0.0, each=True).per_image(ones, probe) == neither  # exactly one half
    assert judge(weight=0.1, each=True).per_image(ones, probe) == {**both, "accuracy": 0.0}
    assert judge(weight=-0.1).per_image(ones, probe) == neither


def test_a_judge_whose_answers_cannot_be_used_is_refused() -> None:
    of = Named(torch.zeros(3, 12, 12), ("no", "yes"))
    with pytest.raises(UserError, match="gives NaN or infinity for plain colors or noise"):
        judge(weight=float("nan")).check(of, CPU)


def test_a_judge_that_gives_nan_is_told() -> None:
    probe = linear_probe(12)
    ones = probe.heatmap(torch.ones(12, 12), (0.0, 1.0))
    with pytest.raises(UserError, match=r"^metric\.judge=.* gives NaN for noise0"):
        judge(weight=float("nan")).per_image(ones, probe)


def bare() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_a_network_without_weights_cannot_be_randomized() -> None:
    of = toys.classifier(path=f"{__name__}:bare")
    with pytest.raises(UserError, match="randomization finds no weights in classifier"):
        Randomization("cascading", 2, 0).check(of, CPU)
    Randomization("cascading", 2, 0).check(test_randomization.linear_classifier(), CPU)


def test_lpips_without_weights_has_nothing_to_fetch() -> None:
    assert Lpips(0.5, None).assets == ()


def test_lpips_fetches_its_weights_before_any_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    monkeypatch.setattr(lpips, "_library", lambda: None)
    monkeypatch.setattr(lpips, "fetch", fetched.append)
    chosen = built(compose_config("metric=[lpips]").metric["lpips"], "metric")
    chosen.check(linear_probe().classifier, CPU)
    assert fetched == [chosen.weights]


def test_lpips_measures_by_the_weights_that_it_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    def distance(**_: object) -> nn.Module:
        return nn.ModuleDict({"net": nn.Conv2d(1, 1, 1)})

    state = {"features.0.weight": torch.full((1, 1, 1, 1), 3.0), "features.0.bias": torch.ones(1)}
    known = {"weights.pth": state | {"classifier.1.weight": torch.zeros(2)}}
    monkeypatch.setattr(lpips, "_library", lambda: distance)
    monkeypatch.setattr(lpips, "fetch", lambda file: "weights.pth" if file else None)
    monkeypatch.setattr(lpips, "load_state_dict", known.__getitem__)
    weights = built(compose_config("metric=[lpips]").metric["lpips"], "metric").weights
    network = Lpips(0.5, weights).network.get_submodule("net")
    assert (network.weight.item(), network.bias.item()) == (3, 1)
    assert Lpips(0.5, None).network.get_submodule("net").bias.item() != 1


def test_one_number_has_no_curve() -> None:
    pytest.importorskip("quantus")
    from genattr.method.sp import SlidingPatch
    from genattr.metric.quantus import Quantus

    sp = SlidingPatch(6, 6, "stretch", "full", 0.01, 0.333, requires_inpainter=False)
    probe = toys.probe()
    row = Quantus("Complexity", None).per_image(sp.explain(probe), probe)
    assert row.keys() == {"Complexity"}
    assert Quantus("Complexity", None).calls(toys.SIZE) > 0


def test_a_judges_names_are_part_of_the_scores_key() -> None:
    found = judge(labels=("a", "b")).reads(linear_probe(12).sample)
    assert found["classes"] == ["a", "b"]


def test_classes_without_names_are_compared_by_their_place() -> None:
    numbered = Named(torch.zeros(3, 12, 12), ("class 0", "class 1"))
    judge(labels=("goldfish", "tench")).check(numbered, CPU)


@pytest.mark.parametrize(
    ("name", "options", "most"),
    [
        ("Complexity", None, 4),
        ("PixelFlipping", {"features_in_step": 96}, 18 + 4),  # 3 * 24 * 24 values, 96 a step
        ("FaithfulnessCorrelation", {"nr_runs": 5}, 5 + 4),
        ("Infidelity", {"n_perturb_samples": 7}, 7 + 4),
    ],
)
def test_rounds_of_quantus_are_announced(
    name: str, options: dict[str, int] | None, most: int
) -> None:
    pytest.importorskip("quantus")
    from genattr.metric.quantus import Quantus

    assert Quantus(name, options).calls(toys.SIZE) == most
