"""Which photos of imagenet-val-300 defaults are chosen on, and which only claims are scored on.

    python -m benchmarks.split ../shared/data/imagenet-val-300

writes the two lists in benchmarks/splits anew. The choices are the 100 photos whose names, such as
ILSVRC2012_val_00000347, have the smallest SHA-256, the claims are the others. No default, no
threshold and no weights may be chosen by a photo of the claims. The last line is JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.components import component
from genattr import config

FOLDER = Path(__file__).parent / "splits"
PARTS = ("choices", "claims")
CHOICES = 100


def divided(names: Iterable[str]) -> dict[str, list[str]]:
    """Divide photos by their names alone; each part is in ascending order."""
    drawn = sorted(names, key=digest)
    return {"choices": sorted(drawn[:CHOICES]), "claims": sorted(drawn[CHOICES:])}


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def file_of(part: str) -> Path:
    return FOLDER / f"imagenet_val_300_{part}.txt"


def names_of(part: str) -> list[str]:
    """Read the names of a part's photos."""
    return file_of(part).read_text().split()


def indices(ids: Sequence[str], part: str | None) -> list[int]:
    """Return where a dataset has the photos of a part, in its order; None: all photos."""
    if part is None:
        return list(range(len(ids)))
    names = set(names_of(part))
    return [index for index, name in enumerate(ids) if name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", help="the ImageNet tree")
    options = parser.parse_args()
    config.register()
    ids = component("dataset", "dataset=imagenet", f"dataset.root={options.root}").ids
    parts = divided(ids)
    for part, names in parts.items():
        file_of(part).write_text("".join(f"{name}\n" for name in names))
    print(json.dumps({part: len(names) for part, names in parts.items()}))


if __name__ == "__main__":
    main()
