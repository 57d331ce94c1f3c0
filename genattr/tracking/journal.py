"""Runs whose tracking store goes away: what it does not take is kept, and recorded later.

A run's folder then has ``record-1.jsonl``: the run's name, tags and the like in the first line, and
a call that is to be repeated in each further one. Pictures lie beside it in ``record/``.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genattr.errors import UserError, first_line
from genattr.files import write_text, writing
from genattr.told import without_secrets, without_secrets_in
from genattr.tracking.base import Example, HalfOpenError, Run, Tracking
from genattr.tracking.sqlite import patiently

log = logging.getLogger(__name__)
FILES, PICTURES = "record*.jsonl", "record"
DONE, POSITION = ".synced", ".position"  # endings of a journal that was recorded, and of its place

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
    """

    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    uri: str = ""
    experiment: str = ""
    run_id: str | None = None
    started: float = 0.0


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
    """

    def __init__(self, run: Run, folder: Path, opening: Opening, *, is_begun: bool = False) -> None:
        self._run, self._folder, self._is_begun = run, folder, is_begun
        self._opening = replace(opening, started=time.time())
        self._file: Path | None = None  # the journal, once the store is away
        self._pictures = 0

    @property
    def run_id(self) -> str | None:  # type: ignore[override]
        run_id: str | None = self._try(lambda: self._run.run_id)
        return run_id

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        plain = {key: float(value) for key, value in values.items()}
        self._pass(lambda: self._run.metrics(values, step), "metrics", values=plain, step=step)

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
        try:
            return patiently(call)
        except UserError as error:
            if not self._is_begun:
                raise
            self._go_on_without(error)
        except Exception as error:
            self._go_on_without(error)
        return None

    def _go_on_without(self, error: Exception) -> None:
        opening = replace(self._opening, run_id=self._opened(error))
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
        with writing(self._file), self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")

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


def reopened(tracking: Tracking, run_id: str, folder: Path) -> Run:
    """Return a run that was closed, to add to its record, or to what is kept of it."""
    opening = Opening("", {}, {}, *tracking.place, run_id)
    return Kept(tracking.reopen(run_id), folder, opening, is_begun=True)


def _free(folder: Path) -> Path:
    """Return the path of a new journal; earlier runs in the folder may have left some."""
    return folder / f"record-{len(list(folder.glob('record-*.*'))) + 1}.jsonl"


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
        try:
            first, *self.entries = [
                json.loads(line) for line in lines[:-1]
            ]  # the last is not whole
            self.opening = Opening(**first)
        except (ValueError, TypeError) as error:
            raise UserError(f"{file}: not a record of genattr: {error}") from error

    @property
    def is_whole(self) -> bool:
        """Whether the run has ended, by its own doing."""
        return any(entry["call"] == "close" for entry in self.entries)

    def record(self, tracking: Tracking) -> str | None:
        """Record what is missing, and return the run's id; begun before, it goes on."""
        position = self._position()
        run = self._opened(tracking, position)
        for number, entry in enumerate(self.entries):
            if number >= position["done"]:
                self._repeat(run, entry)
                self._note(run, number + 1)
        if not self.is_whole:
            run.close("KILLED")
        self.file.rename(self.file.with_suffix(DONE))
        self.file.with_suffix(POSITION).unlink(missing_ok=True)
        return run.run_id

    def _opened(self, tracking: Tracking, position: Entry) -> Run:
        run_id = position["run_id"] or self.opening.run_id
        if run_id is not None:
            run = tracking.reopen(run_id)
            run.resume()
            return run
        one = self.opening
        run = tracking.start(one.name, one.params, one.tags, one.started)
        self._note(run, 0)
        return run

    def _repeat(self, run: Run, entry: Entry) -> None:
        """Make one call again."""
        arguments = {key: value for key, value in entry.items() if key != "call"}
        match entry["call"]:
            case "parameters":
                run.parameters(arguments["values"])
            case "metrics":
                run.metrics(arguments["values"], arguments["step"])
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


def journals(folder: Path) -> Iterator[Journal]:
    """Yield what is to be recorded of the runs in a folder, a sweep before its members."""
    files = sorted(folder.rglob(FILES), key=lambda file: (len(file.parts), file))
    yield from map(Journal, files)
