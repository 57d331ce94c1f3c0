"""The page about one decision: what it says of a toy, and that it needs nothing from outside."""

from __future__ import annotations

import base64
import inspect
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from PIL import Image

from genattr.method.mp import MP
from genattr.method.sp import SlidingPatch
from genattr.report.decision import SHARES, Decision, decide
from genattr.report.decision_page import percent, render, summary
from genattr.report.facts import Facts
from genattr.run import experiment
from genattr.run.pages import FOLDER, first_page
from tests.conftest import REPO, ConstantFiller, LinearClassifier, linear_probe, photo_file
from tests.contract.options import small

SP = SlidingPatch(3, 1, "centered", "full", 0.0, 1.0, False)
EVIL = "<script>alert('x')</script>.png"


class Resources(HTMLParser):
    """Collects tags, and whatever a browser would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text += data


def decision() -> Decision:
    filler = ConstantFiller(0.5)
    probe = linear_probe(filler=filler)
    return decide(probe, SP.explain(probe), SP, filler)


def facts(**changes: object) -> Facts:
    classifier = LinearClassifier(torch.zeros(3, 12, 12))
    made = Facts(SP, ConstantFiller(0.5), classifier, 7, "probability", torch.device("cpu"), "run")
    return replace(made, **changes)


def test_its_numbers_are_the_classifiers_own() -> None:
    made = decision()
    probe, image = linear_probe(), made.sample.image
    assert made.answer.probability == pytest.approx(probe.original, abs=1e-6)
    ranks = made.values.ravel().argsort()[::-1]
    for share, answer in zip(SHARES, made.strongest, strict=True):
        hole = torch.zeros(144, dtype=torch.bool)
        hole[torch.from_numpy(ranks[: round(144 * share)].copy())] = True
        filled = torch.where(hole.view(12, 12), torch.tensor(0.5), image)
        assert answer.probability == pytest.approx(float(probe.probabilities(filled[None])[0]))


def test_what_stood_there_is_the_window_that_cost_most() -> None:
    made = decision()
    assert made.hidden is not None
    fall = made.answer.probability - made.hidden.answer.probability
    assert fall == pytest.approx(float(made.heatmap.values.max()), abs=1e-6)
    assert made.hidden.hole.sum() == 9


def test_classes_are_those_of_the_untouched_photo() -> None:
    made = decision()
    assert [choice.label for choice in made.choices] == sorted(
        ("no", "yes"), key=lambda name: name != made.answer.first.label
    )
    assert sum(choice.probability for choice in made.choices) == pytest.approx(1)
    assert made.rank == 1 + (made.answer.probability < 0.5)


def test_the_page_needs_nothing_from_outside() -> None:
    read = Resources(render(decision(), facts()))
    assert "script" not in read.tags
    assert "link" not in read.tags
    assert all(source.startswith("data:image/jpeg;base64,") for source in read.fetched)
    for source in read.fetched:
        Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).verify()
    assert not re.search(r"https?://|url\(|@import", render(decision(), facts()))


def test_names_and_labels_are_escaped() -> None:
    made = decision()
    named = replace(made, label=EVIL, sample=replace(made.sample, image_id=EVIL))
    page = render(named, facts(command=EVIL))
    assert "<script" not in page
    assert EVIL in Resources(page).text


def test_it_tells_settings_units_and_limits() -> None:
    text = Resources(render(decision(), facts())).text
    for told in (
        "patch size 3", "Seed7", "Fall of the probability", "invents",
        "n = 1", "not checked", "softmax over 2 logits", "yes (index 1)",
    ):  # fmt: skip
        assert told in text
    plain = Resources(render(decision(), facts(checked="Seeds agree."))).text
    assert "Seeds agree." in plain
    assert "not checked" not in plain


def test_a_mask_method_shows_its_final_hole() -> None:
    mp = MP(4, 3, 0.1, 1e-4, 1e-2, 0, 1, "nearest", "deletion", False, 1, False)
    probe = linear_probe(filler=ConstantFiller(0.5))
    (_, heatmap), *_ = mp.explain_many([probe])
    made = decide(probe, heatmap, mp, ConstantFiller(0.5))
    assert made.hidden is not None
    assert made.hidden.is_final
    assert "removes in the end" in Resources(render(made, facts(method=mp))).text


def test_a_heatmap_that_its_check_refutes_is_called_so() -> None:
    made = decision()
    turned = replace(made, strongest=made.weakest, weakest=made.strongest)
    assert "do not rely" in summary(turned)
    assert "do not rely" not in summary(made)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "below 0.001 %"),
        (1e-9, "below 0.001 %"),
        (5e-4, "0.05 %"),
        (0.715, "71.5 %"),
        (1, "above 99.99 %"),
    ],
)
def test_extreme_probabilities_keep_telling_digits(share: float, text: str) -> None:
    assert percent(share).replace("\N{NARROW NO-BREAK SPACE}", " ") == text


def test_a_run_over_one_photo_writes_one_page(tmp_path: Path) -> None:
    photo = photo_file(tmp_path / "<script>&.png")
    chosen = ["classifier=timm", "dataset=folder", f"dataset.root='{photo}'", "report=true"]
    experiment.run(small(tmp_path, *chosen, "metric=[]"), tmp_path / "run")
    page = first_page(tmp_path / "run")
    assert page is not None
    assert re.fullmatch(r"[\w-]+\.html", page.name)
    assert [path.name for path in page.parent.iterdir()] == [page.name]


def test_a_run_over_several_writes_an_index(tmp_path: Path) -> None:
    chosen = ["classifier=timm", "target=predicted", "metric=[]", "selection.limit=2"]
    experiment.run(small(tmp_path, *chosen, "report=true"), tmp_path / "run")
    index = first_page(tmp_path / "run")
    assert index is not None
    assert index.name == "index.html"
    links = re.findall(r'<a href="([^"]+)"', index.read_text())
    assert sorted(set(links)) == sorted(
        path.name for path in index.parent.iterdir() if path != index
    )
    assert len(set(links)) == 2


def test_without_the_key_there_is_no_page(tmp_path: Path) -> None:
    chosen = ["classifier=timm", "target=predicted", "metric=[]", "selection.limit=1"]
    experiment.run(small(tmp_path, *chosen), tmp_path / "run")
    assert not (tmp_path / "run" / FOLDER).exists()


@pytest.mark.parametrize("group", ["method", "filler"])
def test_every_option_can_describe_itself(group: str) -> None:
    for file in (REPO / "conf" / group).glob("*.yaml"):
        target = OmegaConf.load(file).get("_target_")
        described = inspect.cleandoc(get_class(target).__doc__) if target else "as its base."
        assert described.partition("\n\n")[0].endswith("."), target
