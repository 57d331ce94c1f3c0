"""What Hydra starts: flags anywhere on the line, mistakes in one line, and then Hydra's own main.

Fast to import, so that ``--help`` and tab completion are fast.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb
from typing import Any

import hydra
from hydra import version
from hydra._internal import utils as hydra_utils
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import OmegaConf

import genattr
from genattr import overrides, sources
from genattr.errors import (
    UserError,
    did_you_mean,
    first_line,
    nearest,
    one_line_errors,
    reason,
    require,
    wants_tracebacks,
)

OF_HYDRA = ("hydra.", "omegaconf.", "logging.")  # modules whose errors are refusals
ALONE = ("run", "multirun", "cfg", "info", "shell_completion")  # flags that exclude each other


@dataclass(frozen=True)
class Line:
    """A command line.

    Attributes
    ----------
    flags
        Such as ``-m``, with their values.
    words
        The overrides.
    chosen
        The flags, parsed.
    """

    flags: Sequence[str]
    words: Sequence[str]
    chosen: argparse.Namespace


def start(job: Callable[[Any], Any], words: Sequence[str], folder: Path, name: str) -> None:
    """Check what is typed and start the job, or what the flags ask for.

    Parameters
    ----------
    job
        Takes the composed configuration.
    words
        The command line without the program.
    folder, name
        The primary configuration.

    Raises
    ------
    UserError
        If Hydra would refuse the line; nothing has begun then.
    """
    line = parse(words)
    if line.chosen.version:
        print(f"genattr {genattr.__version__} (Python {platform.python_version()})")
        return
    _require_one(line.chosen)
    chosen = line.chosen
    require(
        chosen.experimental_rerun is None,
        "--experimental-rerun: a pickled job can run code of its own, and is not opened: type the "
        "command again",
    )
    plain_help = chosen.hydra_help or (chosen.help and not line.words)
    if not (chosen.shell_completion or plain_help):
        _check(line, folder, name)
    with _argv([*line.flags, *line.words]), _faults_in_one_line():
        hydra.main(version_base="1.3", config_path=str(folder), config_name=name)(job)()


def parse(words: Sequence[str]) -> Line:
    """Split a command line into flags, wherever they stand, and overrides."""
    parser = _parser()
    try:
        chosen, unknown = parser.parse_known_intermixed_args(list(words))
    except argparse.ArgumentError as error:
        flag = (error.argument_name or "").rpartition("/")[0] or error.argument_name
        raise UserError(f"{flag}: {error.message}") from error
    flags = [flag for flag in unknown if flag.startswith("-")]
    if flags:
        known = [name for action in parser._actions for name in action.option_strings]
        long = [name for name in known if name.startswith("--")]
        found = did_you_mean(nearest(flags[0], long)) or "; --help tells which there are"
        raise UserError(f"{flags[0]}: no such flag{found}")
    typed = list(chosen.overrides)
    rest = [word for word in words if word not in typed]
    return Line(rest, typed, chosen)


def _require_one(chosen: argparse.Namespace) -> None:
    """Refuse flags that do not go together."""
    asked = {name: getattr(chosen, name) for name in ALONE}
    given = [f"--{name.replace('_', '-')}" for name, value in asked.items() if value]
    require(len(given) < 2, f"{' '.join(given)}: only one of them at a time")
    require(
        not chosen.resolve or bool(chosen.cfg or chosen.help), "--resolve: it goes with --cfg job"
    )


def _parser() -> argparse.ArgumentParser:
    """Return Hydra's parser, with a version of our own, that raises its errors."""
    parser = get_args_parser()
    parser.exit_on_error = False
    (hydras,) = (action for action in parser._actions if "--version" in action.option_strings)
    parser._remove_action(hydras)
    del parser._option_string_actions["--version"]
    parser.add_argument("--version", "-V", action="store_true", help="genattr's version")
    return parser


def _check(line: Line, folder: Path, name: str) -> None:
    """Compose the configuration as Hydra will, for the sake of the messages."""
    version.setbase("1.3")
    setup_globals()
    chosen = line.chosen
    place = folder if chosen.config_path is None else Path(chosen.config_path).absolute()
    search = create_config_search_path(str(place))
    sources.register()
    if chosen.config_dir is not None:
        added = Path(chosen.config_dir).absolute()
        require(added.is_dir(), f"--config-dir {chosen.config_dir}: no such folder")
        search.prepend("command-line", f"file://{added}", SearchPathQuery(provider="schema"))
    mode = RunMode.MULTIRUN if chosen.multirun else RunMode.RUN
    cfg = overrides.compose(ConfigLoaderImpl(search), chosen.config_name or name, line.words, mode)
    HydraConfig.instance().set_config(cfg)
    key = "hydra.sweep.dir" if chosen.multirun else "hydra.run.dir"
    overrides.resolved(cfg, lambda: OmegaConf.select(cfg, key))


@contextmanager
def _faults_in_one_line() -> Iterator[None]:
    """Let a full disk under Hydra's own files be told as it is under ours."""
    report = hydra_utils.run_and_report

    def told(func: Any) -> Any:
        def work() -> Any:
            with one_line_errors(), _refusals():
                return func()

        return report(work)

    hydra_utils.run_and_report = told
    try:
        yield
    finally:
        hydra_utils.run_and_report = report


@contextmanager
def _refusals() -> Iterator[None]:
    """Tell in one line what Hydra itself refuses once it has begun, such as a log's file."""
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or wants_tracebacks() or not _is_of_hydra(error):
            raise
        because = f" ({first_line(error.__cause__)})" if error.__cause__ else ""
        raise UserError(f"Hydra does not take this: {reason(error)}{because}") from error


def _is_of_hydra(error: Exception) -> bool:
    """Whether an error was raised in Hydra or what it calls, and not in a job or a callback."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    behind = frames[next((i for i, name in enumerate(frames) if name.startswith("hydra.")), 0) :]
    is_of_job = any(name.partition(".")[0] == "genattr" for name in behind)
    return behind[-1].startswith(OF_HYDRA) and not is_of_job


@contextmanager
def _argv(words: Sequence[str]) -> Iterator[None]:
    """Let Hydra, which reads ``sys.argv``, find other words there."""
    before = sys.argv
    sys.argv = [before[0], *words]
    try:
        yield
    finally:
        sys.argv = before
