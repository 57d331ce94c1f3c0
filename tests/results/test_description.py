"""What a tracking store says about runs, and what the terminal warns of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from genattr.analysis.statistics import estimate
from genattr.results.description import of_run, of_sweep
from genattr.results.show import caveats
from genattr.results.summary import Part, Summary
from genattr.sweep.member import shell

SUMMARY = Summary(
    "SP · a|b_c", "stride 3", {"deletion/auc": estimate([0.25, 0.5])},
    {"deletion/auc": "lower"}, {}, photos=2, note="A note.",
    parts={key: Part(key, key) for key in ("method", "filler", "classifier")},
)  # fmt: skip


def test_a_run_is_described_in_markdown_that_shows_names_as_they_are(tmp_path: Path) -> None:
    picture = tmp_path / "contact_sheet.png"
    assert str(picture) not in of_run(SUMMARY, picture, "")
    picture.touch()
    text = of_run(SUMMARY, picture, "python run.py method=sp")
    assert text.startswith("**SP · a\\|b\\_c**  \nstride 3\n\nA note.\n\n| score | mean |")
    assert "| deletion ↓ | 0.375 | 0.250 to 0.500 | 2 |" in text
    assert f"`{picture}` on " in text
    assert text.endswith("Command:\n\n```console\npython run.py method=sp\n```")


def test_a_sweep_is_described_by_the_means_of_its_members(tmp_path: Path) -> None:
    members = [replace(SUMMARY, in_sweep=f"SP · seed {seed}") for seed in range(40)]
    members[1] = replace(members[1], scores={}, directions={})
    text = of_sweep("seed", "", members, tmp_path / "none.png", "")
    assert "| run | deletion ↓ | photos |" in text
    assert "| SP · seed 0 | 0.375 | 2 |\n| SP · seed 1 | – | 2 |" in text
    assert "SP · seed 30 |" not in text
    assert "and 10 more" in text


@pytest.mark.parametrize(("photos", "told"), [(1, "1 photo decides"), (2, "2 photos decide")])
def test_few_photos_decide_nothing(photos: int, told: str) -> None:
    ((head, text),) = caveats([replace(SUMMARY, photos=photos)])
    assert head == "Few photos"
    assert text.startswith(f"{told} nothing")
    assert "docs/results.md" in text
    assert not list(caveats([replace(SUMMARY, photos=30)]))
    assert not list(caveats([replace(SUMMARY, photos=photos, scores={})]))


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("tracking.uri=http://me:a/b@host:5000", "'tracking.uri=http://me:***@host:5000'"),
        ("tracking.uri=postgresql\\://me\\:x@host", "'tracking.uri=postgresql\\://me\\:***@host'"),
        ("dataset.token=abc", "'dataset.token=***'"),
        ("tracking.uri=sqlite:////a b/x.db", "'tracking.uri=sqlite:////a b/x.db'"),
        ("filler=gray", "filler=gray"),
    ],
)
def test_a_command_is_quoted_and_keeps_secrets(word: str, shown: str) -> None:
    assert shell("genattr", [word]) == f"genattr {shown}"
