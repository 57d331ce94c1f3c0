"""Methods of genattr in the shapes that Captum and Quantus call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genattr.errors import UserError, require
from genattr.library.components import shown
from genattr.library.door import door
from genattr.library.explaining import explain
from genattr.library.studies import Choice
from genattr.protocols import Component

if TYPE_CHECKING:
    from genattr.library.captum import CaptumAttribution

Statistic = Sequence[float] | None
Explain = Callable[..., NDArray[np.float32]]
AS_THEY_ARE = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}


@door
def as_captum(
    method: Choice,
    model: Any,
    filler: Choice | None = None,
    *,
    mean: Statistic = None,
    std: Statistic = None,
    **keys: Any,
) -> CaptumAttribution:
    """Return a method as an attribution of Captum, with ``attribute(inputs, target=...)``.

    Captum's own wrappers and metrics take it, such as NoiseTunnel and ``sensitivity_max``.

    Parameters
    ----------
    method, filler, **keys
        As ``genattr.explain`` takes them.
    model
        Likewise. A module or a function gets the inputs as they are.
    mean, std
        With which the inputs were normalized; None: they are in [0, 1].

    Raises
    ------
    UserError
        If Captum is not installed.
    """
    try:
        from genattr.library.captum import CaptumAttribution
    except ImportError as error:
        raise UserError("as_captum needs pip install 'genattr[captum]'") from error
    return CaptumAttribution(model, mapping(method, filler, mean, std, keys))


@door
def as_quantus(
    method: Choice = "sp-g",
    filler: Choice | None = None,
    *,
    mean: Statistic = None,
    std: Statistic = None,
    **keys: Any,
) -> Explain:
    """Return a method as the ``explain_func`` of Quantus' metrics; see ``as_captum``.

    Returns
    -------
    ``explain_func(model, inputs, targets, **kwargs)`` of (N, 3, D, D) and (N,) gives
    (N, 1, D, D); further arguments of Quantus, such as its ``device``, change nothing.
    """
    maps = mapping(method, filler, mean, std, keys)

    def explain_func(model: Any, inputs: Any, targets: Any, **_: Any) -> NDArray[np.float32]:
        return maps(model, torch.as_tensor(np.asarray(inputs)), targets).numpy()

    return explain_func


def mapping(
    method: Choice, filler: Choice | None, mean: Statistic, std: Statistic, keys: Mapping[str, Any]
) -> Callable[[Any, Tensor, Any], Tensor]:
    """Return a function of a model, (N, 3, D, D) inputs and targets that gives (N, 1, D, D) maps.

    Parameters
    ----------
    mean, std
        See ``as_captum``.
    """
    require((mean is None) == (std is None), "mean, std: give both, or none for inputs in [0, 1]")
    given = {} if mean is None or std is None else {"mean": list(mean), "std": list(std)}
    statistics = AS_THEY_ARE | given

    def maps(model: Any, inputs: Tensor, targets: Any) -> Tensor:
        size = _side(inputs)
        shift, scale = (torch.tensor(each).view(-1, 1, 1) for each in statistics.values())
        images = (inputs.detach().cpu().float() * scale + shift).clamp(0, 1)
        own: dict[str, Any] = {} if isinstance(model, str | Component) else dict(statistics)
        classes = _classes(targets, len(images))
        heatmaps = explain(images, model, classes, method, filler, progress=False, **own, **keys)
        assert isinstance(heatmaps, list)
        took = heatmaps[0].size
        require(took == size, f"inputs of {size} x {size} pixels: the model takes {took} x {took}")
        return torch.stack([heatmap.to_image(size)[None] for heatmap in heatmaps])

    return maps


def _side(inputs: Tensor) -> int:
    shape = tuple(inputs.shape)
    is_square = len(shape) == 4 and shape[1] == 3 and shape[2] == shape[3]
    require(is_square, f"inputs: {shape} is not (N, 3, D, D)")
    return shape[2]


def _classes(targets: Any, count: int) -> list[int] | None:
    """Return a class for each input; None: the model's first choices."""
    if targets is None:
        return None
    try:
        classes = np.broadcast_to(np.asarray(targets).reshape(-1), count)
    except ValueError:
        raise UserError(f"target={shown(targets)}: give one class, or {count}") from None
    return [int(each) for each in classes]
