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


LASTING = """
import os, sys
from genattr import streams
streams.prepare()
for _ in range(3):
    print("line", flush=True)
os.system("echo of another process")
print(streams.are_whole(), file=sys.stderr)
"""


def outlasting(output: str) -> str:
    """Run that with an output; what it says beside it."""
    line = f'"{sys.executable}" -c "$0" {output}'
    done = subprocess.run(
        ["bash", "-c", line, LASTING], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.stderr


def test_work_outlasts_a_pipe_that_nobody_reads() -> None:
    assert outlasting("| true") == "True\n"


def test_work_outlasts_a_full_disk_and_knows_of_it() -> None:
    told = "genattr: the output ends here: there is no room left: make some\n"
    assert outlasting("> /dev/full") == f"{told}False\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_work_needs_no_outputs(unbuffered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    assert outlasting(">&-") == "True\n"


def test_a_file_never_gets_the_number_of_an_output_that_is_closed(tmp_path: Path) -> None:
    number = "; print(open(sys.argv[1], 'w').fileno(), file=sys.stderr)"
    code = f"import sys; from genattr import streams; streams.prepare(){number}"
    line = f'"{sys.executable}" -c "$0" "$1" <&- >&-'
    words = ["bash", "-c", line, code, str(tmp_path / "a")]
    done = subprocess.run(words, cwd=REPO, capture_output=True, text=True, check=False)
    assert int(done.stderr) > 2


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    line = f'cd gone; rmdir ../gone; PYTHONPATH={REPO} "{sys.executable}" -m genattr list'
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == "genattr: the folder that you are in is gone: go to another one, by cd\n"
    assert done.returncode == 1
