"""How long does ``experiment=paper`` take: photos x methods x minutes, on three machines.

    python -m benchmarks.whole_study selection.limit=4 selection.held_out=2

The images of each part are counted as the command itself counts them, a photo. Minutes of this
machine are those of one core: the command's own estimate, with the CPU's clock in the place of the
wall's, so that what else runs here counts less. Minutes of a GPU are not run but computed, from the
rates of an H100 in docs/fillers.md: EfficientNet-Lite0 at 224 pixels, 32 bits, and LightFill, each
in batches of 512; the network alone, without photos that are read, superpixels or what metrics
compute. Nobody has measured the gradient there: it counts as two images more. Eight GPUs
(``devices=all``) share the photos of each member evenly. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
from hydra import compose, initialize_config_dir

from genattr import config
from genattr.report.table import markdown
from genattr.run import cost
from genattr.sweep import series

IMAGES, FILLS = 8711.0, 5652.0  # a second
GRADIENT = 2  # images more
GPUS = 8
SHOWN = {"one core": (6, 60), "one GPU": (60, 2000), "eight GPUs": (2000,)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*")
    chosen = parser.parse_args()
    cost.time = SimpleNamespace(perf_counter=time.process_time)  # type: ignore[assignment]
    config.register()
    with (
        initialize_config_dir(str(config.folder()), version_base="1.3"),
        tempfile.TemporaryDirectory() as folder,
    ):
        words = ["experiment=paper", "threads=1", "tracking=none", f"store={folder}/heatmaps"]
        cfg = compose("config", [*words, *chosen.overrides], return_hydra_config=True)
        checked = series.check_all(cfg, Path(folder) / "paper")
    rows = {one.part.name: _row(one) for one in checked}
    rows["all"] = {key: sum(row[key] for row in rows.values()) for key in next(iter(rows.values()))}
    print(markdown(pd.DataFrame([_texts(part, row) for part, row in rows.items()])))
    print(json.dumps(rows))


def _row(one: series.Checked) -> dict[str, float]:
    """Return images, and seconds of each machine, of a photo."""
    total = one.total
    photos = len(total.photos)
    gpu = (total.images + GRADIENT * total.differentiated) / IMAGES + total.filled / FILLS
    return {
        "members": one.members,
        "images": total.images / photos,
        "inpainted": total.filled / photos,
        "differentiated": total.differentiated / photos,
        "one core": total.seconds / photos,
        "one GPU": gpu / photos,
        "eight GPUs": gpu / photos / GPUS,
    }


def _texts(part: str, row: dict[str, float]) -> dict[str, str]:
    counts = ("members", "images", "inpainted", "differentiated")
    times = {
        f"{machine}: {photos:,} photos": cost.human(row[machine] * photos)
        for machine, sizes in SHOWN.items()
        for photos in sizes
    }
    return {"part": part} | {key: f"{row[key]:,.0f}" for key in counts} | times


if __name__ == "__main__":
    main()
