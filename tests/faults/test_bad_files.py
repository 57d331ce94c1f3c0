"""Files of strangers: each ends in a result or in one clear line, soon and in little memory."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra.core.global_hydra import GlobalHydra
from hypothesis import given, settings
from hypothesis import strategies as st

from genattr.__main__ import main
from genattr.dataset.photo import PhotoPreprocessing, read_labels, read_mask, read_photo
from genattr.errors import BadPhotoError
from tests.conftest import REPO, photo_file
from tests.faults import photos
from tests.faults.conftest import Tally
from tests.faults.generated import GENERATED, in_time
from tests.faults.readers import COCO, COCO_TEXTS, READERS, WHOLE, XML, check_line


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Allow this process a gigabyte and a half more than it has."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + 1_500_000_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


NUMBERS = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4), b"\0\0\0\x80")
WHERE = st.floats(0, 1)
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), WHERE, st.binary(min_size=1, max_size=4)),
        st.tuples(st.just("put"), WHERE, st.sampled_from(NUMBERS)),
        st.tuples(st.just("insert"), WHERE, st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("cut"), WHERE, st.integers(1, 40)),
        st.tuples(st.just("end"), WHERE, st.none()),
        st.tuples(st.just("repeat"), WHERE, st.integers(1, 60)),
    ),
    min_size=1,
    max_size=5,
)


def edited(content: bytes, edits: list[tuple[str, float, Any]]) -> bytes:
    """Return a content after edits at places that are shares of its length."""
    for kind, share, what in edits:
        at = int(share * len(content))
        head, tail = content[:at], content[at:]
        if kind == "put":
            content = head + what + tail[len(what) :]
        elif kind == "insert":
            content = head + what + tail
        elif kind == "cut":
            content = head + tail[what:]
        elif kind == "end":
            content = head
        else:
            content = head + tail[:what] * what + tail
    return content


def mended(content: bytes) -> bytes:
    """Return a PNG whose checksums fit, as far as its parts can be told."""
    if not content.startswith(b"\x89PNG"):
        return content
    at, parts = 8, [content[:8]]
    while len(content) - at >= 12:
        size = int.from_bytes(content[at : at + 4], "big")
        name, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        parts.append(photos.chunk(name, data))
        at += 12 + size
    return b"".join(parts)


ENDINGS = (".png", ".jpg", ".tif", ".webp", ".gif", "")


def opened(file: Path) -> str:
    """Read a photo in each way; how it ended."""
    told = "a result"
    try:
        image = read_photo(file)
        sample = PhotoPreprocessing(**WHOLE).sample(image, 8, "x", None, None)
        assert sample.image.shape == (3, 8, 8)
        assert 0 <= sample.image.min() <= sample.image.max() <= 1
    except BadPhotoError as error:
        check_line(str(error))
        told = "a line" if str(file) in str(error) else "a line without a name"
    for read in (read_mask, read_labels):
        try:
            read(file)
        except BadPhotoError as error:
            check_line(str(error))
    return told


@pytest.mark.usefixtures("little_memory")
@pytest.mark.filterwarnings("ignore")
def test_generated_photos(tmp_path: Path, tally: Tally) -> None:
    kinds = photos.valid()
    counts = {"a result": 0, "a line": 0}

    @settings(max_examples=3500, **GENERATED)
    @given(st.sampled_from(sorted(kinds)), EDITS, st.booleans(), st.sampled_from(ENDINGS))
    def read(kind: str, edits: list[Any], is_mended: bool, ending: str) -> None:
        content = edited(kinds[kind], edits)
        file = tmp_path / f"photo{ending}"
        file.write_bytes(mended(content) if is_mended else content)
        with in_time():
            counts[opened(file)] += 1

    read()
    for outcome, count in counts.items():
        assert count > 100
        tally(f"generated photos that end in {outcome}", count)
    assert sum(counts.values()) >= 2000


@pytest.mark.parametrize("kind", photos.valid())
def test_every_kind_of_photo_is_read_and_none_of_it_that_ends_early_is(
    tmp_path: Path, kind: str, tally: Tally
) -> None:
    content = photos.valid()[kind]
    file = tmp_path / "photo"
    file.write_bytes(content)
    assert opened(file) == "a result"
    for length in {0, 1, 8, len(content) // 4, len(content) // 2}:
        file.write_bytes(content[:length])
        with in_time():
            assert opened(file) == "a line" or length > 8
        tally("photos that end early")


CELLS = (
    *(
        "",
        " ",
        "a.png",
        "b.png",
        "tench",
        "7",
        "1e400",
        "-1e400",
        "nan",
        "inf",
        "-3",
        "0",
        "1e-400",
    ),
    *("1_000", "0x10", "٣", "²", "9" * 19, "9" * 5000, "x\ny", "x\r", "\0", '"', "'", "1,5", "1;5"),
    *("\ufeff", "\u2028", "\x85", "\x1b[31m", "🐦", "n01440764", "../../etc/passwd", "-", "=1+1"),
    *("n01440764 1 2 3 4", "n01440764 4 3 2 1", "/a/airfield 0", "Places365_val_00000001.jpg 3"),
    *("0.5", "0.2 0.2 0.2 0.2", "3 0.5 0.5 0.2 0.2", "1e308", "-1e308", "10000000", "x" * 140_000),
)
HEADERS = (
    ("image", "label"), ("label", "image"), ("image", "label", "label"), ("Image", "LABEL", "note"),
    ("image", "x0", "y0", "x1", "y1"), ("image", "x0", "y0", "x1", "y1", "label"),
    ("image", "cx", "cy", "w", "h"), ("image", "x", "y", "width", "height", "class"),
    ("ImageId", "PredictionString"), ("image",), (), ("",), ("\ufeffimage", "label"),
)  # fmt: skip
CODES = ("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Return a table as a file, with whatever may be wrong about one."""
    cell = st.one_of(st.sampled_from(CELLS), st.text(max_size=5))
    rows = draw(st.lists(st.lists(cell, max_size=7), max_size=6))
    plain = draw(st.lists(st.sampled_from(PLAIN_ROWS), max_size=3))
    stream = io.StringIO()
    way = draw(st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
    mark = draw(st.sampled_from((",", ",", ",", ";", "\t", " ")))
    end = draw(st.sampled_from(("\n", "\r\n", "\r")))
    writer = csv.writer(stream, quoting=way, delimiter=mark, lineterminator=end)
    writer.writerow(draw(st.sampled_from(HEADERS)))
    writer.writerows(draw(st.permutations([*rows, *plain])))
    code = draw(st.sampled_from(CODES))
    return stream.getvalue().encode(code, errors="replace")


PLAIN_ROWS = (
    ["a.png", "3"], ["b.png", "tench"], ["a.png", "1", "2", "30", "14"],
    ["a.png", "1", "2", "30", "14", "tench"], ["b.png", "0.5", "0.5", "0.2", "0.2"],
)  # fmt: skip
PARTS = ("images", "annotations", "categories", "id", "file_name", "bbox", "image_id", "name")
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**500), 10**500), st.floats(), st.text(max_size=4),
    st.sampled_from(["a.png", "tench", 1, 7]),
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(PARTS), inner, max_size=4),
    ),
    max_leaves=12,
)


@st.composite
def coco_files(draw: st.DrawFn) -> bytes:
    """Return COCO's JSON in which some places hold what they should not."""
    coco = json.loads(json.dumps(COCO))
    for _ in range(draw(st.integers(1, 3))):
        part = draw(st.sampled_from(["images", "annotations", "categories"]))
        entry = draw(st.sampled_from(coco[part] or [0])) if type(coco[part]) is list else coco
        if isinstance(entry, dict) and entry is not coco and draw(st.integers(0, 5)):
            entry[draw(st.sampled_from(sorted(entry) or ["id"]))] = draw(JSON)
        else:
            coco[part] = draw(JSON)
    return json.dumps(coco).encode()


def nested(depth: int) -> dict[str, bytes]:
    """Return files that nest deeply."""
    return {
        "boxes.json": b'{"images": ' + b"[" * depth + b"]" * depth + b', "annotations": []}',
        "boxes.xml": b"<object>" * depth + b"</object>" * depth,
        "annotation": b"<object>" * depth + b"</object>" * depth,
        "scores": b'{"version": 1, "scores": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}",
    }


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
DOCTYPES = (
    f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>',
    '<!DOCTYPE x [<!ENTITY l9 SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
    '<?xml version="1.0" encoding="nonsense"?>',
    '<?xml version="1.0" encoding="utf-7"?>',
    '<?xml version="1.0" encoding="utf-16"?>',
)
SIZES = ("0", "-40", "nan", "inf", "1e400", "forty", "", "40 ", "9" * 500)


@st.composite
def annotations(draw: st.DrawFn) -> bytes:
    """Return an XML annotation with what may be wrong about one."""
    text = XML.decode()
    for old in draw(st.lists(st.sampled_from(["40", "20", "1<", "29", "14", "n01440764"]))):
        new = draw(st.sampled_from(SIZES)) + "<" * old.endswith("<")
        text = text.replace(f">{old}", f">{new}", 1)
    head = draw(st.sampled_from(("", "", "", *DOCTYPES)))
    if head.startswith("<!"):
        text = text.replace("n01440764", "&l9;")
    return (head + text).encode(draw(st.sampled_from(("utf-8", "utf-8-sig", "utf-16"))))


def mutated(name: str) -> st.SearchStrategy[bytes]:
    """Return edited copies of a reader's valid files."""
    return st.builds(edited, st.sampled_from(READERS[name].seeds()), EDITS)


LABEL_FILES = {name: 1200 if name == "labels" else 500 for name in
               ("labels", "classes", "places", "categories", "truth")}  # fmt: skip
BOX_FILES = {
    "boxes.csv": (tables(), 900), "boxes.json": (coco_files(), 900), "boxes.txt": (tables(), 500),
    "boxes.xml": (annotations(), 500), "annotation": (annotations(), 500),
    "solution": (tables(), 500),
}  # fmt: skip
OTHER_FILES = ("index", "heatmap", "scores", "checkpoint.pth", "checkpoint.safetensors")


def generated(name: str, files: st.SearchStrategy[bytes], count: int, folder: Path) -> int:
    """Read so many generated files; return how many were."""
    done = 0

    @settings(max_examples=count, **GENERATED)
    @given(files)
    def read(content: bytes) -> None:
        nonlocal done
        with in_time():
            READERS[name].answer(folder, content)
        done += 1

    read()
    return done


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("name", LABEL_FILES)
def test_generated_label_files(name: str, tmp_path: Path, tally: Tally) -> None:
    count = generated(name, tables() | mutated(name), LABEL_FILES[name], tmp_path)
    tally("generated files of labels and classes", count)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("name", BOX_FILES)
def test_generated_box_files(name: str, tmp_path: Path, tally: Tally) -> None:
    made, most = BOX_FILES[name]
    tally("generated files of boxes", generated(name, made | mutated(name), most, tmp_path))


@pytest.mark.usefixtures("little_memory")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OTHER_FILES)
def test_generated_checkpoints_and_heatmaps(name: str, tmp_path: Path, tally: Tally) -> None:
    count = generated(name, mutated(name), 300, tmp_path)
    tally("generated files of checkpoints, heatmaps and scores", count)


@pytest.mark.parametrize("name", READERS)
def test_valid_files_end_in_a_result(name: str, tmp_path: Path) -> None:
    for content in READERS[name].seeds():
        assert READERS[name].answer(tmp_path, content) is None


FOUND = [
    ("labels", b"image,label\r\na.pn\xef\xbb\xbfimage,label\r\na.png,0\r\n"),
    ("classes", b"tench.h\x08"),
    ("places", b"PlkcPlae0c0\x00\x00\x00\x00\x00r"),
    ("places", b"\x01{ 2\nRl_v 3\n\x01{ 3"),
    ("categories", b"/./\x04"),
    ("truth", b"\n490\x03#"),
    ("boxes.csv", b"image,x,y,width,height\na.p\x01\x00,1,2,30,28\n"),
    ("boxes.json", COCO_TEXTS[0].replace(b"a.png", b"a.\x7fpng")),
    ("boxes.txt", b"3 0.5 0.: 03.2  0.5 0.50\x00\x00\x00 "),
    ("boxes.xml", XML.replace(b"01440764", b"\t" * 60).replace(b"29", b"2\n9")),
    ("annotation", XML.replace(b"29", b"2\n9")),
    ("solution", b"ImageId,PredictionString\na,n01440764 1 2 30 \x01\x00\n"),
]


@pytest.mark.parametrize(("name", "content"), FOUND, ids=[name for name, _ in FOUND])
def test_what_the_fuzzer_found(name: str, content: bytes, tmp_path: Path, tally: Tally) -> None:
    assert READERS[name].answer(tmp_path, content)
    tally("files that the fuzzer found")


@pytest.mark.parametrize("name", nested(1))
@pytest.mark.parametrize("depth", [900, 100_000])
def test_files_that_nest_deeply(name: str, depth: int, tmp_path: Path, tally: Tally) -> None:
    with in_time():
        READERS[name].answer(tmp_path, nested(depth)[name])
    tally("files that nest deeply")


CHEAP = (
    "classifier=timm", "classifier.name=test_resnet", "classifier.pretrained=false",
    "method=center", "metric=[deletion]", "threads=1", "dataset=folder",
)  # fmt: skip
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run the command in this process: its exit code, and what it says."""

    def run(*words: str) -> tuple[int, str]:
        places = [f"store={tmp_path}/heatmaps", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]
        places += [f"hydra.run.dir={tmp_path}/run"]
        monkeypatch.setattr(sys, "argv", ["run.py", *CHEAP, *places, *words])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        GlobalHydra.instance().clear()
        try:
            main()
            code: Any = 0
        except SystemExit as stopped:
            code = stopped.code or 0
        told = capsys.readouterr()
        text = told.out + told.err
        return (1, f"{text}{code}\n") if isinstance(code, str) else (code, text)

    return run


GOOD = {
    "a.png": lambda: photos.valid()["PNG of RGBA"],
    "mislabeled.jpg": lambda: photos.valid()["PNG of LA"],
    "animated.gif": lambda: photos.valid()["animated GIF"],
    "cmyk.jpg": lambda: photos.valid()["JPEG of CMYK"],
    "deep.png": lambda: photos.valid()["PNG of 3 x 16 bits"],
    "line\nbreak.png": lambda: photos.valid()["PNG of L"],
    "\x1b[31mred.png": lambda: photos.valid()["PNG of 1"],
    f"{'long' * 60}.png": lambda: photos.valid()["one pixel"],
    f"{'deep/' * 60}column.jpg": lambda: photos.valid()["a column"],
    "[bold]brackets[/].png": lambda: photos.valid()["PNG of P"],
    "$dollars$ $\\frac.png": lambda: photos.valid()["PNG of I;16"],
    "-m.png": lambda: photos.valid()["a row"],
    "odd\udce9.png": lambda: photos.valid()["turned 6"],
}
BAD = {
    "empty.png": b"",
    "text.png": b"this is no photo\n",
    "program.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nquit\n",
    "truncated.jpg": photos.saved(photos.picture(size=(90, 90)), "JPEG")[:600],
    "huge.png": photos.bomb(30_000, 30_000),
}


def lay_out(folder: Path) -> list[str]:
    """Write good and bad photos and what only looks like one; the names of what is bad."""
    for name, content in {**{name: make() for name, make in GOOD.items()}, **BAD}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "dangling.png").symlink_to("nowhere.png")
    (folder / "round.png").symlink_to("round.png")
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket.png"))
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "folder.png").mkdir()
    return [*BAD, "dangling.png", "round.png", "pipe.png", "socket.png", "device.png"]


def test_a_run_over_good_and_bad_photos_explains_all_that_are_good(
    tmp_path: Path, command: Command, tally: Tally
) -> None:
    bad = lay_out(tmp_path / "photos")
    with in_time(60):
        code, told = command(f"dataset.root={tmp_path}/photos")
    assert code == 0
    found = pd.read_parquet(tmp_path / "run" / "per_image.parquet")
    assert set(found["image_id"]) == {name.replace("\udce9", "\\xe9") for name in GOOD}
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert len(summary["failed"]) == len(bad)
    for name in bad:
        (line,) = [line for line in summary["failed"] if f"/{name}: " in line]
        check_line(line)
        assert line in " ".join(told.split()) or f"/{name}" in told
    assert "folder.png (a folder)" in told
    assert "Traceback" not in told
    tally("photos of a run that are good", len(GOOD))
    tally("photos of a run that cannot be read", len(bad))


def test_a_photo_that_vanishes_or_changes_while_a_run_goes_on_is_skipped(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    for name in "abcd":
        photo_file(tmp_path / "photos" / f"{name}.png")
    load = PhotoPreprocessing.sample

    def sabotaged(self: PhotoPreprocessing, *given: Any) -> Any:
        (tmp_path / "photos" / "b.png").unlink(missing_ok=True)
        (tmp_path / "photos" / "c.png").write_bytes(b"\x89PNG")
        return load(self, *given)

    monkeypatch.setattr(PhotoPreprocessing, "sample", sabotaged)
    code, told = command(f"dataset.root={tmp_path}/photos")
    assert code == 0
    assert "b.png: No such file or directory" in " ".join(told.split())
    found = pd.read_parquet(tmp_path / "run" / "per_image.parquet")
    assert set(found["image_id"]) == {"a.png", "d.png"}
    tally("photos that vanish or change in a run", 2)


WRONG: dict[str, tuple[str, bytes, str]] = {
    "labels in UTF-16": ("labels.csv", "image,label\na.png,3\n".encode("utf-16"), "(line 1: "),
    "labels in Latin-1": ("labels.csv", b"image,label\na.png,caf\xe9\n", "(line 2: "),
    "a label of many digits": ("labels.csv", b"image,label\na.png," + b"9" * 5000, "label"),
    "a gigantic field": ("labels.csv", b"image,label\na.png," + b"x" * 200_000, "(line 2: field"),
    "a line break": ("labels.csv", b'image,label\n"a\nb.png",3\n', r"photos: a\nb.png"),
    "two columns of labels": ("labels.csv", b"image,label,label\na.png,1,2\n", "several columns"),
    "other delimiters": ("labels.csv", b"image;label\na.png;3\n", "commas separate its columns"),
    "infinity": ("boxes.csv", b"image,x0,y0,x1,y1\na.png,0,0,1e400,5\n", "line 2: a box"),
    "no number": ("boxes.csv", b"image,x0,y0,x1,y1\na.png,0,0,five,5\n", "line 2: a box"),
    "a cell too many": ("boxes.csv", b"image,x0,y0,x1,y1\na.png,0,0,5,5,5\n", "line 2: more cells"),
    "a list": ("boxes.json", b"[]", "not COCO JSON"),
    "no JSON": ("boxes.json", b"{", "not COCO JSON"),
    "deep JSON": ("boxes.json", nested(100_000)["boxes.json"], "not COCO JSON"),
    "a long number": (
        "boxes.json",
        json.dumps(COCO).replace("29", "9" * 500).encode(),
        "annotations[0]: ",
    ),
    "not a number": (
        "boxes.json",
        json.dumps(COCO).replace("29", "NaN").encode(),
        "annotations[0]",
    ),
    "a negative size": ("boxes.json", json.dumps(COCO).replace("29", "-29").encode(), "bbox [1, 2"),
    "no category": (
        "boxes.json",
        json.dumps(COCO).replace('"category_id": 7', '"category_id": 8').encode(),
        "annotations[0]: no 8",
    ),
    "a billion laughs": ("boxes/a.xml", f"{DOCTYPES[0]}<x>&l9;</x>".encode(), "document type"),
    "a foreign entity": ("boxes/a.xml", f"{DOCTYPES[1]}<x>&l9;</x>".encode(), "document type"),
    "an unknown encoding": ("boxes/a.xml", f"{DOCTYPES[3]}<x/>".encode(), "a.xml: not the boxes"),
    "a photo of no size": ("boxes/a.xml", XML.replace(b">40<", b">nan<"), "nan x 20 pixels"),
    "a line of YOLO": ("boxes/a.txt", b"0 0.5 0.5 0.2 0.2\n0 0.5 0.5 nan 0.2\n", "line 2: a box"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_of_labels_or_boxes_is_told_in_one_line(
    name: str, tmp_path: Path, command: Command, tally: Tally
) -> None:
    place, content, told = WRONG[name]
    for photo in ("a.png", "b.png"):
        photo_file(tmp_path / "photos" / photo)
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    top = place.split("/")[0]
    words = [f"dataset.root={tmp_path}/photos", f"dataset.{top.split('.')[0]}={tmp_path}/{top}"]
    with in_time(60):
        code, text = command(*words, "target=label" if top == "labels.csv" else "seed=0")
    line = text.strip().splitlines()[-1]
    assert code == 1
    assert line.startswith("genattr: ")
    assert str(tmp_path / top) in line or name == "a label of many digits"
    assert told in line
    check_line(line)
    assert "Traceback" not in text
    tally("wrong files of labels and boxes, by the command")


READ = """
import re, sys, time
from pathlib import Path
from genattr.dataset.photo import PhotoPreprocessing, read_photo
from genattr.errors import BadPhotoError
status = Path("/proc/self/status")
peak = lambda: int(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1]) // 1024
before, began = peak(), time.monotonic()
try:
    read_photo(Path(sys.argv[1]))
    told = "read"
except BadPhotoError as error:
    told = str(error)
print(peak() - before, time.monotonic() - began, told, sep="\\n")
"""
LARGE: dict[str, tuple[Callable[[], bytes], str]] = {
    "1 bit": (lambda: photos.bomb(30_000, 30_000), "save it smaller, or allow more by"),
    "8 bits": (lambda: photos.bomb(30_000, 30_000, 8), "save it smaller, or allow more by"),
    "gray of 16 bits": (lambda: photos.bomb(10_000, 10_000, 16), "read"),
    "color of 16 bits": (lambda: photos.bomb(6_000, 6_000, 16, 2), "read"),
    "color with transparency": (lambda: photos.bomb(10_000, 10_000, 8, 6), "read"),
}


def large(folder: Path, content: bytes, **variables: str) -> tuple[int, float, str]:
    """Read a photo in a process: MB that it took, seconds, and what it said."""
    (folder / "large.png").write_bytes(content)
    words = [sys.executable, "-W", "ignore", "-c", READ, str(folder / "large.png")]
    done = subprocess.run(
        words, cwd=REPO, env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    megabytes, seconds, told = done.stdout.strip().split("\n")
    return int(megabytes), float(seconds), told


@pytest.mark.parametrize("kind", LARGE)
def test_a_small_file_of_many_pixels_takes_no_gigabytes(
    kind: str, tmp_path: Path, tally: Tally
) -> None:
    make, expected = LARGE[kind]
    megabytes, seconds, told = large(tmp_path, make())
    assert expected in told
    assert megabytes < (1500 if expected == "read" else 300)
    assert seconds < 60
    tally("small files of many pixels")


def test_the_limit_of_pixels_is_lifted_by_an_environment_variable(tmp_path: Path) -> None:
    content = photos.bomb(2_000, 1_000)
    assert large(tmp_path, content, GENATTR_MAX_PIXELS="2000000")[2] == "read"
    told = large(tmp_path, content, GENATTR_MAX_PIXELS="1000000")[2]
    assert "large.png: " in told
    assert "GENATTR_MAX_PIXELS" in told


def test_a_million_rows_are_read_in_seconds(tmp_path: Path, tally: Tally) -> None:
    numbers = range(1_000_000)
    rows = "".join(f"{'ab'[n % 2]}.png,{n % 7},{n % 5},{9 + n % 9},14,{n % 10}\n" for n in numbers)
    with in_time(60):
        told = READERS["boxes.csv"].answer(tmp_path, f"image,x0,y0,x1,y1,label\n{rows}".encode())
    assert told is None
    tally("rows of one file of boxes", len(numbers))
