"""From ``package.module:name`` in a configuration to the Python object."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import re
import sys
from collections.abc import Callable
from functools import cache, reduce
from pathlib import Path
from types import ModuleType
from typing import Any

from genattr.errors import UserError, require
from genattr.ops.foreign import staying

log = logging.getLogger(__name__)


def load(path: str, key: str) -> Callable[..., Any]:
    """Import the object at a Python path; the working folder is searched, as for ``python -m``.

    Parameters
    ----------
    path
        Such as ``package.module:name`` or ``package.module:Class.method``.
    key
        The configuration's key, for messages.

    Raises
    ------
    UserError
        If there is no such module or name, or it cannot be called. Errors inside the module are
        not caught.
    """
    module, _, name = path.partition(":")
    well_formed = re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", path) is not None
    require(well_formed, f"{key}={path}: must look like package.module:name")
    target = _import(module, f"{key}={path}")
    try:
        target = reduce(getattr, name.split("."), target)
    except AttributeError as error:
        raise UserError(f"{key}={path}: no {name} in {_where(module)}") from error
    require(callable(target), f"{key}={path}: a {type(target).__name__} cannot be called")
    tell(path, _where(module))
    return target  # type: ignore[no-any-return]


@cache
def tell(path: str, where: str) -> None:
    """Log once a process what of the user's is imported, and from where."""
    log.info("imports %s from %s", path, where)


def source_hash(path: str) -> str:
    """Hash the file of the module that a Python path names, to distinguish its versions."""
    file = sys.modules[path.partition(":")[0]].__file__
    content = Path(file).read_bytes() if file else b""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _import(module: str, what: str) -> Any:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    importlib.invalidate_caches()
    try:
        with staying(f"{what}: importing {module} ends the program"):
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(f"{what}: {_missing(module, error.name or module)}") from error


def _missing(module: str, missing: str) -> str:
    if missing == module or module.startswith(f"{missing}."):
        return f"no module {missing}, neither installed nor in {os.getcwd()}"
    return f"{module} needs {missing}, which is missing"


def _where(module: str) -> str:
    source: ModuleType = sys.modules[module]
    return str(source.__file__ or module)
