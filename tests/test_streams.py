"""Commands write to outputs of any encoding."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genattr import streams
from tests.conftest import REPO, photo_file
from tests.sweep.test_lifecycle import SMALL

COMMANDS = {
    "help": ["run.py", "--help"],
    "store": ["-m", "genattr.store"],
    "report": ["-m", "genattr.report", "·nowhere…"],
    "sensitivity": ["-m", "genattr.analysis.sensitivity", "·nowhere…"],
    "training": ["-m", "genattr.training", "--help"],
    "benchmarks": ["-c", "import benchmarks; print('· … ↑')"],
}


def said(words: list[str], encoding: str) -> subprocess.CompletedProcess[bytes]:
    """Run Python with an output of an encoding."""
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    return subprocess.run(
        [sys.executable, *words],
        cwd=REPO, env=environment, capture_output=True, timeout=300, check=False,
    )  # fmt: skip


def test_what_an_encoding_lacks_becomes_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", "strict"))
    streams.replace_unknown()
    print("SP · gray", flush=True)
    assert written.getvalue() == b"SP ? gray\n"


def test_an_output_that_is_no_text_stream_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", None)
    streams.replace_unknown()


def test_a_log_in_another_encoding_takes_any_name(tmp_path: Path) -> None:
    handler = logging.FileHandler(tmp_path / "log", encoding="ascii")
    logging.getLogger().addHandler(handler)
    try:
        streams.replace_unknown()
        handler.emit(logging.makeLogRecord({"msg": "é.png"}))
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert (tmp_path / "log").read_bytes() == b"?.png\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_ends_without_an_error_of_encoding(command: str) -> None:
    done = said(COMMANDS[command], "ascii")
    assert b"UnicodeEncodeError" not in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_run_is_shown_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    photo_file(tmp_path / "photos" / "ü · ….png")
    places = [f"store={tmp_path}/heatmaps", f"hydra.run.dir={tmp_path}/out", "tracking=none"]
    photos = ["dataset=folder", f"dataset.root={tmp_path}/photos", "method=center"]
    done = said(["run.py", *SMALL, "metric=[deletion]", *photos, *places], encoding)
    assert done.returncode == 0, done.stderr
    assert b"Center" in done.stdout or b"center" in done.stdout
    done.stdout.decode(encoding)
    assert b"Error" not in done.stderr
