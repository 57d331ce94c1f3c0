"""The notebooks as pages of the documentation, with their pictures beside them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from notebooks.state import FOLDER, JPEG

PAGES = FOLDER.parent / "docs" / "notebooks"
LINKS = {".ipynb)": ".md)", "(../docs/": "(../"}  # of a notebook, and those of its page


def write(name: str, folder: Path = PAGES) -> Path:
    """Write a notebook with its outputs as a page; return the page, beside it are its pictures."""
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{name}-*.jpg"):
        old.unlink()
    parts: list[str] = []
    for number, cell in enumerate(notebook["cells"]):
        parts += _cell(cell, f"{name}-{number}", folder)
    title, *others = parts
    made = f"*Made from [the notebook](../../notebooks/{name}.ipynb), which you can run.*"
    page = folder / f"{name}.md"
    page.write_text("\n\n".join([title, made, *others]) + "\n", encoding="utf-8")
    return page


def _cell(cell: Mapping[str, Any], name: str, folder: Path) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        for link, moved in LINKS.items():
            source = source.replace(link, moved)
        yield source
        return
    yield f"```python\n{source}\n```"
    for number, output in enumerate(cell["outputs"]):
        yield _output(output, f"{name}-{number}.jpg", folder)


def _output(output: Mapping[str, Any], file: str, folder: Path) -> str:
    """Return a picture, a table, or else text; of several forms, the first of these."""
    data = output.get("data", {})
    if JPEG in data:
        (folder / file).write_bytes(base64.b64decode("".join(data[JPEG])))
        return f"![what the cell shows]({file})"
    if "text/html" in data:
        lines = "".join(data["text/html"]).splitlines()
        return "\n".join(line.strip() for line in lines if line.strip())
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"```text\n{text.rstrip()}\n```"
