"""Files of tensors as training scripts leave them: read without running their code, and opened."""

from __future__ import annotations

import logging
import re
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genattr.errors import UserError, abridged, first_line, require

log = logging.getLogger(__name__)

COUNTER = "num_batches_tracked"  # old checkpoints lack it, and inference does not need it
ENTRIES = (
    *("G", "state_dict", "model_state_dict", "model", "net", "network", "params"),
    *("state_dict_ema", "model_ema", "ema", "params_ema"),
)  # names under which scripts keep a network's weights, the likeliest first
WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
AVERAGED = re.compile(r"(?<![a-z])(ema|swa|avg|averaged?)(?![a-z])", re.IGNORECASE)
DEPTH = 4  # of mappings in mappings
ALONE = "save the weights alone, by torch.save(network.state_dict(), 'weights.pth')"


class _Thing:
    """Stands for an object beside the weights that is not needed; nothing of it is kept."""

    def __new__(cls, *_: object, **__: object) -> _Thing:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


class _Items:
    """Stands for a kind of dictionary beside the weights: becomes an ordered one."""

    def __new__(cls, *_: object, **__: object) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


# What scripts put beside weights. None of these is imported or called: the stand-ins are.
THINGS = (
    *("argparse.Namespace", "types.SimpleNamespace", "decimal.Decimal", "uuid.UUID"),
    *(f"pathlib.{kind}Path" for kind in ("", "Posix", "Windows", "PurePosix", "PureWindows")),
    *(f"pathlib._local.{kind}Path" for kind in ("Posix", "Windows", "PurePosix", "PureWindows")),
    *(f"datetime.{kind}" for kind in ("datetime", "date", "time", "timedelta", "timezone")),
    *(f"numpy.{name}.multiarray.scalar" for name in ("core", "_core")),
    *(f"numpy.{name}.multiarray._reconstruct" for name in ("core", "_core")),
    *("numpy.dtype", "numpy.ndarray", "torch.torch_version.TorchVersion"),
    *("typing.Any", "typing.Union", "omegaconf.base.Metadata", "omegaconf.base.ContainerMetadata"),
    *("omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig"),
    *(
        f"omegaconf.nodes.{kind}Node"
        for kind in ("Any", "String", "Integer", "Float", "Boolean", "Path", "Bytes", "Enum")
    ),
    *(f"builtins.{kind}" for kind in ("bool", "bytes", "dict", "float", "frozenset", "int")),
    *(f"builtins.{kind}" for kind in ("list", "object", "range", "slice", "str", "tuple")),
)
ITEMS = (
    *("collections.defaultdict", "yacs.config.CfgNode", "fvcore.common.config.CfgNode"),
    *("easydict.EasyDict", "lightning.fabric.utilities.data.AttributeDict"),
    *("lightning_fabric.utilities.data.AttributeDict",),
    *("lightning.pytorch.utilities.parsing.AttributeDict",),
    *("pytorch_lightning.utilities.parsing.AttributeDict",),
)
HARMLESS = [(_Thing, name) for name in THINGS] + [(_Items, name) for name in ITEMS]


def read(file: Path) -> Any:
    """Read a safetensors or PyTorch file; of what is not tensors, the harmless is left out.

    Raises
    ------
    UserError
        If it is absent, is no such file, or cannot be read without running code from it.
    """
    require(file.is_file(), f"no checkpoint at {file}")
    try:
        return _read(file)
    except Exception as error:
        raise UserError(
            f"{file} is not a checkpoint of plain tensors: {_obstacle(file, error)}"
        ) from error


def _read(file: Path) -> Any:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    with torch.serialization.safe_globals(HARMLESS):  # type: ignore[arg-type]
        return torch.load(file, map_location="cpu", weights_only=True)


def _obstacle(file: Path, error: Exception) -> str:
    """Say what is in the way of reading a file without running code from it."""
    if "TorchScript" in str(error):
        return "it is a TorchScript file, which the option torchscript takes"
    names = _foreign_names(file, error)
    if any(name.startswith("torch.nn.modules.") for name in names):
        return f"it is a whole network with its code, which is not run; {ALONE}"
    if names:
        return f"it holds {abridged(names)}, which is not unpickled; {ALONE}"
    if "WeightsUnpickler" in str(error):
        return f"it is not as torch.save writes files by itself; {ALONE}"
    return first_line(error)


def _foreign_names(file: Path, error: Exception) -> Sequence[str]:
    """Name what a file would have imported, beside what is harmless."""
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    except Exception:  # another format, or one that PyTorch does not look into
        found = re.findall(r"GLOBAL (\S+) was not an allowed", str(error))
    return sorted(set(found) - {name for _, name in HARMLESS})


@dataclass(frozen=True)
class Place:
    """Where in a file the weights of a network stand.

    Attributes
    ----------
    label
        The names of the entries and of the prefix, joined by dots; empty: the top level.
    tensors
        By their names in the network.
    versions
        PyTorch's versions of the modules, by their names in the network; empty: not told.
    found
        How many of the network's names are there.
    """

    label: str
    tensors: Mapping[str, Tensor]
    versions: Mapping[str, Any]
    found: int

    @property
    def is_averaged(self) -> bool:
        """Whether these are an average of the weights over the training."""
        return AVERAGED.search(self.label) is not None

    def matches(self, entry: str) -> bool:
        """Whether an entry of the file, given by its name, holds this place."""
        return f"{self.label}.".startswith(f"{entry}.")

    def has_shapes_of(self, expected: Mapping[str, Tensor]) -> bool:
        """Whether all tensors have the network's shapes."""
        return all(expected[n].shape == t.shape for n, t in self.tensors.items() if n in expected)

    def equals(self, other: Place) -> bool:
        """Whether another place holds the same numbers."""
        return self.tensors.keys() == other.tensors.keys() and all(
            torch.equal(tensor, other.tensors[name]) for name, tensor in self.tensors.items()
        )


def find(
    file: Path, expected: Mapping[str, Tensor], entry: str | None = None, key: str | None = None
) -> Place:
    """Find the weights of a network in a file, under whatever entries and prefixes they stand.

    What belongs to no network, such as an optimizer's state, is left out. Of several networks
    that fit, averages are taken only if they are alone or asked for.

    Parameters
    ----------
    expected
        The network's own state dict.
    entry
        Name of the entry that is meant, such as ``model_ema``; None: the plain weights.
    key
        The configuration's key of ``entry``, for messages; None: there is none.

    Returns
    -------
    A place with all of the network's names, or, if there is none, the one that has most of them.

    Raises
    ------
    UserError
        If the file cannot be read, has no tensors, or has several networks that fit.
    """
    places = list(_places(read(file), expected))
    require(bool(places), f"{file} is not a checkpoint of plain tensors")
    whole = [place for place in places if place.found == max(one.found for one in places)]
    fitting = _distinct([one for one in whole if one.has_shapes_of(expected)] or whole)
    if entry is not None:
        return _asked_for(fitting, entry, f"{key}={entry}: {file} has")
    plain = [place for place in fitting if not place.is_averaged] or fitting
    advice = f"choose one by {key}=" if key else "keep one of them in it"
    if plain[0].found == len(_needed(expected)):
        require(len(plain) == 1, f"{file} has several such networks, {_named(plain)}: {advice}")
    _tell_averages(file, plain[0], fitting, key)
    return plain[0]


def _asked_for(places: Sequence[Place], entry: str, has: str) -> Place:
    matching = [place for place in places if place.matches(entry)]
    require(bool(matching), f"{has} no such weights; it has {_named(places)}")
    require(len(matching) == 1, f"{has} several there: {_named(matching)}")
    return matching[0]


def _tell_averages(file: Path, chosen: Place, places: Sequence[Place], key: str | None) -> None:
    """Log that a file also has averaged weights, and how to take them."""
    others = [place.label for place in places if place.is_averaged and place is not chosen]
    if others and not chosen.is_averaged:
        how = f"; {key}={others[0]} takes them" if key else ""
        log.info("%s: the plain weights are taken, not the averages in %s%s", file, others[0], how)


def _named(places: Sequence[Place]) -> str:
    return abridged([place.label or "(top level)" for place in places])


def _distinct(places: Sequence[Place]) -> Sequence[Place]:
    """Leave out places whose numbers stand in an earlier one too."""
    kept: list[Place] = []
    for place in sorted(places, key=lambda one: one.is_averaged):
        if not any(place.equals(other) for other in kept):
            kept.append(place)
    return kept


def _places(loaded: Any, expected: Mapping[str, Tensor]) -> Iterator[Place]:
    """Yield all places of a file that have tensors."""
    needed = _needed(expected)
    for path, mapping in _mappings(loaded):
        tensors = _tensors(mapping)
        counts = _prefixes(tensors, needed)
        whole = [prefix for prefix in counts if counts[prefix] == len(needed)]
        for prefix in whole or [max(counts, key=lambda one: counts[one])] * bool(tensors):
            inner = tuple(other for other in whole if other != prefix and other.startswith(prefix))
            yield Place(
                ".".join(filter(None, [*path, prefix.rstrip(".")])),
                {n[len(prefix) :]: tensors[n] for n in _under(tensors, prefix, inner)},
                versions_in(mapping, prefix),
                counts[prefix],
            )


def _needed(expected: Collection[str]) -> Collection[str]:
    return {name for name in expected if not name.endswith(COUNTER)}


def _mappings(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield a mapping and those in it, with their names."""
    if isinstance(value, Mapping) and len(path) <= DEPTH:
        yield path, value
        for key, inner in value.items():
            yield from _mappings(inner, (*path, str(key)))


def _tensors(mapping: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return a mapping's tensors, without the names of wrappers that PyTorch puts around parts."""
    return {_bare(str(key)): value for key, value in mapping.items() if isinstance(value, Tensor)}


def _bare(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def _prefixes(names: Collection[str], needed: Collection[str]) -> Mapping[str, int]:
    """Count for each prefix how many of the needed names stand behind it.

    A number in a prefix is a layer of a larger network, and no prefix.
    """
    counts = Counter({"": 0})
    for name in names:
        parts = name.split(".")
        for depth in range(len(parts)):
            if depth and parts[depth - 1].isdecimal():
                break
            if ".".join(parts[depth:]) in needed:
                counts["".join(f"{part}." for part in parts[:depth])] += 1
    return counts


def _under(names: Collection[str], prefix: str, others: tuple[str, ...]) -> Iterator[str]:
    """Yield the names with a prefix, without those of other networks that stand under it."""
    return (name for name in names if name.startswith(prefix) and not name.startswith(others))


def versions_in(mapping: Mapping[Any, Any], prefix: str = "") -> Mapping[str, Any]:
    """Return the versions of the modules under a prefix, as PyTorch keeps them in state dicts."""
    versions = vars(mapping).get("_metadata", {}) if isinstance(mapping, OrderedDict) else {}
    bare = {_bare(f"{name}.").rstrip("."): version for name, version in versions.items()}
    if not prefix:
        return bare
    inside = {n[len(prefix) :]: one for n, one in bare.items() if n.startswith(prefix)}
    return inside | {"": bare[prefix[:-1]]} if prefix[:-1] in bare else inside


def plain_state(file: Path) -> Mapping[str, Tensor]:
    """Return the state dict of a file whose network is not known, without the prefix ``module.``.

    Raises
    ------
    UserError
        If the file cannot be read, or has none at the top or under a usual name.
    """
    loaded = read(file)
    found = [
        (path, mapping)
        for path, mapping in _mappings(loaded)
        if all(name in ENTRIES for name in path) and _is_state(mapping)
    ]
    require(bool(found), f"{file} is not a checkpoint of plain tensors")
    _, state = min(found, key=lambda one: [ENTRIES.index(name) for name in one[0]])
    return _without_module(state)


def _is_state(mapping: Mapping[Any, Any]) -> bool:
    return bool(mapping) and all(isinstance(value, Tensor) for value in mapping.values())


def _without_module(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Remove what parallel training, compilation and averaging put before every name."""
    bare = {_bare(name): value for name, value in state.items() if name != "n_averaged"}
    if all(name.startswith("module.") for name in bare):
        return {name.removeprefix("module."): value for name, value in bare.items()}
    return bare if bare.keys() != state.keys() else state
