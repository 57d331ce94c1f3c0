"""Any metric of Quantus that scores the heatmap of one photo."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genattr.errors import UserError, did_you_mean, nearest, require
from genattr.method import hooked
from genattr.method.base import Method
from genattr.metric.base import Direction, Metric, Rows
from genattr.ops.foreign import telling
from genattr.probe import Probe
from genattr.protocols import Classifier
from genattr.scoring import answers
from genattr.types import Heatmap

UNFIT = (
    *("BatchSufficiency", "Consistency", "SensitivityN", "Sufficiency"),  # of several photos
    *("Focus", "InputInvariance"),  # of mosaics, and of a network that begins with a convolution
    *("Metric", "ModelParameterRandomisation"),  # no metric, and an old name of MPRT
)
QUIET = {"disable_warnings": True, "display_progressbar": False}
ROUNDS = ("nr_runs", "nr_samples", "n_perturb_samples", "nr_steps", "num_samples")
LAYERS = 50  # about as many as networks have, at which MPRT explains again
FEW = 4  # images that a metric needs beside its rounds


class Probabilities(nn.Module):
    """The classifier's probabilities as a network, with its own inside.

    A copy computes by a copy of the network, so that Quantus can give it other weights.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier.with_network(lambda network: network)  # no layers fused
        self.network = self.classifier.network
        self.end = nn.Identity()  # Quantus would cut off a softmax that comes last

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, D, D) in [0, 1] to (N, K)."""
        return self.classifier.probabilities(answers(self.classifier, images))


@dataclass(frozen=True)
class Quantus(Metric):
    """A metric of the package ``quantus``, of the map at D x D and the classifier's probabilities.

    Metrics that explain again do so by the run's method; those of localization get the labeled
    boxes as a mask. A constant map is undefined.

    Parameters
    ----------
    name
        Of the class, such as FaithfulnessCorrelation.
    options
        Keyword arguments of its constructor; functions by their names in Quantus.
    """

    name: str
    options: Mapping[str, Any] | None

    def __post_init__(self) -> None:
        super().__post_init__()
        hooked.check_options(self.options or {}, [self._kind], tuple(QUIET), "metric.options")

    @property
    def _kind(self) -> Any:
        """Its class."""
        offered = names()
        if self.name not in offered:
            hooked.refuse(self.name, offered, "quantus", "metric.name")
        return getattr(_library(), self.name)

    @property
    def _category(self) -> str:
        return str(self._kind.evaluation_category.name)

    @property
    def direction(self) -> Direction:  # type: ignore[override]
        """As Quantus has it."""
        return "higher" if self._kind.score_direction.name == "HIGHER" else "lower"

    @property
    def needs_boxes(self) -> bool:  # type: ignore[override]
        """It is one of localization."""
        return self._category == "LOCALISATION"

    @property
    def explains(self) -> bool:
        """It asks for further explanations."""
        return self._category in ("ROBUSTNESS", "RANDOMISATION")

    @property
    def explanations(self) -> int:
        if not self.explains:
            return 0
        of_layers = LAYERS if "layer_order" in self._given else 1
        return max(self._rounds, of_layers) + 1

    def calls(self, size: int) -> int:
        step = self._given.get("features_in_step")
        images = math.ceil(3 * size**2 / step) if isinstance(step, int) else self._rounds
        return images + FEW

    @property
    def _given(self) -> dict[str, Any]:
        """The parameters of its constructor, with the options."""
        parameters = inspect.signature(self._kind).parameters
        defaults = {name: parameter.default for name, parameter in parameters.items()}
        return defaults | dict(self.options or {})

    @property
    def _rounds(self) -> int:
        return max(int(self._given.get(name) or 0) for name in ROUNDS)

    def _built(self, classifier: Classifier) -> Any:
        """Return Quantus' own object, which keeps the scores of a call, for one photo."""
        counts = {"num_classes": len(classifier.labels)} if "num_classes" in self._given else {}
        given = {key: _function(key, value) for key, value in (self.options or {}).items()}
        options = counts | given
        with telling(f"metric.name={self.name} refuses metric.options"):
            return self._kind(**options, **QUIET)

    def check(self, classifier: Classifier, device: torch.device) -> None:
        """Refuse options that Quantus refuses."""
        self._built(classifier)

    def per_image(self, heatmap: Heatmap, probe: Probe) -> dict[str, Any]:
        """Score as ``scores`` does; UserError for a metric that explains again."""
        require(
            not self.explains,
            f"metric.name={self.name} explains again, and there is no method here to do so",
        )
        return self._score(heatmap, probe, None)

    def scores(self, heatmap: Heatmap, probe: Probe, method: Method) -> dict[str, Any]:
        """Return the score under the metric's name; of several, the mean and ``_curve``."""
        explain = explaining(method, probe) if self.explains else None
        return self._score(heatmap, probe, explain)

    def _score(self, heatmap: Heatmap, probe: Probe, explain: Any) -> dict[str, Any]:
        mask = _mask(probe, heatmap.target) if self.needs_boxes else None
        is_constant = bool(heatmap.values.min() == heatmap.values.max())
        if is_constant or (self.needs_boxes and mask is None):
            return {self.name: None}
        values = heatmap.to_image(probe.size)
        with (
            telling(f"metric.name={self.name} fails for {heatmap.image_id}"),
            hooked.drawing(probe, "quantus"),
        ):
            found = self._built(probe.classifier)(
                model=Probabilities(probe.classifier).eval(),
                x_batch=probe.image[None].cpu().numpy(),
                y_batch=np.array([heatmap.target]),
                a_batch=values[None, None].numpy().copy(),
                s_batch=mask,
                channel_first=True,
                explain_func=explain,
                softmax=False,
                device=str(probe.image.device),
            )
        return self._row(found)

    def _row(self, found: Any) -> dict[str, Any]:
        """Return one photo's score, or the mean and the curve of several."""
        numbers = _flat(found)
        defined = [number for number in numbers if math.isfinite(number)]
        mean = sum(defined) / len(defined) if defined else None
        return {self.name: mean} | ({f"{self.name}_curve": numbers} if len(numbers) > 1 else {})

    def aggregate(self, rows: Rows, held_out_rows: Rows) -> dict[str, float | Sequence[float]]:
        scores = [row[self.name] for row in rows]
        return {self.name: [math.nan if score is None else score for score in scores]}


def explaining(method: Method, probe: Probe) -> Callable[..., NDArray[np.float32]]:
    """Return a method as a function in the shape that Quantus calls.

    Returns
    -------
    Maps a ``Probabilities``, (N, 3, D, D) images in [0, 1] and (N,) classes to (N, 1, D, D).
    """

    def explain(model: Probabilities, inputs: Any, targets: Any, **_: Any) -> NDArray[np.float32]:
        images = torch.as_tensor(np.asarray(inputs), dtype=torch.float32).reshape(
            -1, *probe.image.shape
        )
        classes = np.broadcast_to(np.asarray(targets).reshape(-1), len(images))
        of_model = probe.of_classifier(model.classifier)
        maps = [
            method.explain(of_model.of_target(int(target)).sharing_counts(image=image))
            for image, target in zip(images, classes, strict=True)
        ]
        return np.stack([each.to_image(probe.size)[None].numpy() for each in maps])

    return explain


def names() -> list[str]:
    """Return the metrics that the map of one photo is enough for."""
    library = _library()
    base = importlib.import_module("quantus.metrics.base").Metric
    kinds = {name: getattr(library, name) for name in dir(library)}
    return [
        name
        for name, kind in kinds.items()
        if inspect.isclass(kind) and issubclass(kind, base) and name not in UNFIT
    ]


def _function(key: str, value: Any) -> Any:
    """Return the function of Quantus that an option names; other values as they are."""
    if not (key.endswith("_func") and isinstance(value, str)):
        return value
    try:
        known = vars(importlib.import_module(f"quantus.functions.{key}"))
    except ModuleNotFoundError:
        known = vars(np)
    hint = did_you_mean(nearest(value, [name for name in known if not name.startswith("_")]))
    require(value in known, f"metric.options.{key}={value}: no such function in Quantus{hint}")
    return known[value]


def _mask(probe: Probe, target: int) -> NDArray[np.bool_] | None:
    """Return (1, 1, D, D), True in the labeled boxes of the class; None: there are none."""
    boxes, label = probe.sample.boxes, probe.sample.label
    if boxes is None or label not in (None, target):
        return None
    inside = np.zeros((1, 1, probe.size, probe.size), dtype=bool)
    for x0, y0, x1, y1 in boxes.round().int().tolist():
        inside[..., y0:y1, x0:x1] = True
    return inside


def _flat(found: Any) -> list[float]:
    """Return all numbers in nested lists, arrays and mappings."""
    if isinstance(found, Mapping):
        return _flat(list(found.values()))
    if isinstance(found, list | tuple | np.ndarray) and np.shape(found) != ():
        return [number for part in found for number in _flat(part)]
    return [float(found)]


@cache
def _library() -> Any:
    try:
        import quantus
    except ImportError as error:
        raise UserError(
            "metric=quantus needs pip install --no-deps quantus cachetools tqdm (the extra "
            "genattr[quantus] installs opencv-python over the headless one)"
        ) from error
    return quantus
