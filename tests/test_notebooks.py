"""The notebooks have the outputs of their code, without errors, and small pictures."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from notebooks import markdown
from notebooks.state import FOLDER, HASH, JPEG, NAMES, digest

LARGEST = 300_000  # bytes of a picture

pytestmark = pytest.mark.parametrize("name", NAMES)


def notebook(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def outputs(name: str) -> list[dict[str, Any]]:
    cells = notebook(name)["cells"]
    return [output for cell in cells for output in cell.get("outputs", [])]


def test_outputs_are_of_this_code(name: str) -> None:
    read = notebook(name)
    assert read["metadata"].get(HASH) == digest(read["cells"]), "python -m notebooks --write"
    counts = [cell["execution_count"] for cell in read["cells"] if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))


def test_no_cell_failed_and_none_tells_of_a_machine(name: str) -> None:
    for output in outputs(name):
        assert output["output_type"] != "error"
        assert str(Path.home()) not in json.dumps(output)
        assert output.get("name") != "stderr"


def test_pictures_are_small(name: str) -> None:
    pictures = [output["data"][JPEG] for output in outputs(name) if JPEG in output.get("data", {})]
    assert len(pictures) >= 2
    for picture in pictures:
        assert len(base64.b64decode("".join(picture))) < LARGEST


def test_its_page_is_the_notebook(name: str, tmp_path: Path) -> None:
    markdown.write(name, tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_bytes() for path in markdown.PAGES.glob(f"{name}*")}
    assert made == kept, "python -m notebooks --pages"


def test_all_notebooks_are_known(name: str) -> None:
    assert (FOLDER / f"{name}.ipynb").is_file()
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NAMES)
