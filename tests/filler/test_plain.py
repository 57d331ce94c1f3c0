"""Gray, blur, noise, mean segment and OpenCV's inpainting against closed forms and libraries."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.segmentation import slic

from genattr.components import identity
from genattr.dataset.photo import PhotoPreprocessing
from genattr.errors import UserError
from genattr.filler.blur import Blur
from genattr.filler.gray import Gray
from genattr.filler.mean_segment import MeanSegment
from genattr.filler.noise import Noise
from genattr.filler.telea import Telea
from genattr.ops.gaussian import gaussian
from genattr.ops.superpixels import superpixels
from tests.conftest import photo

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def hole_of(size: int, rows: int = 1) -> torch.Tensor:
    hole = torch.zeros(rows, 1, size, size, dtype=torch.bool)
    hole[..., 8:20, 5:15] = True
    return hole


def test_gray_is_its_color() -> None:
    images = photo(24).image[None]
    filled = Gray(MEAN).fill(images, hole_of(24), [0])
    assert filled[0, :, 3, 7].tolist() == pytest.approx(MEAN)


@pytest.mark.parametrize(("size", "sigma"), [(64, 3.0), (41, 10.0), (24, 10.0)])
def test_gaussian_equals_scipy(size: int, sigma: float) -> None:
    images = photo(size).image[None]
    expected = gaussian_filter(
        images.numpy().astype(np.float64), (0, 0, sigma, sigma), mode="mirror", truncate=4
    )
    assert np.allclose(gaussian(images, sigma).numpy(), expected, atol=1e-6)


def test_native_blur_shrinks_with_the_photo() -> None:
    sample = photo(32, native_size=(64, 256))
    native = Blur(8.0, "native").for_sample(sample)
    assert native.sigma == pytest.approx(8.0 * 32 / 128)
    assert Blur(8.0, "classifier").for_sample(sample).sigma == 8.0


@pytest.mark.parametrize(
    ("size", "keys"),
    [
        ((256, 256), {"preprocess": "squash", "resize": None, "crop": None}),
        ((256, 256), {"preprocess": "squash", "resize": 64, "crop": 56}),
        ((800, 200), {"preprocess": "keep_aspect", "resize": None, "crop": None}),
        ((200, 300), {"preprocess": "keep_aspect", "resize": 64, "crop": 48}),
    ],
)
def test_native_blur_is_that_of_the_native_photo_cropped_and_resized(
    size: tuple[int, int], keys: dict[str, object]
) -> None:
    coarse = np.random.default_rng(0).integers(0, 255, (size[1] // 8, size[0] // 8, 3), np.uint8)
    native = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    smooth = gaussian_filter(np.asarray(native).astype(float), (8, 8, 0), mode="mirror")
    dataset = PhotoPreprocessing(interpolation="bicubic", **keys)
    sample, wanted = (
        dataset.sample(image, 56, "x", None, None)
        for image in (native, Image.fromarray(smooth.round().astype(np.uint8)))
    )
    filler = Blur(8.0, "native").for_sample(sample)
    x0, y0, x1, y1 = sample.region
    assert filler.sigma == pytest.approx(8 * 56 / ((x1 - x0) * (y1 - y0)) ** 0.5)

    def error(blur: Blur) -> float:
        middle = (slice(None), slice(12, -12), slice(12, -12))  # the blur of a crop reflects
        filled = blur.fill(sample.image[None], hole_of(56), [0])[0]
        return float((filled - wanted.image)[middle].abs().mean())

    assert error(filler) < 0.01
    weaker, stronger = (replace(filler, sigma=filler.sigma * scale) for scale in (0.85, 1.2))
    assert error(filler) < min(error(weaker), error(stronger))


def test_noise_is_normal_in_normalized_space_and_new_for_each_seed() -> None:
    images = photo(96).image[None].expand(2, -1, -1, -1)
    wide = Noise([0.5] * 3, [0.05] * 3)  # hardly ever clamped
    filled = wide.fill(images, hole_of(96, 2), [1, 2])
    normal = (filled - 0.5) / 0.05
    assert abs(float(normal.mean())) < 0.02
    assert abs(float(normal.std()) - 1) < 0.02
    assert not torch.equal(filled[0], filled[1])
    assert torch.equal(filled[1:], wide.fill(images[:1], hole_of(96), [2]))


def test_noise_is_the_same_beside_any_rows_and_has_keys_of_its_own() -> None:
    images = photo(33).image[None].expand(3, -1, -1, -1)
    filler = Noise(MEAN, STD)
    together = filler.fill(images, hole_of(33, 3), [3, 2**63 - 1, 0])
    for row, seed in enumerate([3, 2**63 - 1, 0]):
        assert torch.equal(together[row], filler.fill(images[:1], hole_of(33), [seed])[0])
    assert identity(filler)["class"] != "genattr.filler.noise.Noise"  # whose draws were others


def test_mean_segment_is_each_superpixels_mean() -> None:
    image = photo(32).image
    filled = MeanSegment(8, 10.0, 0.0, None).fill(image[None], hole_of(32), [0])[0]
    labels = superpixels(image, 8, 10.0, 0.0)
    for label in labels.unique():
        inside = labels == label
        expected = image[:, inside].mean(dim=1, keepdim=True)
        assert torch.allclose(filled[:, inside], expected.expand(-1, int(inside.sum())), atol=1e-5)


def test_telea_is_opencvs() -> None:
    image, hole = photo(32).image, hole_of(32)
    pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
    expected = cv2.inpaint(pixels, hole[0, 0].byte().numpy(), 3, cv2.INPAINT_TELEA)
    filled = Telea(3).fill(image[None], hole, [0])[0]
    assert np.array_equal((filled * 255).round().byte().permute(1, 2, 0).numpy(), expected)


def test_superpixels_are_slics_numbered_from_zero_without_gaps() -> None:
    image = photo(48).image
    labels = superpixels(image, 12, 10.0, 1.0)
    pixels = image.permute(1, 2, 0).double().numpy()
    expected = slic(pixels, n_segments=12, compactness=10, sigma=1, start_label=0)
    assert np.array_equal(labels.numpy(), expected)
    assert labels.unique().tolist() == list(range(int(labels.max()) + 1))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Blur(0, "classifier"), r"filler\.sigma=0"),
        (lambda: Blur(1, "photo"), r"filler\.frame=photo"),
        (lambda: Gray([1, 2, 3]), r"filler\.color"),
        (lambda: MeanSegment(0, 10.0, 0.0, None), r"filler\.n_segments=0"),
        (lambda: MeanSegment(8, 0.0, 0.0, None), r"filler\.compactness=0\.0: must be above 0"),
        (lambda: MeanSegment(8, 10.0, -1.0, None), r"filler\.sigma=-1\.0: must be at least 0"),
        (lambda: Telea(0), r"filler\.radius=0"),
    ],
)
def test_bad_values_are_refused_by_name(make: object, told: str) -> None:
    with pytest.raises(UserError, match=told):
        make()
