"""Any attribution of Captum that applies to images."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from math import inf, prod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from genattr.errors import UserError, require
from genattr.method import hooked
from genattr.method.base import Method
from genattr.ops.superpixels import Compactness, Sigma
from genattr.parameters import Several
from genattr.probe import Probe
from genattr.protocols import Classifier, Segmentation
from genattr.segmentation.base import KEYS, idle_beside
from genattr.types import Heatmap, Sample

log = logging.getLogger(__name__)

# Of several photos, of every neuron, and of every order of the segments.
UNFIT = ("FeaturePermutation", "LayerFeatureAblation", "LayerFeaturePermutation", "ShapleyValues")
OF_RELU = ("GuidedBackprop", "Deconvolution", "GuidedGradCam")
GIVEN = ("model", "forward_func", "layer", "inputs", "target", "baselines", "feature_mask")
NEVER = ("additional_forward_args", "return_convergence_delta", "return_input_shape", "device_ids")
SIZES = ("perturbations_per_eval", "internal_batch_size")
EXTRA = 4  # images beside those that are told by an attribution's parameters
PER_LAYER = 3  # images a round, where the photo's and the baseline's maps of a layer are asked for


@dataclass(frozen=True)
class Captum(Method):
    """An attribution of ``captum.attr``, summed over the channels.

    It sees the explained quantity as a function of images in [0, 1]. What stands for nothing where
    it takes ``baselines`` is the run's filler of a photo that is removed whole; where it takes a
    ``feature_mask``, features are segments.

    Parameters
    ----------
    name
        Of the class, such as IntegratedGradients.
    layer
        Dotted name of the module for attributions of layers; None: the last convolution.
    options
        Keyword arguments of its constructor and its ``attribute``; None: as Captum has them.
    noise
        Those of Captum's NoiseTunnel, such as {nt_type: smoothgrad}; None: without it.
    values
        ``signed``, or ``absolute``: of the sum over the channels.
    n_segments, compactness, sigma, segmentation
        As for LIME.
    """

    name: str
    layer: str | None
    options: Mapping[str, Any] | None
    noise: Mapping[str, Any] | None
    values: Literal["signed", "absolute"]
    n_segments: Several
    compactness: Compactness
    sigma: Sigma
    segmentation: Segmentation

    def __post_init__(self) -> None:
        super().__post_init__()
        own = (*GIVEN, *NEVER)
        hooked.check_options(self._options, [self._kind, self._attribute], own, "method.options")
        lacking = [
            name for name in _needed(self._attribute) if name not in (*GIVEN, *self._options)
        ]
        require(
            not lacking,
            f"method.name={self.name} needs method.options.{', '.join(lacking)}; for windows of 29 "
            "pixels, every 8: method.options={sliding_window_shapes:[3,29,29],strides:[3,8,8]}",
        )
        if self.noise is not None:
            tunnel = _library().NoiseTunnel.attribute
            hooked.check_options(self.noise, [tunnel], own, "method.noise")

    @property
    def _kind(self) -> Any:
        """Its class."""
        offered = names()
        if self.name not in offered:
            hooked.refuse(self.name, offered, "captum.attr")
        return getattr(_library(), self.name)

    @property
    def _options(self) -> Mapping[str, Any]:
        return self.options or {}

    @property
    def _attribute(self) -> Any:
        return self._kind.attribute

    def _takes(self, *parameters: str) -> bool:
        """Whether its constructor or its ``attribute`` has any of some parameters."""
        known = {*inspect.signature(self._kind).parameters, *_parameters(self._attribute)}
        return not known.isdisjoint(parameters)

    @property
    def title(self) -> str:
        if self.noise is None:
            return self.name
        return f"{self.name} {self.noise.get('nt_type', 'smoothgrad')}"

    @property
    def needs_network(self) -> bool:  # type: ignore[override]
        """It hooks into layers."""
        return self._takes("model", "layer")

    @property
    def needs_gradient(self) -> bool:  # type: ignore[override]
        """It is none that only asks about perturbed images."""
        return not issubclass(self._kind, _library().PerturbationAttribution)

    @property
    def idle(self) -> Sequence[str]:
        has_segments = self._takes("feature_mask")
        of_segments = idle_beside(self.segmentation) if has_segments else ("segmentation", *KEYS)
        return [*of_segments, *["layer"] * (not self._takes("layer"))]

    def calls(self, size: int) -> int:
        given = _parameters(self._attribute) | dict(self._options)
        rounds = given.get("n_steps") or given.get("n_samples") or 1
        draws = 1 if self.noise is None else int(self.noise.get("nt_samples", 5))
        passes = PER_LAYER if self._takes("layer") else 1
        return (int(rounds) * passes * self._features(size) + EXTRA) * draws

    def _features(self, size: int) -> int:
        """Bound the features that are removed one by one."""
        library = _library()
        if issubclass(self._kind, library.Occlusion):
            shapes = (self._options["sliding_window_shapes"], self._options.get("strides"))
            return _windows(size, *map(hooked.as_tuple, shapes))
        one_by_one = self._takes("feature_mask") and not issubclass(self._kind, library.LimeBase)
        return 2 * self.n_segments if one_by_one else 1

    def check(self, classifier: Classifier, device: torch.device) -> None:
        """Try it where that is cheap, find its layer, and tell where ReLUs are missing."""
        probe = hooked.trial_probe(classifier, device)
        if self._takes("layer"):
            hooked.layer_of(probe, self.layer)
        relus = [m for m in _modules(classifier) if isinstance(m, nn.ReLU)]
        if self.name in OF_RELU and not relus:
            log.warning(
                "method.name=%s changes the gradients of nn.ReLU, and %s has none: its map is that "
                "of the plain gradient", self.name, classifier.title,
            )  # fmt: skip
        if self.calls(classifier.input_size) <= PER_LAYER + EXTRA:
            self.explain(probe)

    def reads(self, sample: Sample) -> dict[str, Any]:
        return self.segmentation.reads(sample) if self._takes("feature_mask") else {}

    def explain(self, probe: Probe) -> Heatmap:
        values = self._summed(probe.room.fit(partial(self._maps, probe)), probe)
        lowest = 0.0 if self.values == "absolute" else -inf
        return probe.heatmap(values, (lowest, inf))

    def _maps(self, probe: Probe, at_once: int) -> Any:
        """Return what Captum gives, computed on so many images at once."""
        function = hooked.Explained(probe) if self.needs_network else probe.explained
        layer = [hooked.layer_of(probe, self.layer)[1]] if self._takes("layer") else []
        constructor, call = hooked.split_options(self._options, self._kind)
        with (
            hooked.telling_failure(f"method.name={self.name}", probe),
            hooked.borrowed(probe.classifier.network),
            hooked.drawing(probe, "captum"),
            torch.enable_grad(),
        ):
            attribution = self._kind(function, *layer, **constructor)
            given = self._arguments(probe, at_once) | call
            if self.noise is not None:
                attribution = _library().NoiseTunnel(attribution)
                given |= {key: hooked.as_tuple(value) for key, value in self.noise.items()}
            image = probe.image[None].clone().requires_grad_(self.needs_gradient)
            return attribution.attribute(image, **given)

    def _summed(self, maps: Any, probe: Probe) -> Tensor:
        """Sum (1, channels, h, w) over the channels; UserError for another shape."""
        maps = maps[0] if isinstance(maps, tuple) else maps
        shape = tuple(maps.shape)
        require(
            len(shape) == 4 and shape[0] == 1,
            f"method.name={self.name} gives {shape} for method.layer={self.layer}, not (1, "
            "channels, h, w): choose a layer whose output is a map, such as a convolution",
        )
        values: Tensor = maps[0].detach().sum(dim=0)
        return values.abs() if self.values == "absolute" else values

    def _arguments(self, probe: Probe, at_once: int) -> dict[str, Any]:
        """Return what ``attribute`` gets beside the image, as far as it takes it."""
        known = _parameters(self._attribute)
        sizes = dict.fromkeys(SIZES, at_once)
        wanted: dict[str, Any] = {key: size for key, size in sizes.items() if key in known}
        if "baselines" in known:
            wanted["baselines"] = self._baselines(probe)
        if "feature_mask" in known:
            wanted["feature_mask"] = self._segments(probe)
        return wanted

    def _baselines(self, probe: Probe) -> Tensor:
        """Return (1, 3, D, D), the fill of the whole photo; twice where a distribution is asked."""
        filled = probe.composite(torch.ones_like(probe.image[None, :1], dtype=torch.bool))
        return filled.repeat(2, 1, 1, 1) if self.name.endswith("DeepLiftShap") else filled

    def _segments(self, probe: Probe) -> Tensor:
        """Return (1, 1, D, D), the number of each pixel's segment."""
        own = (self.n_segments, self.compactness, self.sigma)
        segments: Tensor = self.segmentation.split(probe.sample, *own)
        return segments.to(probe.image.device)[None, None]


def names() -> list[str]:
    """Return the attributions that one image is enough for."""
    library = _library()
    return [name for name in library.__all__ if name not in UNFIT and _fits(getattr(library, name))]


def _fits(kind: Any) -> bool:
    """Whether a class attributes to images by a model, and perhaps a layer, and no more."""
    if "attribute" not in dir(kind) or not issubclass(kind, _library().Attribution):
        return False
    asks = _needed(kind.attribute)
    return "inputs" in asks and "neuron_selector" not in asks and {*_needed(kind)} <= {*GIVEN}


def _needed(function: Any) -> list[str]:
    """Return the names of a function's parameters that have no default."""
    parameters = inspect.signature(function).parameters.values()
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    needed = [each for each in parameters if each.default is each.empty and each.kind not in kinds]
    return [parameter.name for parameter in needed if parameter.name != "self"]


def _parameters(function: Any) -> dict[str, Any]:
    """Return a function's parameters with their defaults."""
    return {name: value.default for name, value in inspect.signature(function).parameters.items()}


def _windows(size: int, shape: Sequence[int], strides: Any) -> int:
    """Count the windows of Captum's Occlusion on an image; UserError for other than three sides."""
    steps = (strides,) * 3 if isinstance(strides, int) else strides or (1, 1, 1)
    for key, sides in (("sliding_window_shapes", shape), ("strides", steps)):
        require(
            _are_sides(sides),
            f"method.options.{key}={sides}: must be three whole numbers from 1 up: channels, "
            "height, width",
        )
    per_axis = zip((3, size, size), shape, steps, strict=True)
    return prod(1 + -(-max(side - window, 0) // step) for side, window, step in per_axis)


def _are_sides(value: Any) -> bool:
    is_triple = isinstance(value, tuple) and len(value) == 3
    return is_triple and all(isinstance(side, int) and side > 0 for side in value)


def _modules(classifier: Classifier) -> list[nn.Module]:
    return [] if classifier.network is None else list(classifier.network.modules())


@cache
def _library() -> Any:
    try:
        from captum import attr
    except ImportError as error:
        raise UserError("method=captum needs pip install 'genattr[captum]'") from error
    return attr
