"""The documentation's site in a browser: it asks no other machine, and every page is whole.

Looks at what ``make docs`` has built.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPO

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
SITE = REPO / "build" / "site"
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
BROKEN = "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PHONE = {"width": 390, "height": 844}


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of the built site, on this machine."""
    if not PAGES:
        pytest.skip("needs build/site: make docs")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def complaints(browser_page: Page) -> list[str]:
    """What the page's console says from now on: errors, and what does not load."""
    heard: list[str] = []
    browser_page.on("console", lambda message: heard.append(message.text))
    browser_page.on("pageerror", lambda error: heard.append(str(error)))
    return heard


def test_every_page_is_whole_and_asks_nobody_else(
    site: str, browser_page: Page, foreign_requests: list[str], complaints: list[str]
) -> None:
    for page in PAGES:
        browser_page.goto(f"{site}/{page}")
        browser_page.evaluate("[...document.images].forEach(i => i.loading = 'eager')")
        browser_page.wait_for_function("[...document.images].every(i => i.complete)")
        assert browser_page.evaluate(BROKEN) == [], page
        assert complaints == [], page
    assert foreign_requests == []


def test_no_page_is_wider_than_a_phone(site: str, browser_page: Page) -> None:
    browser_page.set_viewport_size(PHONE)
    wide = {}
    for page in PAGES:
        browser_page.goto(f"{site}/{page}")
        wide[page] = browser_page.evaluate(WIDER)
    assert {page: pixels for page, pixels in wide.items() if pixels > 0} == {}


def test_formulas_are_mathml_and_diagrams_are_drawings(site: str, browser_page: Page) -> None:
    browser_page.goto(f"{site}/methods.html")
    assert browser_page.locator("math[display=block]").count() >= 7
    assert browser_page.locator("math").first.bounding_box()["width"] > 0
    assert "$" not in browser_page.locator("article").inner_text()
    browser_page.goto(f"{site}/architecture.html")
    assert browser_page.locator(".diagram svg").bounding_box()["height"] > 300
    assert "Perturbation" in browser_page.locator(".diagram svg").text_content()


def test_the_search_finds_a_key(site: str, browser_page: Page) -> None:
    browser_page.goto(f"{site}/search.html?q=patch_size")
    found = browser_page.locator("ul.search li a")
    found.first.wait_for()
    assert any("Keys: method" in text for text in found.all_inner_texts())


def test_the_site_works_from_a_folder(browser_page: Page, complaints: list[str]) -> None:
    if not PAGES:
        pytest.skip("needs build/site: make docs")
    browser_page.goto(Path(SITE / "search.html").as_uri() + "?q=deletion")
    browser_page.locator("ul.search li a").first.wait_for()
    assert complaints == []
