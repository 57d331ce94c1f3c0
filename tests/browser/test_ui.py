"""The pages that a run's printed lines open: MLflow's, and the report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.browser.sweeps import SIZES, Printed, run, ui
from tests.conftest import REPO

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
PORT = "http://127.0.0.1:5000"  # of the printed links
SLOW = 120_000  # milliseconds: the UI loads many files
NAMES = [f"SP · patch_size {size}" for size in SIZES]


@pytest.fixture(scope="module")
def sweep(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Printed:
    """Four sizes of patches."""
    sizes = f"method.patch_size={','.join(map(str, SIZES))}"
    return run(tmp_path_factory.mktemp("sizes"), "-m", "method=sp", sizes)


@pytest.fixture(scope="module")
def single(sweep: Printed) -> Printed:
    """One run in the same database."""
    return run(sweep.folder, "method=sp", "method.patch_size=53", "note=A patch of 53 pixels.")


@pytest.fixture(scope="module")
def address(single: Printed) -> Iterator[str]:
    """Of the UI."""
    with ui(single) as started:
        yield started


@pytest.fixture
def page(browser_page: Page) -> Page:
    """A page whose visitor has been in MLflow before: its assistant does not cover the table."""
    seen = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
    browser_page.add_init_script(seen)
    browser_page.set_default_timeout(SLOW)
    return browser_page


@pytest.fixture
def keep(browser_page: Page, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Write a screenshot, if a folder for them is given."""
    folder = request.config.getoption("screenshots", default=None)

    def write(name: str) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{name}.png"
            browser_page.screenshot(path=path)
            colors = Image.open(path).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE)
            colors.save(path, optimize=True)

    return write


def names(page: Page) -> list[str]:
    """Return the names of the runs in the table, from top to bottom."""
    page.get_by_role("link", name=NAMES[-1], exact=True).first.wait_for()
    links = page.locator(".ag-center-cols-container a, .ag-pinned-left-cols-container a")
    found = [(link.bounding_box() or {"y": 0})["y"] for link in links.all()]
    texts = links.all_inner_texts()
    return [text for _, text in sorted(zip(found, texts, strict=True)) if text in NAMES]


def wait_for_pixels(page: Page, selector: str) -> None:
    """Wait until every such image has been loaded."""
    page.wait_for_function(
        "chosen => [...document.querySelectorAll(chosen)].every(one => one.naturalWidth)",
        arg=selector,
    )


def test_the_link_of_a_sweep_opens_on_scores_in_the_order_of_numbers(
    page: Page, sweep: Printed, address: str, keep: Callable[[str], None]
) -> None:
    page.set_viewport_size({"width": 1200, "height": 560})
    page.goto(sweep.after("then open:").replace(PORT, address))
    assert names(page) == NAMES
    for score in ("deletion/auc", "localization/error"):
        page.get_by_text(score, exact=True).first.wait_for()
    keep("mlflow_sweep")


def test_heatmaps_of_a_sweep_stand_side_by_side_and_are_whole(
    page: Page, sweep: Printed, address: str, keep: Callable[[str], None]
) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(sweep.after("heatmaps:").replace(PORT, address))
    pictures = page.locator(".ag-row img")
    pictures.nth(1).wait_for()
    wait_for_pixels(page, ".ag-row img")
    first, second = (pictures.nth(index).bounding_box() for index in (0, 1))
    assert first is not None
    assert second is not None
    assert first["y"] == second["y"]
    assert first["x"] + first["width"] <= second["x"]
    row = pictures.nth(0).locator("xpath=ancestor::*[contains(@class, 'ag-row')][1]").bounding_box()
    assert row is not None
    assert row["y"] <= first["y"]
    assert first["y"] + first["height"] / 2 <= row["y"] + row["height"]  # the lower half is empty
    heads = [
        page.locator(".ag-header").get_by_text(name, exact=True).bounding_box()
        for name in NAMES[:2]
    ]
    assert heads[0] is not None
    assert heads[1] is not None
    assert heads[0]["x"] < second["x"] <= heads[1]["x"]
    keep("mlflow_compare")


def test_the_link_of_a_run_opens_on_its_picture(
    page: Page, single: Printed, address: str, keep: Callable[[str], None]
) -> None:
    page.set_viewport_size({"width": 1200, "height": 560})
    page.goto(single.after("then open:").replace(PORT, address))
    width, height = Image.open(single.folder / "single" / "contact_sheet.png").size
    page.wait_for_function(
        "([width, height]) => [...document.images].some("
        "one => one.naturalWidth === width && one.naturalHeight === height)",
        arg=[width, height],
    )
    keep("mlflow_picture")


def test_a_run_says_what_it_is(
    page: Page, single: Printed, address: str, keep: Callable[[str], None]
) -> None:
    page.set_viewport_size({"width": 1200, "height": 900})
    link = single.after("then open:").replace(PORT, address)
    page.goto(link.replace("/artifacts/contact_sheet.png", ""))
    page.get_by_text("Show more").click()
    page.get_by_role("cell", name="deletion ↓").wait_for()
    page.get_by_text("A patch of 53 pixels.").first.wait_for()
    page.get_by_text("python run.py method=sp method.patch_size=53").first.wait_for()
    keep("mlflow_run")


def test_two_runs_are_compared_by_their_pictures(page: Page, sweep: Printed, address: str) -> None:
    folders = sorted((sweep.folder / "sweep").glob("[01]/summary.json"))
    runs = [json.loads(path.read_text())["run_id"] for path in folders]
    page.goto(f"{address}/#/compare-runs?runs={json.dumps(runs)}&experiments=%5B%221%22%5D")
    for name in NAMES[:2]:
        page.get_by_text(name).first.wait_for()


def test_the_report_asks_for_nothing_on_the_network(
    page: Page, sweep: Printed, foreign_requests: list[str], keep: Callable[[str], None]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "genattr.report", str(sweep.folder / "sweep")],
        cwd=REPO, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    report = Path(Printed(done.stdout, sweep.folder).after("Report:"))
    page.context.set_offline(True)
    page.set_viewport_size({"width": 1200, "height": 900})
    page.goto(report.as_uri())
    page.get_by_text(NAMES[0]).first.wait_for()
    assert page.evaluate("() => [...document.images].every(i => i.complete && i.naturalWidth)")
    assert page.locator("img").count() > 0
    assert foreign_requests == []
    keep("report")
