"""A study out of arguments: what a command would assemble from its configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from genattr import components
from genattr.components import under
from genattr.dataset.given import Given, Picture
from genattr.dataset.photo import PhotoPreprocessing
from genattr.errors import UserError, but, require
from genattr.files import expanded, try_folder
from genattr.library import models, options
from genattr.library.components import (
    KINDS,
    arguments,
    built,
    check_option,
    origin,
    plain,
    refuse,
    shown,
)
from genattr.method.base import Method
from genattr.protocols import Classifier, Component, Dataset, Filler
from genattr.run import experiment
from genattr.run.study import Built, Study
from genattr.store.heatmaps import HeatmapStore, NoStore

SETTINGS = (  # of conf/config.yaml, as far as they are for one process and no files
    "explain", "seed", "batch_size", "precision", "engine", "threads", "device", "tune_allocator",
    "map_colors", "trust",
)  # fmt: skip
PROTOCOL = "protocol"
OF_IMAGES = tuple(entry.name for entry in fields(PhotoPreprocessing))
BY_METHOD = "requires_inpainter"  # what sp and sp-g differ in
FIXED = ("dataset=folder", "metric=[]", "tracking=none")
ELSEWHERE = {
    "classifier": "the argument is called model",
    "dataset": "the argument is called image",
    "metric": "scores are made by genattr.score(heatmap, metric)",
    "devices": "one device makes a heatmap; the command python run.py spreads photos over several",
    "sensitivity": "the command python run.py varies settings",
    "experiment": "the command python run.py has presets",
    "tracking": "nothing is recorded; the command python run.py does that",
}

Choice = str | Component


def study_of(
    pictures: Sequence[Picture],
    model: Any,
    method: Choice,
    filler: Choice | None,
    store: str | Path | None,
    keys: Mapping[str, Any],
) -> Study:
    """Assemble a study from arguments, with every check of a command; see ``explaining.explain``.

    Raises
    ------
    UserError
        If an argument is wrong, or they do not fit each other.
    """
    check_kinds(model, method, filler)
    cfg = composed(model, method, filler, keys.get(PROTOCOL))
    routed = Routed(cfg, model, method, filler, keys)
    set_all(cfg, routed.settings)
    own = models.device_of(model)
    if "device" not in keys and own is not None:
        cfg.device = str(own)
    parts = Built(
        method=_method(cfg, method, routed.of_method),
        classifier=_classifier(cfg, model, routed.of_model, pictures),
        filler=_filler(cfg, filler),
        dataset=_dataset(cfg, pictures, routed.of_images),
        store=_store(store),
    )
    return experiment.assemble(cfg, parts)


def check_kinds(model: Any, method: Any, filler: Any) -> None:
    """Refuse what is neither the name of an option nor a component of its group."""
    if not isinstance(method, str | Method):
        raise refuse(method, "method", "method")
    if not isinstance(filler, str | Filler | None):
        raise refuse(filler, "filler", "filler")
    is_other = isinstance(model, Component) and not isinstance(model, Classifier)
    if is_other or not (isinstance(model, str) or callable(model)):
        raise refuse(model, "model", "classifier")


def composed(model: Any, method: Choice, filler: Choice | None, protocol: Any) -> DictConfig:
    """Compose the configuration of these choices; UserError if there is no such option."""
    chosen = {"method": method, "filler": filler, "classifier": model, PROTOCOL: protocol}
    choices = [choice for group, value in chosen.items() for choice in _choice(group, value)]
    return options.composed(*FIXED, *choices)


def _choice(group: str, value: Any) -> list[str]:
    if isinstance(value, str):
        check_option(group, value, options.options(group))
        return [f"{group}={value}"]
    if isinstance(value, Component):
        made_from = origin(value)
        return [] if made_from is None else [f"{group}={made_from.option}"]
    return ["classifier=callable"] if group == "classifier" and value is not None else []


class Routed:
    """Arguments by what they are for: settings, the method, the images, the model."""

    def __init__(
        self,
        cfg: DictConfig,
        model: Any,
        method: Choice,
        filler: Choice | None,
        keys: Mapping[str, Any],
    ) -> None:
        self._cfg = cfg
        self.settings: dict[str, Any] = {}
        self.of_method: dict[str, Any] = {}
        self.of_images: dict[str, Any] = {}
        self.of_model: dict[str, Any] = {}
        places = (
            (self.settings, SETTINGS),
            (self.of_method, _names(cfg.method) if isinstance(method, str) else ()),
            (self.of_images, OF_IMAGES),
            (self.of_model, () if isinstance(model, Component) else _of_model(cfg, model)),
        )
        for key, value in keys.items():
            place = next((place for place, names in places if key in names), None)
            if place is not None:
                place[key] = value
            elif key != PROTOCOL:
                raise self._unknown(key, value, model, method, filler)

    def _unknown(
        self, key: str, value: Any, model: Any, method: Choice, filler: Choice | None
    ) -> UserError:
        told = f"{key}={shown(value)}"
        if key in ELSEWHERE:
            return UserError(f"{told}: {ELSEWHERE[key]}")
        for group, part in (("method", method), ("filler", filler), ("classifier", model)):
            name = part if isinstance(part, str) else _option(part)
            if name is not None and key in _names(self._cfg[group]):
                return UserError(
                    f'{told}: give it to the {group}: genattr.component("{group}/{name}", {told})'
                )
        own = _names(self._cfg.method) if isinstance(method, str) else []
        title = f"method {method}" if isinstance(method, str) else "explain"
        others = f"beside its own there are {', '.join((*SETTINGS, PROTOCOL, *OF_IMAGES))}"
        has = f"it has {', '.join(own)}; {others}" if own else others
        names = [*own, *SETTINGS, *OF_IMAGES, *_of_model(self._cfg, model)]
        return UserError(f"{told}: {title} has no such argument{but(key, names, has)}")


def _store(store: str | Path | None) -> HeatmapStore:
    if store is None:
        return NoStore()
    folder = expanded(store)
    require(not folder.is_file(), f"store={folder}: it is a file, and must be a folder")
    if not folder.is_dir():
        try_folder("store", folder.absolute())
    return HeatmapStore(folder)


def _names(node: DictConfig) -> list[str]:
    names = arguments(components.values_of(node))
    return [name for name in names if name != BY_METHOD]


def _of_model(cfg: DictConfig, model: Any) -> list[str]:
    """Return the names of a model's arguments: a module or a function has no path."""
    names = _names(cfg.classifier)
    return names if isinstance(model, str) else [name for name in names if name != "path"]


def _option(part: Any) -> str | None:
    made_from = origin(part) if isinstance(part, Component) else None
    return None if made_from is None else made_from.option


def set_all(cfg: DictConfig, settings: Mapping[str, Any]) -> None:
    """Set top-level settings; UserError names one that is of a wrong kind."""
    for key, value in settings.items():
        try:
            cfg[key] = plain(value)
        except OmegaConfBaseException as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{key}={shown(value)}: {reason}") from error


def _method(cfg: DictConfig, method: Choice, keys: Mapping[str, Any]) -> Method:
    if not isinstance(method, str):
        assert isinstance(method, Method)
        made_from = origin(method)
        _follow(cfg, made_from.changes if made_from else {})
        return method
    _follow(cfg, keys)
    made = built("method", method, cfg.method, keys)
    assert isinstance(made, Method)
    return made


def _follow(cfg: DictConfig, keys: Mapping[str, Any]) -> None:
    """Set the method's plain values, which fillers may follow."""
    for key, value in keys.items():
        if not isinstance(value, Component) and not isinstance(cfg.method[key], DictConfig):
            cfg.method[key] = plain(value)


def _filler(cfg: DictConfig, filler: Choice | None) -> Filler:
    if filler is None or isinstance(filler, str):
        made = part("filler", components.values_of(cfg.filler))
        assert isinstance(made, Filler)
        return made
    assert isinstance(filler, Filler)
    return filler


def _classifier(
    cfg: DictConfig, model: Any, keys: Mapping[str, Any], pictures: Sequence[Picture]
) -> Classifier:
    given = {key: plain(value) for key, value in keys.items()}
    if isinstance(model, str):
        made = part("classifier", components.values_of(cfg.classifier) | given)
        assert isinstance(made, Classifier)
        return made
    if isinstance(model, Classifier):
        return model
    return models.classifier_of(model, given, side_of(pictures))


def side_of(pictures: Sequence[Picture]) -> int | None:
    """Return the side of square tensors, if the images are such, all of one size."""
    shapes = {
        tuple(picture.source.shape[-2:]) if isinstance(picture.source, Tensor) else None
        for picture in pictures
    }
    (shape, *others) = shapes
    return shape[0] if shape is not None and not others and shape[0] == shape[1] else None


def _dataset(cfg: DictConfig, pictures: Sequence[Picture], keys: Mapping[str, Any]) -> Given:
    values = components.values_of(cfg.dataset)
    chosen = {key: plain(keys.get(key, values[key])) for key in OF_IMAGES}
    with under("dataset", Dataset):
        return Given(pictures=list(pictures), **chosen)


def part(group: str, values: Mapping[str, Any]) -> Component:
    """Build a component from plain values; the same one again while its files have not changed."""
    return _part(group, json.dumps(values), _files(values))


@lru_cache(maxsize=4)
def _part(group: str, text: str, files: tuple[Any, ...]) -> Component:
    return components.build_from(json.loads(text), group, KINDS[group])


def _files(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the files and folders among values, and when each was changed."""
    paths = [expanded(value) for value in values.values() if isinstance(value, str)]
    return tuple((str(path), path.stat().st_mtime_ns) for path in paths if path.exists())
