"""Make the README's pictures: its commands, and what they draw as JPEG in docs/images.

    python -m benchmarks.gallery

takes some minutes of two cores; behind it may stand what changes no picture, such as threads=1. The
last line is a JSON object with each picture's bytes.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
LARGEST = 300_000  # bytes
WIDEST = 1300  # pixels


@dataclass(frozen=True)
class Picture:
    """A picture of the README, and where a command leaves it.

    Attributes
    ----------
    name
        Of the file in docs/images.
    commands
        As the README has them.
    made
        The file that they make, below the checkout.
    """

    name: str
    commands: tuple[str, ...]
    made: str


DEMO = ("python run.py experiment=demo sweep_id=demo",)
SIZES = (
    "python run.py -m method=sp,sp-g method.patch_size=17,29,41,53 protocol.stride=8 "
    "selection.limit=1 'metric=[]' sweep_id=sizes",
    "python -m genattr.report multirun/sizes",
)
GALLERY = (
    Picture("samples.jpg", DEMO, "multirun/demo/samples.png"),
    Picture("demo.jpg", DEMO, "multirun/demo/comparison.png"),
    Picture(
        "sizes.jpg", SIZES,
        "multirun/sizes/report/figures/sizes-Heatmaps-of-coffee-967-over-patch_size.png",
    ),
)  # fmt: skip


def main() -> None:
    """Run every command once, and keep what they draw; further arguments are for the runs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gallery", description=__doc__)
    _, others = parser.parse_known_args()
    commands = dict.fromkeys(command for picture in GALLERY for command in picture.commands)
    for command in commands:
        _, *arguments = shlex.split(command)
        extra = others if arguments[0] == "run.py" else []
        subprocess.run([sys.executable, *arguments, *extra], cwd=ROOT, check=True)
    print(json.dumps({picture.name: keep(picture, ROOT) for picture in GALLERY}))


def keep(picture: Picture, root: Path) -> int:
    """Write a picture as JPEG to docs/images, and return its bytes."""
    target = IMAGES / picture.name
    with Image.open(root / picture.made) as made:
        image = made.convert("RGB")
        image.thumbnail((WIDEST, WIDEST))
        image.save(target, quality=85, subsampling=0, optimize=True)
    return target.stat().st_size


if __name__ == "__main__":
    main()
