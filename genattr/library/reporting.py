"""The page about one decision, of a heatmap that ``genattr.explain`` made."""

from __future__ import annotations

from pathlib import Path

from genattr.errors import require
from genattr.files import write_text
from genattr.report.decision import decide
from genattr.run.pages import facts_of
from genattr.run.study import Study
from genattr.run.tasks import task_of
from genattr.scoring import Counts
from genattr.types import Heatmap, Sample

ENDINGS = (".html", ".htm")


def write(heatmap: Heatmap, sample: Sample, study: Study, call: str, file: Path) -> None:
    """Write the page; UserError if the file's ending is another one."""
    from genattr.report.decision_page import render

    require(file.suffix in ENDINGS, f"path={file}: must end in {' or '.join(ENDINGS)}")
    task = task_of(study, sample, heatmap.target, (0, 0), "evaluation", Counts())
    decision = decide(task.probe, heatmap, study.method, study.filler)
    write_text(file, render(decision, facts_of(study, call)))
