"""Every option of every group, found from conf/, and how to make any of them small."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from benchmarks.components import BASES
from genattr import components, config
from genattr.protocols import Component
from tests import toys
from tests.conftest import REPO, photo_file
from tests.filler import gated_deepfill, seeded_deepfill


def built(node: DictConfig, where: str) -> Any:
    """Build a component of the kind that its key tells."""
    return components.build(node, where, BASES.get(where.partition(".")[0], Component))


COMPONENTS = ("dataset", "classifier", "filler", "method", "metric", "segmentation")
SMALL = {
    "stride": 48,
    "n_samples": 24,
    "n_segments": 8,
    "tie_seeds": 1,
    "mask_size": 8,
    "steps": 3,
    "max_steps": 3,
    "together": 2,
    "batch": 2,
}
EXTRAS = {
    "classifier=huggingface": "transformers",
    "classifier=keras": "tensorflow",
    "classifier=onnx": "onnxscript",  # which writes such a file
    "classifier=saved_model": "tensorflow",
    "method=captum": "captum",
    "method=gradcam": "pytorch_grad_cam",
    "metric=lpips": "lpips",
    "metric=quantus": "quantus",
    "filler=diffusers": "diffusers",
    "filler=patchmatch": "patchmatch_cython",
    "filler=saved_model": "tensorflow",
}
ABSENT = [option for option, package in EXTRAS.items() if find_spec(package) is None]
# Random weights in the tests: what they paint means nothing.
UNTRAINED = ["filler=deepfill", "filler=deepfill_v2", "filler=diffusers"]
TRUSTED = ["trust=true"]
NEEDED: dict[str, Callable[[Path], list[str]]] = {
    "classifier=timm": lambda _: ["classifier.name=test_resnet", "classifier.pretrained=false"],
    "classifier=torchvision": lambda _: ["classifier.name=resnet18", "classifier.weights=null"],
    "classifier=resnet50_imagenet": lambda _: ["classifier.weights=null"],
    "classifier=inception_v3": lambda _: ["classifier.weights=null"],
    "classifier=resnet50_places365": lambda folder: _places(folder),
    "dataset=places365": lambda folder: _places(folder),
    "classifier=torchscript": lambda folder: [
        f"classifier.path={toys.torchscript_file(folder)}",
        *TRUSTED,
    ],
    "classifier=onnx": lambda folder: [f"classifier.path={toys.onnx_file(folder)}"],
    "classifier=keras": lambda folder: [f"classifier.path={toys.keras_file(folder)}"],
    "classifier=saved_model": lambda folder: [
        f"classifier.path={toys.keras_folder(folder)}",
        *TRUSTED,
    ],
    "classifier=huggingface": lambda folder: [
        f"classifier.path={toys.transformers_folder(folder)}"
    ],
    "classifier=callable": lambda _: ["classifier.path=tests.toys:load_network"],
    "filler=saved_model": lambda folder: [
        f"filler.path={toys.saved_model(folder)}",
        "filler.arguments={photo:image,hole:mask}",
        "filler.output=filled",
        *TRUSTED,
    ],
    "filler=torchscript": lambda folder: [
        f"filler.path={toys.torchscript_file(folder, toys.Rim())}",
        *TRUSTED,
    ],
    "filler=diffusers": lambda folder: [
        f"filler.name={toys.pipeline(folder)}",
        "filler.steps=2",
        "filler.size=null",
        "filler.context=0",
    ],
    "filler=deepfill": lambda folder: [
        "filler.weights=null",
        f"filler.checkpoint={seeded_deepfill.write(folder)}",
        "filler.size=40",
        "filler.dilate=2",
    ],
    "filler=deepfill_v2": lambda folder: [
        f"filler.checkpoint={gated_deepfill.write(folder)}",
        "filler.size=40",
        "filler.dilate=2",
    ],
    "filler=lama": lambda folder: [
        f"filler.checkpoint={toys.torchscript_file(folder, toys.Rim())}",
        *TRUSTED,
    ],
    "filler=callable": lambda _: ["filler.path=tests.toys:fill_with_rim"],
    "method=captum": lambda _: ["method.options={n_steps:2}"],
    "method=masks": lambda folder: [f"method.root={toys.masks(folder)}"],
    "segmentation@method.segmentation=files": lambda folder: [
        f"method.segmentation.root={toys.label_maps(folder)}"
    ],
    "method=deeplab": lambda _: ["method.weights=null"],
    "metric=[quantus]": lambda _: ["metric.quantus.options={nr_runs:2,subset_size:9}"],
    "metric=[lpips]": lambda _: ["metric.lpips.weights=null"],
    "sensitivity=patch_size": lambda _: ["method=sp"],
    "sensitivity=n_segments": lambda _: ["method=lime"],
    "sensitivity=mask_size": lambda _: ["method=mp2"],
    "sensitivity=seed": lambda _: ["method=random"],
    "selection=paper": lambda _: ["selection.sample=2", "selection.held_out=1"],
}


def _places(folder: Path) -> list[str]:
    return [f"classifier.checkpoint={toys.places_file(folder)}"]


def options(group: str) -> list[str]:
    """Return the names of a group's options."""
    return sorted(path.stem for path in (REPO / "conf" / group).glob("*.yaml"))


def runnable(group: str) -> list[ParameterSet]:
    """Return a group's options as test parameters, skipped where an extra is not installed."""
    return [
        pytest.param(
            name,
            marks=[pytest.mark.skip(reason=f"needs {EXTRAS.get(f'{group}={name}')}")]
            * (f"{group}={name}" in ABSENT),
        )
        for name in options(group)
    ]


def compose_config(*overrides: str) -> DictConfig:
    """Compose the real configuration, each only once; the caller gets one of its own."""
    return deepcopy(_composed(overrides))


@cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    config.register()
    with initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def needed_by(override: str, folder: Path) -> list[str]:
    """Return what an option cannot do without, such as small files, which are made in a folder."""
    return NEEDED[override](folder) if override in NEEDED else []


def small(folder: Path, *overrides: str) -> DictConfig:
    """Compose with few windows, samples and photos, and with results kept in ``folder``."""
    needed = [extra for override in overrides for extra in needed_by(override, folder)]
    cfg = compose_config(
        "selection.limit=1",
        "tracking=none",
        f"store={folder / 'heatmaps'}",
        "threads=1",
        *needed,
        *overrides,
    )
    for node in (cfg.method, *cfg.metric.values()):
        for key in SMALL.keys() & node.keys():
            node[key] = SMALL[key]
    return cfg


def small_on_three_photos(folder: Path, *overrides: str) -> DictConfig:
    """Compose as ``small`` does, for photos a.jpg, b.jpg and c.jpg without labels."""
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        photo_file(folder / "photos" / name)
    return small(
        folder,
        "dataset=folder",
        f"dataset.root={folder / 'photos'}",
        "selection.limit=3",
        "classifier=timm",
        "target=predicted",
        "metric=[deletion]",
        *overrides,
    )
