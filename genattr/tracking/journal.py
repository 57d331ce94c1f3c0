"""Runs whose tracking store goes away: what it does not take is kept, and recorded later.

A run's folder then has ``record-1.jsonl``: the run's name, tags and the like in the first line, and
a call that is to be repeated in each further one. Pictures lie beside it in ``record/``.
"""

from __future__ import annotations

import json
import logging
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genattr import config
from genattr.errors import UserError, first_line
from genattr.files import append, write_text, writing
from genattr.told import without_secrets, without_secrets_in
from genattr.tracking.base import Example, HalfOpenError, Run, Tracking
from genattr.tracking.sqlite import patiently

log = logging.getLogger(__name__)
FILES, PICTURES = "record*.jsonl", "record"
DONE, POSITION = ".synced", ".position"  # endings of a journal that was recorded, and of its place
RECORD = "record"  # tag of a run that no other run has, by which it is found again
SLOW, ALONE = 15.0, 300.0  # seconds after which a store hangs, and for which it is then left alone
_alone_until: dict[str, float] = {}  # by the addresses of stores that hang

Entry = dict[str, Any]


@dataclass(frozen=True)
class Opening:
    """What opens a run, now or later.

    Attributes
    ----------
    name, params, tags
        As ``Tracking.start`` takes them.
    uri, experiment
        Where it is recorded; a URI without its password.
    run_id
        Of a run that the store has; None: it has none.
    started
        Seconds since the epoch.
    has_ended
        The run had ended, and is only added to.
    """

    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    uri: str = ""
    experiment: str = ""
    run_id: str | None = None
    started: float = 0.0
    has_ended: bool = False


class Kept(Run):
    """A run that goes on in its folder where its tracking store does not take a call.

    Parameters
    ----------
    run
        What the store has.
    folder
        Of the run.
    opening
        Opens it later, if the store does not have it.
    is_begun
        The store has worked before, so that even its own refusal is no reason to stop.
    file
        The journal, if the store is away already.
    """

    def __init__(
        self,
        run: Run,
        folder: Path,
        opening: Opening,
        *,
        is_begun: bool = False,
        file: Path | None = None,
    ) -> None:
        self._run, self._folder, self._is_begun = run, folder, is_begun
        self._opening = replace(opening, started=time.time())
        self._file = file
        self._pictures = 0

    @property
    def run_id(self) -> str | None:  # type: ignore[override]
        run_id: str | None = self._try(lambda: self._run.run_id)
        return run_id or self._opening.run_id

    def metrics(
        self, values: Mapping[str, float], step: int = 0, measured: float | None = None
    ) -> None:
        values = {key: float(value) for key, value in values.items()}
        measured = measured or time.time()
        call = partial(self._run.metrics, values, step, measured)
        self._pass(call, "metrics", values=values, step=step, measured=measured)

    def picture(self, key: str, step: int, pixels: NDArray[np.uint8]) -> None:
        if not self._done(lambda: self._run.picture(key, step, pixels)):
            self._note("picture", key=key, step=step, file=self._kept_picture(pixels))

    def files(self, files: Sequence[Path]) -> None:
        names = [self._name(file) for file in files]
        self._pass(lambda: self._run.files(files), "files", files=names)

    def folder(self, folder: Path) -> None:
        self._pass(lambda: self._run.folder(folder), "folder", folder=self._name(folder))

    def examples(self, examples: Sequence[Example]) -> None:
        if not self._done(lambda: self._run.examples(examples)):
            self._note("examples", examples=[self._kept_example(example) for example in examples])

    def tag(self, key: str, value: str) -> None:
        self._pass(lambda: self._run.tag(key, value), "tag", key=key, value=value)

    def describe(self, text: str) -> None:
        self._pass(lambda: self._run.describe(text), "describe", text=text)

    def confirm(self) -> None:
        self._done(self._run.confirm)

    def close(self, status: str, ended: float | None = None) -> None:
        ended = ended or time.time()
        self._pass(lambda: self._run.close(status), "close", status=status, ended=ended)

    def resume(self) -> None:
        self._pass(self._run.resume, "resume")

    def _pass(self, call: Callable[[], None], name: str, **arguments: Any) -> None:
        """Call the store, or note the call."""
        if not self._done(call):
            self._note(name, **arguments)

    def _done(self, call: Callable[[], None]) -> bool:
        self._try(call)
        return self._file is None

    def _try(self, call: Callable[[], Any]) -> Any:
        """Call the store, unless it is away; wait for a locked database."""
        if self._file is not None:
            return None
        begun, address = time.monotonic(), self._opening.uri
        if begun < _alone_until.get(address, 0.0):
            self._go_on_without(TimeoutError("it has just kept another run waiting"))
            return None
        try:
            return patiently(call)
        except UserError as error:
            if not self._is_begun:
                raise
            self._go_on_without(error)
        except Exception as error:
            self._go_on_without(error)
        if time.monotonic() - begun > SLOW:
            _alone_until[address] = time.monotonic() + ALONE
        return None

    def _go_on_without(self, error: Exception) -> None:
        self._opening = opening = replace(self._opening, run_id=self._opened(error))
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        self._file = _free(self._folder)
        self._append(without_secrets_in(asdict(opening)))
        if isinstance(error, HalfOpenError):
            self._note("parameters", values=dict(opening.params))
        log.warning(
            "tracking.uri=%s does not record any more (%s): the run goes on, and all of it is kept "
            "in %s; genattr sync records it later",
            opening.uri,
            without_secrets(first_line(error)),
            self._folder,
        )

    def _opened(self, error: Exception) -> str | None:
        """Return the run's id, if the store has opened it."""
        if isinstance(error, HalfOpenError):
            return error.run_id
        try:
            return self._run.run_id
        except Exception:
            return None

    def _note(self, name: str, **arguments: Any) -> None:
        self._append({"call": name, **without_secrets_in(arguments)})

    def _append(self, entry: Entry) -> None:
        assert self._file is not None, "only what the store does not take is noted"
        with writing(self._file):
            append(self._file, json.dumps(entry) + "\n")

    def _name(self, path: Path) -> str:
        """Name a file in the run's folder, so that the folder may move."""
        inside = path.absolute().is_relative_to(self._folder.absolute())
        return str(path.absolute().relative_to(self._folder.absolute()) if inside else path)

    def _kept_example(self, example: Example) -> Entry:
        photo, heatmap = map(self._kept_picture, (example.photo, example.heatmap))
        return {"title": example.title, "step": example.step, "photo": photo, "heatmap": heatmap}

    def _kept_picture(self, pixels: NDArray[np.uint8]) -> str:
        from PIL import Image

        assert self._file is not None, "only what the store does not take is noted"
        self._pictures += 1
        file = self._folder / PICTURES / f"{self._file.stem}-{self._pictures}.png"
        with writing(file):
            file.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(file)
        return self._name(file)


def reopened(tracking: Tracking, run_id: str | None, folder: Path) -> Run:
    """Return a run that was closed, to add to its record, or to what is kept of it.

    Parameters
    ----------
    run_id
        None: the store does not have it.
    """
    opening = Opening("", {}, {}, *tracking.place, run_id, has_ended=True)
    if run_id is not None:
        return Kept(tracking.reopen(run_id), folder, opening, is_begun=True)
    files = journals(folder, is_deep=False)
    return Kept(Run(), folder, opening, file=files[-1]) if files else Run()


def _free(folder: Path) -> Path:
    """Return the path of a new journal; earlier runs in the folder may have left some."""
    numbers = map(_number, folder.glob("record-*.*"))
    return folder / f"record-{max(numbers, default=0) + 1}.jsonl"


class Journal:
    """What a tracking store has not taken of a run.

    Parameters
    ----------
    file
        In the run's folder.

    Raises
    ------
    UserError
        If the file cannot be read.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.folder = file, file.parent
        lines = file.read_text(encoding="utf-8").split("\n")
        whole = lines[:-1]  # the last one is empty, or was being written when its process ended
        try:
            first, *self.entries = map(json.loads, whole)
            self.opening = Opening(**first)
        except (ValueError, TypeError) as error:
            raise UserError(f"{file}: not a record of genattr: {error}") from error

    @property
    def is_whole(self) -> bool:
        """Whether the run has ended, by its own doing."""
        return self.opening.has_ended or any(entry["call"] == "close" for entry in self.entries)

    def record(self, run: Run) -> None:
        """Record what is missing of an opened run; what was begun before goes on."""
        for number in range(self._position()["done"], len(self.entries)):
            self._repeat(run, self.entries[number])
            self._note(run, number + 1)
        if not self.is_whole:
            run.close("KILLED")
        self.file.rename(self.file.with_suffix(DONE))
        self.file.with_suffix(POSITION).unlink(missing_ok=True)

    def open(self, tracking: Tracking) -> Run:
        """Open the run, again if the store has begun with it."""
        one, position = self.opening, self._position()
        run_id = position["run_id"] or one.run_id or self._begun(tracking)
        if run_id is None:
            run = tracking.start(one.name, one.params, one.tags, one.started)
        else:
            run = tracking.reopen(run_id)
            if not one.has_ended:
                run.resume()
            run.parameters(one.params)  # a store may have gone away before it had them
        self._note(run, position["done"])
        return run

    def _begun(self, tracking: Tracking) -> str | None:
        """Return the id of a run that was opened, though nobody came to note that."""
        tags = {key: value for key, value in self.opening.tags.items() if key == RECORD}
        found = tracking.find(tags) if tags else []
        return found[-1] if found else None

    def _repeat(self, run: Run, entry: Entry) -> None:
        """Make one call again."""
        arguments = {key: value for key, value in entry.items() if key != "call"}
        match entry["call"]:
            case "parameters":
                run.parameters(arguments["values"])
            case "metrics":
                run.metrics(arguments["values"], arguments["step"], arguments["measured"])
            case "picture":
                run.picture(arguments["key"], arguments["step"], self._pixels(arguments["file"]))
            case "files":
                run.files([path for path in map(self._path, arguments["files"]) if path.is_file()])
            case "folder":
                run.folder(self._path(arguments["folder"]))
            case "examples":
                run.examples([self._example(one) for one in arguments["examples"]])
            case "tag":
                run.tag(arguments["key"], arguments["value"])
            case "describe":
                run.describe(arguments["text"])
            case "close":
                run.close(arguments["status"], arguments["ended"])

    def _example(self, one: Entry) -> Example:
        photo, heatmap = self._pixels(one["photo"]), self._pixels(one["heatmap"])
        return Example(one["title"], one["step"], photo, heatmap)

    def _path(self, name: str) -> Path:
        return self.folder / name

    def _pixels(self, name: str) -> NDArray[np.uint8]:
        from PIL import Image

        return np.asarray(Image.open(self._path(name)))

    def _position(self) -> Entry:
        file = self.file.with_suffix(POSITION)
        none = {"done": 0, "run_id": None}
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else none

    def _note(self, run: Run, done: int) -> None:
        write_text(
            self.file.with_suffix(POSITION), json.dumps({"done": done, "run_id": run.run_id})
        )


def journals(folder: Path, *, is_deep: bool = True) -> list[Path]:
    """Return the files of what is to be recorded of a folder's runs, a sweep before its members.

    Parameters
    ----------
    is_deep
        The folder has runs in folders of their own; else it is a run's.
    """
    files = folder.rglob(FILES) if is_deep else folder.glob(FILES)
    return sorted(files, key=lambda file: (len(file.parts), str(file.parent), _number(file)))


def _number(journal: Path) -> int:
    return int(journal.stem.rpartition("-")[2])


def not_recorded(folder: Path) -> str:
    """Say how much of a folder's runs is not recorded, and what to do; empty if all is."""
    count = len({file.parent for file in journals(folder)})
    return (
        f"Not recorded:  {count} run{'s' * (count > 1)}, which the tracking store did not take; "
        f"when it is back: {config.program()} sync {shlex.quote(str(folder))}"
        if count
        else ""
    )
