"""Segmentations against scikit-image, a closed form, and label maps that are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut
from skimage.segmentation import felzenszwalb, quickshift, slic

from genattr.components import identity
from genattr.dataset.photo import PhotoPreprocessing
from genattr.errors import BadPhotoError, UserError
from genattr.filler.mean_segment import MeanSegment
from genattr.protocols import Segmentation
from genattr.run import experiment
from genattr.run.variants import variants
from genattr.segmentation.felzenszwalb import Felzenszwalb
from genattr.segmentation.files import Files
from genattr.segmentation.grid import Grid
from genattr.segmentation.quickshift import Quickshift
from genattr.segmentation.slic import Slic
from genattr.store.heatmaps import heatmap_key
from genattr.types import Sample
from tests.conftest import ConstantFiller, LinearClassifier, photo
from tests.contract.options import built, compose_config, small, small_on_three_photos
from tests.method.test_lime import lime

OWN = (9, 10.0, 1.0)  # n_segments, compactness, sigma
QUICKSHIFT = Quickshift(0.2, 4, 200, 0, True, 42)


def face(size: int = 64) -> Sample:
    pixels = np.asarray(Image.fromarray(astronaut()).resize((size, size)))
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
    return photo(size, image=image, image_id="face.jpg")


@pytest.mark.parametrize(
    ("segmentation", "wanted"),
    [
        (Slic(), lambda x: slic(x, n_segments=9, compactness=10, sigma=1, start_label=0)),
        (
            QUICKSHIFT,
            lambda x: quickshift(x, ratio=0.2, kernel_size=4, max_dist=200, sigma=0, rng=42),
        ),
        (
            Quickshift(0.5, 2, 8, 1, False, 3),
            lambda x: quickshift(
                x, ratio=0.5, kernel_size=2, max_dist=8, sigma=1, convert2lab=False, rng=3
            ),
        ),
        (Felzenszwalb(30, 0.5, 7), lambda x: felzenszwalb(x, scale=30, sigma=0.5, min_size=7)),
    ],
)
def test_is_scikit_images(
    segmentation: Segmentation, wanted: Callable[[np.ndarray], np.ndarray]
) -> None:
    sample = face()
    labels = segmentation.split(sample, *OWN)
    expected = wanted(sample.image.permute(1, 2, 0).double().numpy())
    assert np.array_equal(labels.numpy(), expected)
    assert labels.unique().tolist() == list(range(int(labels.max()) + 1))
    assert int(labels.max()) > 2


@pytest.mark.parametrize(
    ("n", "rows", "columns"),
    [(4, 2, 2), (2, 1, 2), (6, 2, 3), (12, 3, 4), (50, 7, 7), (150, 12, 12)],
)
def test_a_grid_is_rectangles_of_equal_size(n: int, rows: int, columns: int) -> None:
    labels = Grid().split(photo(rows * columns * 2), n, 1.0, 0.0)
    expected = torch.arange(rows * columns).view(rows, columns)
    expected = expected.repeat_interleave(columns * 2, 0).repeat_interleave(rows * 2, 1)
    assert torch.equal(labels, expected)


@pytest.mark.parametrize("n", [2, 7, 50, 5000])
def test_a_grids_rectangles_are_as_equal_as_pixels_allow(n: int) -> None:
    labels = Grid().split(photo(23), n, 1.0, 0.0)
    assert labels.unique().tolist() == list(range(int(labels.max()) + 1))
    for number in labels.unique():
        down, across = (labels == number).nonzero().unbind(1)
        assert (down.max() - down.min() + 1) * (across.max() - across.min() + 1) == len(down)


def test_keys_of_slic_are_those_of_before() -> None:
    told = {
        "class": "genattr.method.lime.Lime",
        "n_segments": 6,
        "n_samples": 60,
        "compactness": 10.0,
        "sigma": 0.0,
        "distance": "cosine_bits",
        "regressor": "ridge",
    }
    assert identity(lime()) == told
    told = {"class": "genattr.filler.mean_segment.MeanSegment"}
    told |= {"n_segments": 50, "compactness": 30, "sigma": 3}
    for segmentation in (None, Slic()):
        assert identity(MeanSegment(50, 30, 3, segmentation)) == told


@pytest.mark.parametrize(
    ("segmentation", "used"), [(QUICKSHIFT, set()), (Grid(), {"n_segments"}), (Slic(), None)]
)
def test_only_what_changes_the_segments_is_in_keys(
    segmentation: Segmentation, used: set[str] | None
) -> None:
    own = {"n_segments", "compactness", "sigma"}
    for owner in (lime(segmentation=segmentation), MeanSegment(6, 10.0, 0.0, segmentation)):
        told = identity(owner)
        assert told.keys() & own == (own if used is None else used)
        assert ("segmentation" in told) == (used is not None)


def save(folder: Path, name: str, labels: np.ndarray) -> Files:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, labels)
    else:
        Image.fromarray(labels).save(path)
    return Files(str(folder))


TILES = np.array([[3, 3, 7], [0, 9, 7]])
EXPECTED = torch.tensor([[1, 1, 2], [0, 3, 2]])


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("face.jpg.png", TILES.astype(np.uint8)),
        ("face.png", (TILES * 999).astype(np.uint16)),
        ("face.npy", TILES - 5),
        ("face.jpg.npy", TILES.astype(np.uint64)),
    ],
)
@pytest.mark.parametrize("scale", [1, 5])
def test_equal_numbers_are_a_segment(
    tmp_path: Path, name: str, labels: np.ndarray, scale: int
) -> None:
    files = save(tmp_path, name, labels.repeat(scale, 0).repeat(scale, 1))
    found = files.split(photo(12, image_id="face.jpg"), *OWN)
    assert torch.equal(found, EXPECTED.repeat_interleave(6, 0).repeat_interleave(4, 1))


def test_a_palettes_numbers_count_and_not_its_colors(tmp_path: Path) -> None:
    labels = Image.fromarray(TILES.astype(np.uint8), mode="P")
    labels.putpalette([0, 0, 0] * 10)
    labels.save(tmp_path / "face.png")
    found = Files(str(tmp_path)).split(photo(6, image_id="face.jpg"), *OWN)
    assert torch.equal(found, EXPECTED.repeat_interleave(3, 0).repeat_interleave(2, 1))


def test_a_label_map_is_cropped_as_the_photo_is(tmp_path: Path) -> None:
    files = save(tmp_path, "a.png", np.arange(6, dtype=np.uint8).repeat(10)[None].repeat(40, 0))
    shape = {"resize": None, "crop": None, "interpolation": "bicubic"}
    sample = PhotoPreprocessing(preprocess="keep_aspect", **shape).sample(
        Image.new("RGB", (60, 40)), 8, "a.jpg", None, None
    )
    assert files.split(sample, *OWN)[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("name", "write", "told"),
    [
        (
            "face.png",
            lambda path: Image.new("RGB", (4, 4)).save(path),
            "not a label map, which has ",
        ),
        ("face.png", lambda path: path.write_bytes(b"text"), "not a photo"),
        ("face.npy", lambda path: np.save(path, np.zeros((4, 4))), "not a label map"),
        ("face.npy", lambda path: np.save(path, np.zeros((4, 4, 1), int)), "not a label map"),
        (
            "face.npy",
            lambda path: np.save(path, np.array([[{}]]), allow_pickle=True),
            "allow_pickle",
        ),
        ("face.npy", lambda path: path.write_bytes(b""), "No data left in file"),
        ("other.png", lambda path: Image.new("L", (4, 4)).save(path), "no label map face.jpg.png"),
    ],
)
def test_a_bad_label_map_is_told_by_name(
    tmp_path: Path, name: str, write: Callable[[Path], None], told: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(BadPhotoError, match="face") as caught:
        Files(str(tmp_path)).split(photo(8, image_id="face.jpg"), *OWN)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("image_id", ["../out", "linked", "/etc/passwd"])
def test_label_maps_are_in_the_folder(tmp_path: Path, image_id: str) -> None:
    files = save(tmp_path / "maps", "a.png", np.eye(4, dtype=np.uint8))
    save(tmp_path, "out.png", np.eye(4, dtype=np.uint8))
    (tmp_path / "maps" / "linked.png").symlink_to(tmp_path / "out.png")
    with pytest.raises(BadPhotoError, match="no label map"):
        files.split(photo(8, image_id=image_id), *OWN)


def test_the_content_of_label_maps_is_in_keys_and_not_their_place(tmp_path: Path) -> None:
    def keys(folder: str, labels: np.ndarray) -> tuple[str, str]:
        files = save(tmp_path / folder, "face.jpg.png", labels.astype(np.uint8))
        classifier = LinearClassifier(torch.zeros(3, 64, 64), fingerprint="a")
        mean = MeanSegment(6, 10.0, 0.0, files)
        pairs = ((ConstantFiller(), lime(segmentation=files)), (mean, lime()))
        return tuple(heatmap_key(face(), 1, classifier, *pair, 0) for pair in pairs)

    first = keys("here", TILES)
    assert keys("there", TILES + 4) == first
    assert all(a != b for a, b in zip(keys("here", TILES.T), first, strict=True))
    assert first[0] != first[1]


@pytest.mark.parametrize("segmentation", [Slic(), QUICKSHIFT, Grid(), "files"])
def test_the_mean_segment_shows_each_segments_own_mean(
    tmp_path: Path, segmentation: Segmentation
) -> None:
    if segmentation == "files":
        segmentation = save(tmp_path, "face.png", TILES.astype(np.uint8))
    sample = face()
    filler = MeanSegment(*OWN, segmentation).for_sample(sample)
    filled = filler.fill(sample.image[None], torch.ones(1, 1, 64, 64).bool(), [0])[0]
    labels = segmentation.split(sample, *OWN)
    for number in labels.unique():
        mean = sample.image[:, labels == number].mean(1, keepdim=True)
        assert torch.allclose(
            filled[:, labels == number], mean.expand(-1, int((labels == number).sum())), atol=1e-5
        )


def test_one_segment_is_told_by_the_photos_name(tmp_path: Path) -> None:
    files = save(tmp_path, "face.png", np.ones((3, 3), dtype=np.uint8))
    with pytest.raises(
        BadPhotoError, match=r"^face\.jpg: it is one segment for method\.segm.*files"
    ):
        lime(segmentation=files).reads(face())


@pytest.mark.parametrize("root", ["null", "/never"])
def test_a_folder_that_is_not_there_is_told(root: str) -> None:
    chosen = ["segmentation@method.segmentation=files", f"method.segmentation.root={root}"]
    cfg = compose_config("method=lime", *chosen)
    with pytest.raises(
        UserError, match=r"^method\.segmentation\.root=.*: must be a folder of label"
    ):
        built(cfg.method, "method")


def test_photos_without_a_label_map_are_left_out_by_name(tmp_path: Path) -> None:
    save(tmp_path / "maps", "a.png", TILES.astype(np.uint8))
    save(tmp_path / "maps", "c.npy", np.zeros((2, 2), dtype=int))
    cfg = small_on_three_photos(
        tmp_path,
        "method=lime",
        "segmentation@method.segmentation=files",
        f"method.segmentation.root={tmp_path / 'maps'}",
        "filler=mean_segment",
    )
    summary = experiment.run(cfg, tmp_path / "run")
    assert summary.photos == 1
    assert [line.split(":")[0] for line in summary.failed] == ["b.jpg", "c.jpg"]


def test_variants_over_the_count_take_the_filler_along(tmp_path: Path) -> None:
    chosen = ["sensitivity=n_segments", "classifier=timm", "target=predicted"]
    for segmentation in ("slic", "grid"):
        kind = f"segmentation@method.segmentation={segmentation}"
        cfg = small(tmp_path, "filler=mean_segment", *chosen, kind)
        study = experiment.assemble(cfg)
        counts = {k: (v.method.n_segments, v.filler.n_segments) for k, v in variants(study).items()}
        assert counts == {"50": (50, 50), "150": (150, 150)}
        assert all(v.filler.segmentation == v.method.segmentation for v in variants(study).values())
    study = experiment.assemble(small(tmp_path, "filler=mirror", *chosen))
    assert all(variant.filler is study.filler for variant in variants(study).values())


@pytest.mark.parametrize("values", ["[50,150]", "null"])
def test_a_count_that_changes_nothing_is_told(tmp_path: Path, values: str) -> None:
    chosen = ["sensitivity=n_segments", "classifier=timm", "target=predicted"]
    kind = "segmentation@method.segmentation=quickshift"
    cfg = small(tmp_path, *chosen, kind, f"sensitivity.values={values}")
    with pytest.raises(
        UserError, match=r"^sensitivity\.over=n_segments: this LIME does not use it; "
    ):
        experiment.assemble(cfg)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: replace(QUICKSHIFT, ratio=2),
            "segmentation.ratio=2: must be at least 0 and at most 1",
        ),
        (
            lambda: replace(QUICKSHIFT, kernel_size=0.5),
            "segmentation.kernel_size=0.5: must be at least 1",
        ),
        (lambda: replace(QUICKSHIFT, max_dist=0), "segmentation.max_dist=0: must be above 0"),
        (lambda: Felzenszwalb(0, 0.5, 7), "segmentation.scale=0: must be above 0"),
        (lambda: Felzenszwalb(1, 0.5, 0), "segmentation.min_size=0: must be at least 1"),
    ],
)
def test_values_that_scikit_image_cannot_take_are_refused(make: object, told: str) -> None:
    with pytest.raises(UserError) as caught:
        make()
    assert str(caught.value).startswith(told)
