"""The user's own model: a PyTorch module or a function, as a classifier."""

from __future__ import annotations

import copy
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from genattr import components
from genattr.classifier.callable import Function, as_network
from genattr.classifier.given import GivenClassifier
from genattr.components import under
from genattr.errors import UserError, reason
from genattr.library import options
from genattr.protocols import Classifier

MOST = 4  # models that are kept for the next call
PLAIN = (bool, int, float, str, tuple, type(None))
Model = Callable[..., Any]


@dataclass(frozen=True)
class Kept:
    """A classifier that was made of a model, as the model was then."""

    model: Callable[[], Model | None]
    state: Any
    classifier: GivenClassifier


_KEPT: OrderedDict[Any, Kept] = OrderedDict()


def classifier_of(model: Model, keys: Mapping[str, Any], side: int | None) -> GivenClassifier:
    """Make a classifier of a module or a function; the same one again while nothing has changed.

    Parameters
    ----------
    keys
        Arguments as the keys of ``conf/classifier/callable.yaml``.
    side
        Of the user's square tensors; None: there are none. The model's own input size counts more.
    """
    name = name_of(model)
    network = as_network(model, f"model {name}")
    settings = _settings(model, network, keys, side)
    place = (id(model), repr(sorted(settings.items())))
    kept = _KEPT.get(place)
    if (
        kept is not None
        and kept.model() is model
        and kept.state == _state(network, kept.classifier)
    ):
        return kept.classifier
    function = network if isinstance(network, Function) else _copied(network, name)
    with under("classifier", Classifier):
        classifier = GivenClassifier(function=function, name=name, **settings)
    _keep(place, model, network, classifier)
    return classifier


def name_of(model: Model) -> str:
    """Return a model's name for people."""
    own = getattr(model, "__name__", type(model).__name__)
    return "function" if own == "<lambda>" else str(own)


def device_of(model: Any) -> torch.device | None:
    """Return where a module's weights are; None: it has none."""
    if not isinstance(model, nn.Module):
        return None
    tensor = next((*model.parameters(), *model.buffers()).__iter__(), None)
    return None if tensor is None else tensor.device


def _settings(
    model: Model, network: nn.Module, keys: Mapping[str, Any], side: int | None
) -> dict[str, Any]:
    """Return the keys of ``classifier=callable``: given ones, the model's own, the YAML's."""
    node = options.composed("tracking=none", "classifier=callable").classifier
    values = components.values_of(node)
    defaults = {key: value for key, value in values.items() if key not in ("_target_", "path")}
    of_image = {} if side is None else {"input_size": side}
    return defaults | of_image | own_settings(network) | dict(keys)


def own_settings(network: nn.Module) -> dict[str, Any]:
    """Return what a model says itself of its images and classes, as those of timm do."""
    config = getattr(network, "pretrained_cfg", None) or getattr(network, "default_cfg", None)
    if not isinstance(config, Mapping):
        return {}
    found = {key: list(config[key]) for key in ("mean", "std") if config.get(key)}
    sides = config.get("input_size")
    return found | ({"input_size": int(sides[-1])} if sides else {})


def _copied(network: nn.Module, name: str) -> nn.Module:
    """Copy a module to the CPU: what is done to the copy leaves the user's as it is."""
    try:
        return copy.deepcopy(network).cpu()
    except Exception as error:  # a user's module may hold anything
        raise UserError(f"model {name} cannot be copied ({reason(error)})") from error


def _state(network: nn.Module, classifier: GivenClassifier) -> Any:
    """Describe what may change in a model between two calls."""
    if isinstance(network, Function):
        return classifier.answers(network)
    tensors = [*network.named_parameters(), *network.named_buffers()]
    weights = [
        (name, id(value), value._version, value.data_ptr(), float(value.detach().double().sum()))
        for name, value in tensors
    ]
    parts = [
        (id(part), [item for item in vars(part).items() if _is_plain(*item)])
        for part in network.modules()
    ]
    return weights, parts


def _is_plain(key: str, value: Any) -> bool:
    return key != "training" and isinstance(value, PLAIN)


def _keep(place: Any, model: Model, network: nn.Module, classifier: GivenClassifier) -> None:
    try:
        alive = weakref.ref(model, lambda _: _KEPT.pop(place, None))
    except TypeError:  # some kinds of functions
        return
    _KEPT[place] = Kept(alive, _state(network, classifier), classifier)
    while len(_KEPT) > MOST:
        _KEPT.popitem(last=False)
