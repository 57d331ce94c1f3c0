"""The user's own model: a PyTorch module or a function, as a classifier."""

from __future__ import annotations

import copy
import json
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genattr import components
from genattr.classifier.callable import Function, as_network
from genattr.classifier.given import GivenClassifier
from genattr.components import under
from genattr.errors import UserError, reason
from genattr.library import options
from genattr.protocols import Classifier

MOST = 4  # models that are kept for the next call
PLAIN = (bool, int, float, str, tuple, type(None))
STATISTICS = ("mean", "std")
SOURCES, BY_DEFAULT = ("as given", "the model's own"), "by default: mean= and std= change it"
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

    Raises
    ------
    UserError
        If a value is wrong, or the model is no classifier of images.
    """
    name = name_of(model)
    network = inner(as_network(model, f"model {name}"))
    settings = _settings(network, keys, side)
    place = (id(model), repr(sorted(settings.items())))
    kept = _KEPT.get(place)
    is_same = kept is not None and kept.model() is model
    if kept and is_same and kept.state == _state(network, kept.classifier):
        return kept.classifier
    function = network if isinstance(network, Function) else _copied(network, name)
    with under("classifier", Classifier):
        classifier = GivenClassifier(function=function, name=name, **settings)
    _keep(place, model, network, classifier)
    return classifier


def inner(network: nn.Module) -> nn.Module:
    """Return the network inside ``torch.compile`` and what spreads one over GPUs."""
    kept = getattr(network, "_orig_mod", network)
    spread = isinstance(kept, nn.DataParallel | nn.parallel.DistributedDataParallel)
    found: nn.Module = inner(kept.module) if spread else kept  # type: ignore[arg-type]
    return found


def name_of(model: Model) -> str:
    """Return a model's name for people."""
    own = getattr(model, "__name__", type(model).__name__)
    return "function" if own == "<lambda>" else str(own)


def device_of(model: Any) -> torch.device | None:
    """Return where a module's weights are; None: it has none."""
    if not isinstance(model, nn.Module):
        return None
    tensors = [*model.parameters(), *model.buffers()]
    return tensors[0].device if tensors else None


def _settings(network: nn.Module, keys: Mapping[str, Any], side: int | None) -> dict[str, Any]:
    """Return the keys of ``classifier=callable``: given ones, the model's own, the YAML's."""
    node = options.composed("tracking=none", "classifier=callable").classifier
    values = components.values_of(node)
    defaults = {key: value for key, value in values.items() if key not in ("_target_", "path")}
    of_image = {} if side is None else {"input_size": side}
    own = own_settings(network)
    assumed = (
        "as given" if {"mean", "std"} <= keys.keys() else "by default: mean= and std= change it"
    )
    if {"mean", "std"} <= own.keys() - keys.keys():
        assumed = "the model's own"
    return defaults | of_image | own | dict(keys) | {"assumed": assumed}


def own_settings(network: nn.Module) -> dict[str, Any]:
    """Return what a model tells of its images and classes: those of timm and transformers do."""
    return _of_timm(network) | _of_transformers(network)


def _of_timm(network: nn.Module) -> dict[str, Any]:
    config = getattr(network, "pretrained_cfg", None) or getattr(network, "default_cfg", None)
    if not isinstance(config, Mapping):
        return {}
    found = {key: list(config[key]) for key in STATISTICS if config.get(key)}
    sides = config.get("input_size")
    return found | ({"input_size": int(sides[-1])} if sides else {})


def _of_transformers(network: nn.Module) -> dict[str, Any]:
    """Read the model's config, and the image processor in the folder of its weights."""
    config = getattr(network, "config", None)
    if config is None or not hasattr(config, "id2label"):
        return {}
    found: dict[str, Any] = {}
    side = getattr(config, "image_size", None)
    if isinstance(side, int):
        found["input_size"] = side
    names = [str(config.id2label[key]) for key in sorted(config.id2label, key=int)]
    if not all(name.startswith("LABEL_") for name in names):
        found["labels"] = names
    return found | _processing(Path(str(getattr(config, "_name_or_path", ""))))


def _processing(folder: Path) -> dict[str, Any]:
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return {}
    stated = json.loads(file.read_text(encoding="utf-8"))
    pairs = {"mean": "image_mean", "std": "image_std"}
    return {key: list(stated[name]) for key, name in pairs.items() if stated.get(name)}


def _copied(network: nn.Module, name: str) -> nn.Module:
    """Copy a module to the CPU: what is done to the copy leaves the user's as it is."""
    tensors = [value for part in network.modules() for value in vars(part).values()]
    computed = [value for value in tensors if isinstance(value, Tensor) and not value.is_leaf]
    memo = {id(value): value.detach().clone() for value in computed}
    try:
        with torch.no_grad():
            return copy.deepcopy(network, memo).cpu()
    except Exception as error:  # a user's module may hold anything
        raise UserError(
            f"model {name} cannot be copied ({reason(error)}): put it into evaluation mode, and "
            "give a function, such as lambda images: model(images)"
        ) from error


def _state(network: nn.Module, classifier: GivenClassifier) -> Any:
    """Describe what may change in a model between two calls."""
    if isinstance(network, Function):
        return classifier.answers(network)
    tensors = [*network.named_parameters(), *network.named_buffers()]
    weights = [(name, id(value), *_content(value)) for name, value in tensors]
    parts = [
        (id(part), [item for item in vars(part).items() if _is_plain(*item)])
        for part in network.modules()
    ]
    return weights, parts


def _content(value: Tensor) -> tuple[int, int, float]:
    """Describe a tensor's place, version and values."""
    total = value.detach().sum(dtype=torch.float64)
    return value.data_ptr(), value._version, float(total)


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
