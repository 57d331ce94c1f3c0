"""``genattr doctor``: what is installed here, what is cached, and what would be fetched."""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import genattr
from genattr import config
from genattr.commands import catalog
from genattr.commands.catalog import Option
from genattr.errors import UserError, first_line

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from genattr.protocols import Asset, Component

PACKAGES = ("torch", "torchvision", "timm", "mlflow", "hydra-core", "numpy")
GROUPS = ("classifier", "filler", "method", "metric")  # whose options have weights
SPARE = 2e9  # bytes of disk below which a run may not be able to write
OK, OPEN, BROKEN = "ok", "-", "BROKEN"


@dataclass(frozen=True)
class Finding:
    """One line of what was found.

    Attributes
    ----------
    state
        ``ok``, ``-`` for what is not there and need not be, or ``BROKEN``.
    name, words
        What, and what there is to say of it.
    """

    state: str
    name: str
    words: str


def main(words: Sequence[str]) -> None:
    """Print what was found; the exit code is 1 if something is broken."""
    parser = argparse.ArgumentParser(
        prog=f"{config.program()} doctor",
        description="Versions, device, extras, weights, disk and tracking store of this machine. "
        "Nothing is fetched. The exit code is 1 if something is BROKEN.",
    )
    parser.add_argument("--uri", help="tracking URI; default: the database of this folder")
    chosen = parser.parse_args(words)
    print(f"genattr {genattr.__version__} in {config.PACKAGE}\n", flush=True)
    broken = 0
    for title, findings in (
        ("Versions", _versions()),
        ("Machine", _machine()),
        ("Extras", _extras()),
        ("Weights", _weights()),
        ("Results", _results(chosen.uri)),
    ):
        broken += _show(title, findings)
    if broken:
        raise SystemExit(1)


def _show(title: str, findings: Iterator[Finding]) -> int:
    """Print the lines of a part as they are found; return how many are broken."""
    print(title, flush=True)
    broken = 0
    for found in findings:
        broken += found.state == BROKEN
        print(f"  {found.state:6}  {found.name:30}  {found.words}", flush=True)
    print()
    return broken


def _versions() -> Iterator[Finding]:
    yield Finding(OK, "Python", f"{platform.python_version()} at {sys.executable}")
    for package in PACKAGES:
        found = catalog.installed(package)
        yield Finding(OK if found else BROKEN, package, found or f"missing: pip install {package}")


def _machine() -> Iterator[Finding]:
    try:
        import torch

        from genattr import environment
    except ImportError as error:
        yield Finding(BROKEN, "device", f"PyTorch cannot be imported: {first_line(error)}")
        return
    device = environment.resolve_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    yield Finding(OK, "device=auto", f"{device}: {name}")
    yield Finding(OK, "threads=null", f"{torch.get_num_threads()}")


def _extras() -> Iterator[Finding]:
    for extra, packages in catalog.extras().items():
        lacking = [package for package in packages if catalog.installed(package) is None]
        command = f"pip install 'genattr[{extra}]'  (lacks {', '.join(lacking)})"
        yield Finding(OPEN if lacking else OK, extra, command if lacking else "installed")


def _weights() -> Iterator[Finding]:
    """Look at the files of every option that has any, each file once."""
    from hydra import initialize_config_dir

    config.register()
    found = catalog.options(catalog.folders(None))
    seen: set[str] = set()
    with initialize_config_dir(str(config.folder()), version_base="1.3"):
        for option in (one for group in GROUPS for one in found[group] if one.has_assets):
            for asset in _assets(option):
                key = f"{asset.origin} {asset.name}"
                if key not in seen:
                    seen.add(key)
                    yield _found(f"{option.group}={option.name}", asset)


def _assets(option: Option) -> Sequence[Asset]:
    """Build an option's component with its defaults; where more has to be given, it has none."""
    from hydra import compose
    from omegaconf import OmegaConf

    in_list = option.group == "metric"
    cfg = compose("config", [f"{option.group}={f'[{option.name}]' if in_list else option.name}"])
    key = f"metric.{option.name}" if in_list else option.group
    with suppress(UserError):
        return _built(OmegaConf.select(cfg, key), key, option.group).assets
    return ()


def _built(node: DictConfig, key: str, group: str) -> Component:
    from genattr import components
    from genattr.method.base import Method
    from genattr.metric.base import Metric
    from genattr.protocols import Classifier, Filler

    kinds: dict[str, type[Component]] = {
        "classifier": Classifier, "filler": Filler, "method": Method, "metric": Metric,
    }  # fmt: skip
    return components.build(node, key, kinds[group])


def _found(option: str, asset: Asset) -> Finding:
    terms = f"{asset.name} ({asset.license})"
    try:
        place = asset.place
        if place is None or not place.is_file():
            return Finding(OPEN, option, f"{terms} would be fetched from {asset.origin}")
        asset.check(place)
    except UserError as error:
        return Finding(BROKEN, option, str(error))
    whence = "" if asset.is_fetched else f", of the {asset.origin}"
    return Finding(OK, option, f"{terms}, hash checked, at {place}{whence}")


def _results(uri: str | None) -> Iterator[Finding]:
    home = config.home()
    free = shutil.disk_usage(home).free
    state = OK if free > SPARE else BROKEN
    yield Finding(state, "disk", f"{free / 1e9:.0f} GB free for results in {home}")
    cache = _cache()
    there = next(place for place in (cache, *cache.parents) if place.exists())
    free = shutil.disk_usage(there).free
    state = OK if free > SPARE else BROKEN
    yield Finding(state, "disk", f"{free / 1e9:.0f} GB free for weights in {cache}")
    yield _tracking(uri, home)


def _cache() -> Path:
    from genattr.assets.download import cache_folder

    return cache_folder()


def _tracking(uri: str | None, home: Path) -> Finding:
    from genattr.tracking.base import without_password
    from genattr.tracking.mlflow import MlflowTracking

    database = home / "mlflow.db"
    if uri is None and not database.exists():
        return Finding(OPEN, "tracking", f"the first run makes {database}")
    address = uri or f"sqlite:///{database}"
    try:
        MlflowTracking(address, "genattr").reach()
    except UserError as error:
        return Finding(BROKEN, "tracking", str(error))
    return Finding(OK, "tracking", f"{without_password(address)} answers")
