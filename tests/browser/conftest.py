"""A real browser: Debian's Chromium, steered by Playwright; ``make browser`` runs these tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
HERE = ("127.0.0.1", "localhost")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots", type=Path, help="folder that the browser tests write screenshots to"
    )


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser of this machine; skips by name what is absent."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("needs chromium: apt install chromium")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright: pip install -e '.[browser]'"
    )
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def browser_page(chromium: Browser) -> Iterator[Page]:
    """An empty page with a cache and cookies of its own, as large as a laptop's screen."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


@pytest.fixture
def foreign_requests(browser_page: Page) -> list[str]:
    """Addresses on other machines that the page asks for, from now on."""
    asked: list[str] = []

    def note(url: str) -> None:
        if urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname not in HERE:
            asked.append(url)

    browser_page.on("request", lambda request: note(request.url))
    return asked
