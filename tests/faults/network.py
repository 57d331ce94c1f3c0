"""A network file system as it is on a bad day, between Python and the files below one folder.

It raises what NFS raises: a stale handle for a file that another machine has just replaced, "no
such file" for a rename that was sent twice and done the first time, input/output errors; reads come
in pieces, or end too early. All of it passes: the same again may succeed.

    python -m tests.faults.network FOLDER SEED MODULE [ARGUMENT ...]

runs a module with it, as another machine, and prints as its last line what was done.
"""

from __future__ import annotations

import builtins
import errno
import io
import json
import os
import random
import runpy
import socket
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from genattr.store import shared

SHARE = 0.05  # of the operations that go wrong


class Network:
    """Goes between, for the files below a folder.

    Parameters
    ----------
    seed
        Decides what goes wrong.
    """

    def __init__(self, folder: str, seed: int) -> None:
        self._folder = os.path.realpath(folder) + os.sep
        self._random = random.Random(seed)
        self.done: Counter[str] = Counter()

    def install(self) -> None:
        """Take the place of what opens and renames files."""
        self._open = io.open
        builtins.open = io.open = self.open  # type: ignore[assignment]
        for name in ("replace", "utime", "unlink", "mkdir", "stat"):
            setattr(os, name, self._failing(name, getattr(os, name)))

    def has(self, path: Any) -> bool:
        """Whether a path is below the folder."""
        is_path = isinstance(path, str | os.PathLike)
        return is_path and os.path.abspath(path).startswith(self._folder)

    def fails(self, what: str, *codes: int) -> None:
        """Raise one of some errors now and then."""
        self.done[what] += 1
        if self._random.random() < SHARE:
            code = self._random.choice(codes)
            self.done[f"{errno.errorcode[code]} of {what}"] += 1
            raise OSError(code, os.strerror(code))

    def ends(self) -> bool:
        """Whether a read finds the end too early."""
        early = self._random.random() < SHARE / 50
        self.done["reads that end early"] += early
        return early

    def open(self, path: Any, mode: str = "r", *given: Any, **named: Any) -> Any:
        if not self.has(path):
            return self._open(path, mode, *given, **named)
        self.fails("open", errno.ESTALE, errno.EIO)
        raw = File(self, path, mode.replace("b", ""), named.get("opener"))
        if "b" not in mode:
            assert "r" not in mode
            return io.TextIOWrapper(io.BufferedWriter(raw), named.get("encoding") or given[1])
        buffers = {"r": io.BufferedReader, "w": io.BufferedWriter}
        return io.BufferedRandom(raw) if "+" in mode else buffers[raw.mode[0]](raw)

    def _failing(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def failing(*given: Any, **named: Any) -> Any:
            if not self.has(given[0]):
                return call(*given, **named)
            self.fails(name, errno.ESTALE, errno.EIO)
            result = call(*given, **named)
            if name == "replace":
                self.fails("rename, done", errno.ENOENT)
            return result

        return failing


class File(io.FileIO):
    """A file on the network."""

    def __init__(self, network: Network, path: Any, mode: str, opener: Any) -> None:
        super().__init__(path, mode, opener=opener)
        self._network = network

    def readinto(self, buffer: Any) -> int:
        self._network.fails("read", errno.ESTALE, errno.EIO)
        if self._network.ends():
            return 0
        piece = memoryview(buffer)[: 1 + len(buffer) // 2]
        return super().readinto(piece)

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self.read(1 << 16), b""))

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return self.readall()
        content = bytearray(size)
        return bytes(content[: self.readinto(content)])

    def write(self, content: Any) -> int:
        self._network.fails("write", errno.EIO)
        return super().write(content)


def main() -> None:
    folder, seed, module, *arguments = sys.argv[1:]
    network = Network(folder, int(seed))
    network.install()
    shared.WAITS = (0.0, 0.001) * 5  # what fails passes soon
    socket.gethostname = lambda: f"host{seed}"
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")
    print(json.dumps(network.done))


if __name__ == "__main__":
    main()
