"""The options of ``conf/`` and their defaults, composed by Hydra without disturbing the user's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime
from hydra.version import VersionBase
from omegaconf import DictConfig
from omegaconf.basecontainer import BaseContainer

from genattr import config

Folders = tuple[str, ...]
OF_A_PROGRAM = (GlobalHydra, JobRuntime, VersionBase)  # what Hydra has once a process
BUILT_IN = ("hydra", "schema")  # what every search path has


@contextmanager
def ours() -> Iterator[None]:
    """Have OmegaConf's resolvers and Hydra's schema of the house, and the user's own afterwards."""
    store = ConfigStore.instance()
    resolvers, schemas = dict(BaseContainer._resolvers), dict(store.repo)
    config.register()
    try:
        yield
    finally:
        BaseContainer._resolvers, store.repo = resolvers, schemas


def composed(*choices: str) -> DictConfig:
    """Compose the configuration of a command; each is composed once, and the caller gets a copy.

    Options are also found in the folders of a Hydra that the user has initialized.

    Parameters
    ----------
    choices
        As they are typed: ``method=sp-g``.
    """
    return _composed(choices, _folders()).copy()


def options(group: str) -> Sequence[str]:
    """Return the names of a group's options; empty if there is no such group."""
    return _options(group, _folders())


@lru_cache(maxsize=64)
def _composed(choices: tuple[str, ...], folders: Folders) -> DictConfig:
    with _hydra():
        return compose("config", overrides=[*choices, *_searched(folders)])


@lru_cache(maxsize=64)
def _options(group: str, folders: Folders) -> Sequence[str]:
    with _hydra():
        loader = GlobalHydra.instance().config_loader()
        return loader.get_group_options(group, ObjectType.CONFIG, "config", _searched(folders))


def _searched(folders: Folders) -> list[str]:
    """Return the override that lets Hydra search more folders; empty if there are none."""
    quoted = ",".join("'{}'".format(folder.replace("'", "\\'")) for folder in folders)
    return [f"hydra.searchpath=[{quoted}]"] if folders else []


def _folders() -> Folders:
    """Return the folders of the Hydra that the user has initialized, but for ours."""
    if not GlobalHydra().is_initialized():
        return ()
    path = GlobalHydra.instance().config_loader().get_search_path().get_path()
    found = [str(entry.path) for entry in path if entry.provider not in BUILT_IN]
    own = str(config.folder())
    return tuple(folder for folder in found if folder.removeprefix("file://") != own)


@contextmanager
def _hydra() -> Iterator[None]:
    """Have Hydra in ``conf/`` for a while, whatever the user has initialized."""
    before = dict(Singleton._instances)
    for kind in OF_A_PROGRAM:
        Singleton._instances.pop(kind, None)
    try:
        with initialize_config_dir(str(config.folder()), "genattr", version_base="1.3"):
            yield
    finally:
        Singleton._instances.clear()
        Singleton._instances.update(before)
