"""Toy worlds with known answers, shared by all tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from hypothesis import settings
from PIL import Image
from torch import Tensor

from genattr.probe import Probe
from genattr.protocols import Classifier, Filler
from genattr.types import Sample
from tests.servers import cache, server  # noqa: F401, fixtures

settings.register_profile("genattr", deadline=None, max_examples=20)
settings.load_profile("genattr")

REPO = Path(__file__).resolve().parents[1]
SHARED = REPO.parent / "shared"


@pytest.fixture
def imagenet_val_300() -> Path:
    """Real ImageNet validation photos, where this machine has them."""
    root = SHARED / "data" / "imagenet-val-300"
    if not root.is_dir():
        pytest.skip(f"needs {root}")
    return root


def photo_file(path: Path, size: tuple[int, int] = (40, 20)) -> Path:
    """Write a photo of one color."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "teal").save(path)
    return path


ANNOTATION = """<annotation><size><width>80</width><height>40</height></size>
<object><name>n01443537</name><bndbox>
<xmin>0</xmin><ymin>0</ymin><xmax>39</xmax><ymax>39</ymax></bndbox></object>
<object><name>n01440764</name><bndbox>
<xmin>0</xmin><ymin>0</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"""


@pytest.fixture
def kaggle_tree(tmp_path: Path) -> Path:
    """Three photos in the layout of ImageNet at Kaggle, the first annotated, the last a bird."""
    root = tmp_path / "imagenet"
    for name in ("one", "two", "zoo"):
        photo_file(root / f"ILSVRC/Data/CLS-LOC/val/{name}.JPEG")
    annotations = root / "ILSVRC/Annotations/CLS-LOC/val"
    annotations.mkdir(parents=True)
    (annotations / "one.xml").write_text(ANNOTATION)
    (root / "LOC_synset_mapping.txt").write_text(
        "n01440764 tench\nn01443537 goldfish, Carassius\nn01558993 robin, American robin\n"
    )
    (root / "LOC_val_solution.csv").write_text(
        "ImageId,PredictionString\none,n01443537 1 2 3 4 \n"
        "two,n01440764 0 0 19 9 n01440764 20 10 39 19 \nzoo,n01558993 0 0 39 19 \n"
    )
    return root


@pytest.fixture
def places_tree(tmp_path: Path) -> Path:
    """Three photos of Places365, small, and a fourth that is listed alone."""
    root = tmp_path / "places"
    for name in ("00000004", "00000001", "00000002"):
        photo_file(root / f"val_256/Places365_val_{name}.jpg", (256, 256))
    lines = zip(range(1, 5), (165, 358, 0, 364), strict=True)
    (root / "places365_val.txt").write_text(
        "".join(f"Places365_val_{number:08d}.jpg {label}\n" for number, label in lines)
    )
    return root


@dataclass(frozen=True)
class LinearClassifier(Classifier):
    """Two classes; the logit of class 1 is a weighted sum of the pixels, class 0 has logit 0."""

    weights: Tensor = field(metadata={"identity": False})  # (3, D, D)
    labels: Sequence[str] = ("no", "yes")
    fingerprint: str = "linear"

    @property
    def input_size(self) -> int:
        return self.weights.shape[-1]

    def to(self, device: torch.device) -> None:
        pass

    def __call__(self, images: Tensor) -> Tensor:
        logit = (images * self.weights).sum(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


@dataclass(frozen=True)
class ConstantFiller(Filler):
    """One value everywhere."""

    value: float = 0.0
    inpaints: ClassVar[bool] = True
    reads_hole: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        return torch.full_like(images, self.value)


@dataclass(frozen=True)
class IdentityFiller(ConstantFiller):
    """The photo itself: nothing is removed."""

    reads_hole: ClassVar[bool] = True

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        return images.clone()


@dataclass(frozen=True)
class NoiseFiller(ConstantFiller):
    """Noise from the seeds."""

    stochastic: ClassVar[bool] = True
    reads_hole: ClassVar[bool] = True

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        rows = [
            torch.rand(images.shape[1:], generator=torch.Generator().manual_seed(s)) for s in seeds
        ]
        return torch.stack(rows)


def photo(size: int, seed: int = 0, **changes: object) -> Sample:
    """Return a noise photo."""
    image = torch.rand(3, size, size, generator=torch.Generator().manual_seed(seed))
    values = {
        "image": image,
        "label": 1,
        "image_id": f"noise{seed}",
        "boxes": None,
        "native_size": (size, size),
    }
    return Sample(**(values | changes))


def linear_probe(
    size: int = 12, photo_seed: int = 0, filler: object = None, **options: object
) -> Probe:
    """Return a probe of a noise photo under a random linear classifier."""
    weights = (
        torch.randn(3, size, size, generator=torch.Generator().manual_seed(photo_seed + 1000))
        / size
    )
    options = {"batch_size": 8} | options
    return Probe(
        photo(size, photo_seed), 1, LinearClassifier(weights), filler or ConstantFiller(), **options
    )


def probes_of_one_classifier(count: int, size: int = 12) -> list[Probe]:
    """Return probes of different photos under the same random linear classifier."""
    weights = torch.randn(3, size, size, generator=torch.Generator().manual_seed(7)) / size
    classifier = LinearClassifier(weights)
    return [
        Probe(photo(size, seed), 1, classifier, ConstantFiller(0.2), batch_size=8)
        for seed in range(count)
    ]
