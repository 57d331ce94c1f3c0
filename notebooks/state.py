"""What the outputs of a notebook were made from; without any package of Jupyter's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
NAMES = ("first_heatmap", "study_of_your_own")
JPEG = "image/jpeg"  # the kind of pictures that are kept
HASH = "sources_sha256"  # in a notebook's metadata: of the code whose outputs it holds


def digest(cells: Sequence[Mapping[str, Any]]) -> str:
    """Hash the code of a notebook's cells."""
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return hashlib.sha256("\n\0".join(code).encode()).hexdigest()
