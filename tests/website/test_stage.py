"""The pages on the site: where they stand, and that their links and the navigation hold there."""

from __future__ import annotations

from pathlib import Path

import genattr
from website import stage

DOCS = stage.ROOT / "docs"


def test_every_page_is_listed_once_on_the_front_page() -> None:
    front = stage.page(stage.FRONT, (stage.ROOT / stage.FRONT).read_text(), DOCS)
    listed = [path for _, path in stage.ENTRY.findall(front.partition("```{toctree}")[0])]
    pages = {stage.place(path.relative_to(stage.ROOT).as_posix()) for path in DOCS.rglob("*.md")}
    pages |= set(stage.MOVED.values())
    assert sorted(f"{path}.md" for path in listed) == sorted(pages - {"index.md"})


def test_the_lists_of_the_front_page_are_the_navigation() -> None:
    start = "# Front\n\n## Start\n\n- [First](a.md): one\n- [Next](b/c.md) of\n  two\n\n"
    front = f"{start}## End\n\n- [Last](d.md)\n"
    assert stage.navigation(front) == (
        "\n```{toctree}\n:hidden:\n:caption: Start\n\nFirst <a>\nNext <b/c>\n```\n"
        "\n```{toctree}\n:hidden:\n:caption: End\n\nLast <d>\n```\n"
    )


def test_links_to_pages_that_move_follow_them(tmp_path: Path) -> None:
    text = "[a](../README.md) [b](../how-to/add-a-metric.md#run-it) [c](https://x.org/README.md)"
    assert stage.page("docs/models/timm.md", text, tmp_path) == (
        "[a](../index.md) [b](../how-to/add-a-metric.md#run-it) [c](https://x.org/README.md)"
    )
    assert stage.page("README.md", "[a](docs/methods.md)", tmp_path) == "[a](methods.md)"


def test_files_that_are_no_pages_go_along(tmp_path: Path) -> None:
    text = stage.page("docs/fillers.md", "[license](../LICENSE-weights)", tmp_path)
    assert text == "[license](files/LICENSE-weights)"
    assert (tmp_path / "files" / "LICENSE-weights").is_file()


def test_every_name_of_the_library_is_described() -> None:
    described = stage.functions()
    assert [name for name in genattr.__all__ if f" genattr.{name}\n" not in described] == []
