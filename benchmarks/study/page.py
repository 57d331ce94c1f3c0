"""Writes docs/results.md and its figure from the scores: ``python -m benchmarks.study.page``."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment, StrictUndefined

from benchmarks.study import beyond, choosing, judges, objects, plan
from benchmarks.study.claims import ENOUGH, INPAINTERS, SECOND, THREE_MASKS, Claim, claims, tables
from benchmarks.study.merge import ENVIRONMENT
from benchmarks.study.picture import draw
from genattr import config
from genattr.report import paper, table
from genattr.results.finished import Member

TEMPLATE = Path(__file__).with_name("page.md")
PROSE = Path(__file__).with_name("prose.md")
DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURE = "images/results_claims.png"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--found", type=Path, default=plan.FOUND)
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the page")
    options = parser.parse_args(arguments)
    config.register()
    found = claims(options.found)
    draw(found, options.docs / PICTURE)
    page = options.docs / "results.md"
    page.write_text(text(found, options.found), encoding="utf-8")
    print(json.dumps({"page": str(page), "claims": len(found)}))


def text(found: Sequence[Claim], folder: Path) -> str:
    """Return the page in Markdown."""
    template = Environment(undefined=StrictUndefined, autoescape=False, trim_blocks=False)  # noqa: S701, Markdown of numbers
    judged, fillers = judges.means(folder), beyond.selective(folder)
    available, asked = _available(folder), plan.read()
    second = claims(folder, SECOND)
    return template.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        claims=found,
        counts=Counter(claim.found.verdict for claim in found),
        decided=_decided,
        excluded=[
            claim for claim in found if claim.found.verdict == "undecided" and claim.is_beyond
        ],
        enough=ENOUGH,
        most=_photos(folder, "main", "evaluation"),
        held_out=_photos(folder, "main", "held_out"),
        tables={name: list(tables(folder, name)) for name in INPAINTERS},
        judges=judged,
        overall=judges.overall(judged),
        agreement=_agreement,
        reliable=beyond.reliable(folder, judged),
        who_explains=beyond.explains_and_judges(folder),
        blurred=beyond.blurred(folder),
        blurred_there=table.number(
            paper.table("sec42_blurred").number("imagenet", "Probability", "Blur")[0]
        ),
        noise=beyond.noise(folder),
        draws=choosing.DRAWS,
        choosing=choosing.by_pair(folder),
        fillers=fillers,
        predicts={by: beyond.predicts(fillers, by) for by in ("gap", "R-OMS") if by in fillers},
        budget=beyond.budget(folder),
        best=beyond.best_at_budget(folder),
        removed={
            "All photos": objects.removed(folder),
            "Birds": objects.removed(folder, objects.birds()),
        },
        preserved=objects.preserved(folder),
        ranking=beyond.ranking(folder),
        second=second,
        second_held_out=_photos(folder, "lite2", "held_out"),
        alike=_alike(found, second),
        networks=beyond.networks(folder),
        search=beyond.search(folder),
        masks=claims(folder, THREE_MASKS),
        larger_masks=beyond.larger_masks(folder),
        available=available,
        shared=" ".join(asked.photos),
        groups=asked.groups,
        commands=_commands(asked, folder),
        processors=", ".join(_processors(folder)),
        prose=PROSE.read_text(encoding="utf-8").strip(),
        paper=lambda claim: table.signed(claim.found.paper),
        here=lambda claim: _marked(beyond.told(claim.found.difference), claim),
        p=lambda claim: table.p_value(claim.found.corrected),
        needed=lambda claim: table.needed(claim.found.difference.needed),
        is_out_of_reach=lambda claim: _is_out_of_reach(claim, available),
        markdown=_markdown,
    )


def _decided(found: Sequence[Claim], verdict: str) -> list[str]:
    """Name the claims with a verdict, each once, with its inpainters."""
    names: dict[str, list[str]] = {}
    for claim in found:
        if claim.found.verdict == verdict:
            names.setdefault(claim.name, []).append(_marked(claim.inpainter, claim))
    return [f"{name} ({', '.join(inpainters)})" for name, inpainters in names.items()]


def _alike(found: Sequence[Claim], second: Sequence[Claim]) -> list[str | None]:
    """Return the verdicts that are the same with the second network."""
    first = {(claim.name, claim.inpainter): claim.found.verdict for claim in found}
    verdicts = ((claim, first.get((claim.name, claim.inpainter))) for claim in second)
    return [verdict for claim, verdict in verdicts if verdict == claim.found.verdict]


def _marked(text: str, claim: Claim) -> str:
    return f"{text} ‡" if claim.is_beyond else text


def _photos(folder: Path, group: str, split: str) -> int:
    """Return the most photos of a split that a row of a group has."""
    rows = plan.rows(folder, group).values()
    return max((len(plan.held(row, split)) for row in rows), default=0)


def _available(folder: Path) -> int:
    """Return how many photos for claims the classifier gets right."""
    return max((len(Member(row).photos) for row in plan.rows(folder, "sec42").values()), default=0)


def _is_out_of_reach(claim: Claim, available: int) -> bool:
    gap = claim.found.difference
    return claim.found.verdict == "undecided" and max(available, gap.n) < gap.needed < math.inf


def _commands(asked: plan.Plan, folder: Path) -> pd.DataFrame:
    """Return what each row that has photos was told."""
    lines = {}
    for (group, row), keys in plan.keys(asked).items():
        photos = plan.held(folder / plan.folder(group, row), "evaluation")
        if photos:
            lines[f"{group}: {row}"] = [str(len(photos)), f"`{keys}`"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=["photos", "keys"])


def _processors(folder: Path) -> list[str]:
    facts = (json.loads(file.read_text()) for file in folder.glob(f"*/*/{ENVIRONMENT}"))
    return sorted({name for one in facts for name in one.get("processors", [])})


def _agreement(scores: pd.DataFrame) -> str:
    pairs = judges.agreement(scores).items()
    return ", ".join(f"{one} and {other} {tau:.2f}" for (one, other), tau in pairs)


def _markdown(scores: pd.DataFrame) -> str:
    if scores.empty:
        return "No photos so far."
    return table.markdown(scores.map(_cell).rename_axis("").reset_index())


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.3f}"


if __name__ == "__main__":
    main()
