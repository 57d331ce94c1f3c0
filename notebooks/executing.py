"""Executing a notebook, and what of its outputs is kept."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

from notebooks.state import HASH, JPEG, digest

TIMEOUT = 1800  # seconds a cell
PNG = "image/png"


def executed(path: Path) -> NotebookNode:
    """Execute a notebook in an empty folder; an error in a cell ends the work."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=TIMEOUT, resources={"metadata": {"path": folder}})
        client.execute()
    return notebook


def stripped(notebook: NotebookNode) -> NotebookNode:
    """Drop what differs from machine to machine, and note what the outputs were made from."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        HASH: digest(notebook["cells"]),
    }
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = list(_kept(cell.outputs))
    return notebook


def _kept(outputs: Sequence[NotebookNode]) -> Iterator[NotebookNode]:
    """Yield outputs without warnings and the progress that has vanished; pictures as JPEG."""
    for output in outputs:
        data = output.get("data", {})
        if PNG in data:
            data[JPEG] = smaller(data.pop(PNG))
        is_progress = "data" in output and not data.get("text/plain")
        is_hint = "ipywidgets" in str(data)  # that progress would like to have them
        if output.get("name") != "stderr" and not is_progress and not is_hint:
            yield output


def smaller(picture: str) -> str:
    """Turn a PNG into a JPEG, both as base64: a quarter of the bytes, and the same colors."""
    image = Image.open(BytesIO(base64.b64decode(picture))).convert("RGB")
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
