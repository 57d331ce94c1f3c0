"""``genattr.fill``: what a filler puts in the place of a removed part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from genattr import components, environment
from genattr.dataset.given import opened
from genattr.errors import UserError, require
from genattr.library.components import arguments, check_keys, plain
from genattr.library.door import door
from genattr.library.pictures import images_of, picture_of
from genattr.library.studies import PROTOCOL, Choice, check_kinds, composed, part, set_all
from genattr.perturbation import Perturbation
from genattr.protocols import Filler
from genattr.types import Sample

SETTINGS = ("device", "threads")


@door
def fill(image: Any, mask: Any, filler: Choice = "lightfill", *, seed: int = 0, **keys: Any) -> Any:
    """Remove a part of an image and fill the hole, at the image's own size.

    Parameters
    ----------
    image
        As in ``explain``, also several.
    mask
        (H, W) of the upright image: an array or a tensor of bool or of 0 and 1, or an image of
        Pillow that is not black there. True: removed. For several images one mask for all, or a
        list with one for each.
    filler
        The name of an option of ``conf/filler``, or a component.
    seed
        Of fillers that draw.
    **keys
        The filler's parameters, and ``device``, ``threads``, ``protocol``.

    Returns
    -------
    What was given, in RGB: an image of Pillow, also for a path; an array or a tensor of the same
    type, several as they came. What is kept has the same bits.

    Raises
    ------
    UserError
        If an argument is wrong; it is a ValueError too.
    """
    images, are_several = images_of(image)
    masks = _masks(mask, len(images), are_several)
    chosen, device = _prepared(filler, keys, images[0])
    filled = [
        _filled(one, hole, chosen, seed, device) for one, hole in zip(images, masks, strict=True)
    ]
    if not are_several:
        return filled[0]
    stack = {Tensor: torch.stack, np.ndarray: np.stack}.get(type(image))
    return stack(filled) if stack else filled  # type: ignore[operator]


def _prepared(filler: Choice, keys: Mapping[str, Any], image: Any) -> tuple[Filler, torch.device]:
    """Return the filler, and where it computes: where a tensor is, unless told."""
    check_kinds("callable", "sp", filler)
    cfg = composed(None, "sp", filler, keys.get(PROTOCOL))
    set_all(cfg, {key: value for key, value in keys.items() if key in SETTINGS})
    if "device" not in keys and isinstance(image, Tensor):
        cfg.device = str(image.device)
    device = environment.prepare(cfg.device, cfg.threads, cfg.tune_allocator)
    own = {key: value for key, value in keys.items() if key not in (*SETTINGS, PROTOCOL)}
    if isinstance(filler, str):
        values = components.values_of(cfg.filler)
        check_keys(f"filler {filler}", own, arguments(values))
        made = part("filler", values | {key: plain(value) for key, value in own.items()})
        assert isinstance(made, Filler)
        return made, device
    assert isinstance(filler, Filler)
    check_keys("fill with a filler that is made already", own, SETTINGS)
    return filler, device


def _masks(mask: Any, count: int, are_several: bool) -> list[Any]:
    """Return a mask for each image."""
    if not are_several or isinstance(mask, Image.Image) or np.ndim(mask) == 2:
        return [mask] * count
    masks = list(mask)
    require(len(masks) == count, f"mask: {len(masks)} masks for {count} images")
    return masks


def _filled(image: Any, mask: Any, filler: Filler, seed: int, device: torch.device) -> Any:
    """Fill the hole of one image; what is kept keeps its bits."""
    picture = picture_of(image)
    pixels = _pixels(picture.source)
    size = (pixels.shape[1], pixels.shape[2])
    hole = _hole(mask, size)
    sample = Sample(pixels, None, picture.name, None, size)
    photo = Perturbation(sample, filler, seed=seed, device=device)
    filled = photo.fill(hole[None, None].to(device))[0].cpu()
    if isinstance(image, Tensor):
        return torch.where(hole.to(image.device), _as(filled, image), image)
    levels = not isinstance(image, np.ndarray) or image.dtype == np.uint8
    values = (filled * 255).round().byte() if levels else filled.to(pixels.dtype)
    found = values.permute(1, 2, 0).numpy()
    if isinstance(image, np.ndarray):
        kept = image if image.ndim == 3 and image.shape[2] == 3 else _array(pixels, levels)
        return np.where(hole.numpy()[:, :, None], found.astype(kept.dtype), kept)
    return Image.fromarray(np.where(hole.numpy()[:, :, None], found, _array(pixels, levels)))


def _array(pixels: Tensor, levels: bool) -> NDArray[Any]:
    values = (pixels * 255).round().byte() if levels else pixels
    array: NDArray[Any] = values.permute(1, 2, 0).numpy()
    return array


def _as(filled: Tensor, image: Tensor) -> Tensor:
    """Return a fill in the type of a tensor, and where that is."""
    if image.dtype == torch.uint8:
        return (filled * 255).round().byte().to(image.device)
    return filled.to(image)


def _pixels(source: Any) -> Tensor:
    """Return a picture as (3, H, W) float32 in [0, 1]."""
    if isinstance(source, Tensor):
        return source
    levels = torch.from_numpy(np.array(opened(source)))
    return levels.permute(2, 0, 1).float() / 255


def _hole(mask: Any, size: tuple[int, int]) -> Tensor:
    """Return a mask as (H, W) bool; UserError if it is none, or of another size."""
    if isinstance(mask, Image.Image):
        mask = np.array(mask.convert("L")) > 0
    try:
        values = torch.as_tensor(mask).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"mask: {type(mask).__name__}: must be an (H, W) array or tensor"
        ) from error
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    shape = tuple(values.shape)
    require(shape == size, f"mask: {shape} is not the image's (H, W) = {size}")
    if values.dtype == torch.bool:
        return values
    found = set(values.unique().tolist())
    are_marks = found <= {0, 1} or found <= {0, 255}
    require(are_marks, "mask: must be True or 1 where the image is removed, False or 0 elsewhere")
    return values > 0
