"""Names of photos and classes that are HTML, and passwords that are typed: where do they end up?"""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from mlflow import MlflowClient

from genattr.report.__main__ import main as report
from genattr.run import experiment
from tests.conftest import REPO, photo_file
from tests.contract.options import compose_config
from tests.faults.conftest import Tally

PHOTO = "<img src=x onerror=alert(1)>&'\"`|*[a](javascript:alert(2)).png"
CLASSES = (
    "</script><script>alert(3)</script>",
    "![](http://stranger.example/a.png)",
    '=HYPERLINK("http://stranger.example")',
)
SECRET = "hunter2secret"


class Seen(HTMLParser):
    """What a browser would do with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers: list[str] = []
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._in_script = tag == "script"
        for key, value in attributes:
            if key.startswith("on"):
                self.handlers.append(key)
            if key in ("src", "href", "action", "srcset"):
                self.addresses.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run over a photo with such a name, with its pages and its report."""
    here = tmp_path_factory.mktemp("names")
    photo_file(here / "photos" / PHOTO)
    (here / "classes.txt").write_text("\n".join(CLASSES))
    cfg = compose_config(
        "dataset=folder", f"dataset.root={here}/photos", "classifier=callable",
        "classifier.path=tests.toys:shares", "classifier.outputs=probabilities",
        "classifier.input_size=32", "classifier.mean=[0]",
        "classifier.std=[1]", f"classifier.labels={here}/classes.txt", "target=predicted",
        "method=random", "metric=[deletion]", "report=true", "threads=1", f"store={here}/heatmaps",
        f"tracking.uri=sqlite:///{here}/mlflow.db",
    )  # fmt: skip
    experiment.run(cfg, here / "run")
    report([str(here / "run"), "--out", str(here / "report")])
    return here


def test_pages_show_names_and_do_nothing_else(folder: Path, tally: Tally) -> None:
    pages = sorted(folder.rglob("*.html"))
    assert len(pages) >= 3  # the report, a photo's page, their index
    for page in pages:
        seen = Seen()
        seen.feed(page.read_text(encoding="utf-8"))
        assert seen.handlers == []
        assert not [text for text in seen.scripts if "alert" in text]
        outside = [one for one in seen.addresses if one.startswith(("http", "//", "javascript"))]
        assert [one for one in outside if "stranger" in one or "alert" in one] == []
        tally("pages with names that are HTML")


def test_a_description_in_markdown_shows_names_and_fetches_nothing(folder: Path) -> None:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [one.experiment_id for one in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    text = run.data.tags["mlflow.note.content"]
    for live in ("<img", "<script", "![](http", "](javascript"):
        assert live not in text


class Broken(BaseHTTPRequestHandler):
    """A tracking server that answers, and does not work."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/" else 500)
        self.end_headers()

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> str:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize("sweep", [[], ["-m", "seed=0,1"]])
def test_no_password_is_told_or_kept(
    tmp_path: Path, address: str, sweep: list[str], tally: Tally
) -> None:
    typed = [
        *sweep, "classifier=timm", "classifier.name=test_resnet", "classifier.pretrained=false",
        "method=center", "metric=[deletion]", "selection.limit=1", "threads=1",
        f"tracking.uri=http://user:{SECRET}@{address}", f"note='api_key={SECRET}'",
        f"store={tmp_path}/heatmaps", f"hydra.run.dir={tmp_path}/run",
        f"hydra.sweep.dir={tmp_path}/sweep",
    ]  # fmt: skip
    for further in ([], ["tracking=none"]):
        words = [word for word in typed if not (further and word.startswith("tracking.uri"))]
        ended = subprocess.run(
            [sys.executable, "run.py", *words, *further], cwd=REPO, capture_output=True, text=True
        )
        assert "Traceback" not in ended.stderr
        assert SECRET not in ended.stdout + ended.stderr
        assert (ended.returncode == 0) == bool(further)
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
        tally("commands with a password in them")
