"""The pages of a run, one for each heatmap: ``report=true``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from genattr.files import FreeNames, write_text, writing
from genattr.report.decision import Decision
from genattr.report.facts import Facts
from genattr.run.study import Study

if TYPE_CHECKING:
    from genattr.report.decision_page import Entry

FOLDER = "decision"  # in the run's
INDEX = "index.html"


@dataclass
class Pages:
    """Writes a page for each decision as it comes, or keeps the decisions for whoever writes them.

    Attributes
    ----------
    folder
        Of the pages; None: they are kept.
    facts
        What all pages say of the run.
    kept
        Decisions by their places, if there is no folder.
    """

    folder: Path | None = None
    facts: Facts | None = None
    kept: dict[tuple[int, int], Decision] = field(default_factory=dict)
    _entries: dict[tuple[int, int], Entry] = field(default_factory=dict)
    _names: FreeNames = field(default_factory=lambda: FreeNames(["index"]))

    def add(self, place: tuple[int, int], decision: Decision) -> None:
        """Write a page.

        Parameters
        ----------
        place
            Position of the photo among those of the run, and of the target among the photo's.
        """
        if self.folder is None or self.facts is None:
            self.kept[place] = decision
            return
        from genattr.report import decision_page

        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        file = f"{self._names.take(decision.sample.image_id)}.html"
        write_text(self.folder / file, decision_page.render(decision, self.facts))
        self._entries[place] = decision_page.entry(file, decision, self.facts)

    def join(self, part: Pages) -> None:
        """Take in the decisions of a process that explained a part of the photos."""
        for place, decision in part.kept.items():
            self.add(place, decision)

    def close(self, title: str) -> Path | None:
        """Write the index, if there are several pages.

        Returns
        -------
        What to open first; None: there are no pages.
        """
        entries = [self._entries[place] for place in sorted(self._entries)]
        if self.folder is None or self.facts is None or not entries:
            return None
        if len(entries) == 1:
            return self.folder / entries[0].file
        from genattr.report import decision_page

        index = self.folder / INDEX
        text = decision_page.render_index(entries, title, self.facts)
        return write_text(index, text)


def first_page(folder: Path) -> Path | None:
    """Return the page of a run to open first; None where it has none."""
    pages = sorted((folder / FOLDER).glob("*.html"))
    index = folder / FOLDER / INDEX
    return index if index in pages else next(iter(pages), None)


def pages_of(study: Study, folder: Path, command: str) -> Pages:
    """Return where a run's pages go."""
    if not study.cfg.report:
        return Pages()
    return Pages(folder / FOLDER, facts_of(study, command))


def facts_of(study: Study, command: str) -> Facts:
    """Return what the pages say of a run."""
    over = study.cfg.sensitivity.over
    checked = (
        f"Whether other values of {over} give the same heatmap was checked in this run: see "
        "sensitivity.png in its folder."
    )
    return Facts(
        method=study.method,
        filler=study.filler,
        classifier=study.classifier,
        seed=study.cfg.seed,
        explain=study.cfg.explain,
        device=study.device,
        command=command,
        colors=study.cfg.map_colors,
        checked=checked if over is not None and study.cfg.sensitivity["values"] else "",
    )
