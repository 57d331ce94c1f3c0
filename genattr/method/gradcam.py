"""Grad-CAM and its kin, as the package pytorch-grad-cam computes them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache, partial
from io import StringIO
from math import isqrt
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genattr.errors import UserError, require
from genattr.method import hooked
from genattr.method.base import Method
from genattr.probe import Probe
from genattr.protocols import Classifier
from genattr.types import Heatmap

Layout = Literal["auto", "channels_first", "channels_last", "tokens"]
TITLES = {"GradCAM": "Grad-CAM", "GradCAMPlusPlus": "Grad-CAM++"}
OWN = ("model", "target_layers", "reshape_transform", "input_tensor", "targets", "tta_transforms")
OF_CHANNELS = ("ScoreCAM", "AblationCAM")  # they ask about an image a channel
MOST_CHANNELS = 2048  # that a layer has


@dataclass(frozen=True)
class GradCam(Method):
    """A class activation map of the package ``grad-cam``, scaled to [0, 1] by it.

    It sees the explained quantity as a function of images in [0, 1].

    Parameters
    ----------
    name
        Of the class, such as GradCAM.
    layer
        Dotted name of the module whose output is weighted; None: the last convolution.
    layout
        Of that output: ``channels_first`` (N, C, h, w), ``channels_last`` (N, h, w, C) as in Swin,
        ``tokens`` (N, tokens, C) as in ViT, of which the last h * h are the patches; ``auto``: as
        its shape tells.
    options
        Keyword arguments of its constructor and its call, such as {eigen_smooth: true}.
    """

    name: str
    layer: str | None
    layout: Layout
    options: Mapping[str, Any] | None

    needs_gradient: ClassVar[bool] = True
    needs_network: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        kind = self._kind
        hooked.check_options(self.options or {}, [kind, kind.__call__], OWN, "method.options")

    @property
    def _kind(self) -> Any:
        """Its class."""
        offered = names()
        if self.name not in offered:
            hooked.refuse(self.name, list(offered), "pytorch_grad_cam")
        return offered[self.name]

    @property
    def title(self) -> str:
        return TITLES.get(self.name, self.name)

    def calls(self, size: int) -> int:
        options = self.options or {}
        images = MOST_CHANNELS + 2 if self.name in OF_CHANNELS else 2
        return images * (6 if options.get("aug_smooth") else 1) + 1

    def check(self, classifier: Classifier, device: torch.device) -> None:
        """Find its layer, and try it where that is cheap."""
        probe = hooked.trial_probe(classifier, device)
        hooked.layer_of(probe, self.layer)
        if self.name not in OF_CHANNELS:
            self.explain(probe)

    def explain(self, probe: Probe) -> Heatmap:
        values = probe.room.fit(partial(self._values, probe))
        return probe.heatmap(torch.from_numpy(values), (0.0, 1.0))

    def _values(self, probe: Probe, at_once: int) -> NDArray[np.float32]:
        """Return the package's map, computed on so many images at once."""
        name, layer = hooked.layer_of(probe, self.layer)
        constructor, call = hooked.split_options(self.options or {}, self._kind)
        shaped = partial(as_maps, layout=self.layout, layer=name)
        with (
            hooked.telling_failure(f"method.name={self.name}", probe),
            hooked.borrowed(probe.network),
            hooked.drawing(probe, "gradcam"),
            _silence(),
            torch.enable_grad(),
        ):
            cam = self._kind(hooked.Explained(probe), [layer], shaped, **constructor)
            cam.batch_size = at_once
            image = probe.image[None].clone().requires_grad_()
            values: NDArray[np.float32] = cam(image, targets=[_itself], **call)[0]
        return values


def _itself(explained: Tensor) -> Tensor:
    """Return the number that is explained, as what is differentiated."""
    return explained


def as_maps(output: Tensor, layout: Layout, layer: str) -> Tensor:
    """Return a layer's output as (N, C, h, w).

    Parameters
    ----------
    output
        See ``GradCam``.
    layer
        Its name, for the message.

    Raises
    ------
    UserError
        If the shape does not fit the layout.
    """
    shape = tuple(output.shape)
    found = _layout_of(shape) if layout == "auto" else layout
    fits = len(shape) == (3 if found == "tokens" else 4)
    require(
        fits,
        f"method.layer={layer}: its output is {shape}, and method.layout={layout} takes maps, "
        "(N, C, h, w) or (N, h, w, C), or tokens, (N, tokens, C)",
    )
    if found == "channels_last":
        return output.permute(0, 3, 1, 2)
    if found == "tokens":
        side = isqrt(shape[1])
        patches = output[:, shape[1] - side**2 :].mT
        return patches.reshape(*patches.shape[:2], side, side)
    return output


def _layout_of(shape: tuple[int, ...]) -> Layout:
    """Tell the layout by its shape: maps are square, and have more channels than pixels a side."""
    if len(shape) == 3:
        return "tokens"
    is_last = len(shape) == 4 and shape[1] == shape[2] != shape[3]
    return "channels_last" if is_last else "channels_first"


def names() -> dict[str, Any]:
    """Return the package's maps by name."""
    library = _library()
    kinds = {name: getattr(library, name) for name in dir(library)}
    base = library.base_cam.BaseCAM
    return {name: kind for name, kind in kinds.items() if _is_map(kind, base)}


def _is_map(kind: Any, base: type) -> bool:
    return inspect.isclass(kind) and issubclass(kind, base) and kind is not base


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what the package prints, and its own progress bars, from showing."""
    import tqdm

    shown = tqdm.tqdm
    tqdm.tqdm = partial(shown, disable=True)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        tqdm.tqdm = shown


@cache
def _library() -> Any:
    try:
        import pytorch_grad_cam
    except ImportError as error:
        raise UserError("method=gradcam needs pip install 'genattr[grad-cam]'") from error
    return pytorch_grad_cam
