"""Does a store of a million heatmaps stay quick? Looking up, counting, listing, pruning 1 %.

    python -m benchmarks.large_store --heatmaps 20000
    python -m benchmarks.large_store --contents --folder /scratch

The heatmaps are small, and made up: each has a key and inputs of its own, and is whole. They take
4 GB of a disk with blocks of 4 kB, and are deleted at the end. What is measured runs in a process
of its own; its peak memory is told beside that of the same command on a thousand heatmaps.
``--contents`` adds what opens each file, which takes minutes. The last line is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import torch

from genattr.store import archive
from genattr.store.heatmaps import HeatmapStore, Key
from genattr.types import Heatmap, Placement

ROOT = Path(__file__).resolve().parents[1]
FEW = 1_000  # heatmaps that the peaks of memory are compared with
LOOK_UPS = 20_000
OLD = 400 * 86_400  # seconds; one in a hundred is so old
SERIAL = "99999999"
LOCAL_CRC, CENTRAL_CRC = 14, 16  # where a zip file's headers have the checksum
COMMANDS = {
    "count": [],
    "page": ["list", "--after=80"],
    "prune": ["prune", "--older-than=300", "--yes"],
}
CONTENTS = {"groups": ["groups"], "other versions": ["prune", "--other-versions"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--heatmaps", type=int, default=1_000_000)
    parser.add_argument("--folder", help="where the store is made and deleted; default: /tmp")
    parser.add_argument("--contents", action="store_true", help="also what opens each file")
    parser.add_argument("--look-up", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.look_up is not None:
        return look_up(options.look_up, options.heatmaps)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        return measure(Path(folder) / "heatmaps", options.heatmaps, contents=options.contents)


def measure(root: Path, count: int, *, contents: bool) -> None:
    """Make a store, and time what is done with it."""
    few = min(count, FEW)
    make(root, range(few))
    small = timed(["genattr.store", "--store", str(root)])["MB"]
    start = time.perf_counter()
    make(root, range(few, count))
    seconds = time.perf_counter() - start
    result: dict[str, Any] = {"heatmaps": count, "MB of few": small}
    result["make"] = {"seconds": round(seconds, 1), "files/s": round((count - few) / seconds)}
    looking = ["benchmarks.large_store", "--look-up", str(root), "--heatmaps", str(count)]
    result["look-ups"] = json.loads(timed(looking)["told"])
    for name, words in {**(CONTENTS if contents else {}), **COMMANDS}.items():
        found = timed(["genattr.store", "--store", str(root), *words])
        print(f"{name:16} {found['seconds']:7.1f} s {found['MB']:6.0f} MB   {found['told']}")
        result[name] = found
    print(json.dumps(result))


def make(root: Path, numbers: range) -> None:
    """Write heatmaps, each by a copy of one in which the inputs are another photo's."""
    content, inputs = template()
    about = inputs.encode("utf-32-le")
    begin = content.index(about)
    serial = begin + about.index(SERIAL.encode("utf-32-le"))
    where = list(checksums(content))
    for number in numbers:
        key = Key(key_of(inputs, number))
        content[serial : serial + 4 * len(SERIAL)] = f"{number:08d}".encode("utf-32-le")
        struct.pack_into("<I", content, where[0], crc32(content[where[2] : where[3]]))
        struct.pack_into("<I", content, where[1], crc32(content[where[2] : where[3]]))
        path = root / key[:2] / f"{key}.npz"
        write(path, content)
        if number % 100 == 0:
            moment = time.time() - OLD
            os.utime(path, (moment, moment))


def write(path: Path, content: bytearray) -> None:
    try:
        path.write_bytes(content)
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        path.write_bytes(content)


def template() -> tuple[bytearray, str]:
    """Return a heatmap's file, not compressed, and the inputs that its key hashes."""
    made = Heatmap(torch.rand(4, 4), (0.0, 1.0), Placement(), "photo", 1, 0.5, 16, 0)
    component = {"class": "genattr.method.sp.SlidingPatch", "patch_size": 29, "stride": 3}
    parts = {"version": 1, "image": "0" * 64, "method": component, "image_id": SERIAL}
    about = Key.of(parts).about
    with tempfile.TemporaryDirectory() as folder:
        path = archive.write(Path(folder) / "one.npz", [made], 1, about)
        return stored(path), about


def stored(path: Path) -> bytearray:
    """Copy a zip file without compression."""
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return bytearray(copy.getvalue())


def checksums(content: bytearray) -> Iterator[int]:
    """Yield where the inputs' checksum stands, twice, and where what it sums begins and ends."""
    name = b"about.npy"
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        info = file.getinfo(name.decode())
    yield info.header_offset + LOCAL_CRC
    yield content.rindex(b"PK\x01\x02", 0, content.rindex(name)) + CENTRAL_CRC
    begin = info.header_offset + 30 + len(name)
    yield begin
    yield begin + info.file_size


def key_of(inputs: str, number: int) -> str:
    """Return the key of a heatmap by its number."""
    return Key.of(json.loads(inputs) | {"image_id": f"{number:08d}"})


def look_up(root: Path, count: int) -> None:
    """Look up heatmaps as a run does that goes on; every second is not there."""
    _, inputs = template()
    chosen = random.Random(0).sample(range(2 * count), min(LOOK_UPS, count))  # noqa: S311, made-up names
    keys = [key_of(inputs, number) for number in chosen]
    store, calls = HeatmapStore(root), Counter[str]()
    sys.addaudithook(lambda event, given: calls.update([event] if is_call(event, given) else []))
    start = time.perf_counter()
    found = sum(store.get(key) is not None for key in keys)
    seconds = time.perf_counter() - start
    assert found == sum(number < count for number in chosen)
    counted = {name: calls[name] for name in ("open", "os.listdir", "os.scandir")}
    told = {"keys": len(keys), "found": found, "seconds": seconds, "calls": counted}
    print(json.dumps(told))


def is_call(event: str, given: tuple[Any, ...]) -> bool:
    """Whether an event is a call of the system; Python announces the same opening twice."""
    return event != "open" or given[1] is None


def timed(words: list[str]) -> dict[str, Any]:
    """Run a module; return its wall seconds, its peak memory in MB, and its last line."""
    command = [sys.executable, "-m", *words]
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, cwd=ROOT, stdout=told)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, f"{' '.join(command)} failed"
        told.seek(0)
        last = told.read().splitlines()[-1]
    seconds = round(time.perf_counter() - start, 2)
    return {"seconds": seconds, "MB": round(usage.ru_maxrss / 1024), "told": last}


if __name__ == "__main__":
    main()
