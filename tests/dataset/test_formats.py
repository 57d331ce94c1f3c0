"""Photos of every ending that can be read are found, and what is left out is told once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from genattr.dataset import formats
from genattr.dataset.formats import Found, photos_in, suffixes
from genattr.dataset.photo import read_photo
from genattr.errors import UserError
from genattr.training import reading
from tests.conftest import photo_file

KINDS = {
    ".jfif": "JPEG", ".jpe": "JPEG", ".JPG": "JPEG", ".apng": "PNG", ".dib": "DIB", ".tga": "TGA",
    ".pnm": "PPM", ".avif": "AVIF", ".jp2": "JPEG2000", ".j2k": "JPEG2000", ".jpx": "JPEG2000",
    ".mpo": "MPO", ".webp": "WEBP", ".tiff": "TIFF", ".gif": "GIF", ".bmp": "BMP",
}  # fmt: skip
CODECS = {"AVIF": "avif", "JPEG2000": "jpg_2000"}
PLAINLY_OTHER = (
    "labels.csv", "notes.txt", "coco.json", "a.xml", "README.md", "README", ".DS_Store",
    "._a.heic", ".cache/a.heic", "data.yaml", "film.mov", "a.zip", "a.tar.gz", "a.npy", "LICENSE",
    "Thumbs.db", "desktop.ini", "make.py", "paper.pdf", "IMG_1.AAE",
)  # fmt: skip


@pytest.mark.parametrize("ending", KINDS)
def test_every_kind_is_found_and_read(tmp_path: Path, ending: str) -> None:
    kind = KINDS[ending]
    if kind in CODECS and not features.check(CODECS[kind]):
        pytest.skip(f"this Pillow lacks {kind}")
    Image.new("RGB", (40, 20), (200, 30, 30)).save(tmp_path / f"a{ending}", format=kind)
    found = photos_in(tmp_path)
    assert found == Found([tmp_path / f"a{ending}"], {})
    gaps = np.asarray(read_photo(found.photos[0])).astype(int) - (200, 30, 30)
    assert np.abs(gaps).max() <= 4


def test_a_kind_without_its_codec_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != "jpg_2000")
    suffixes.cache_clear()
    for name in ("a.jp2", "b.png"):
        (tmp_path / name).touch()
    try:
        assert photos_in(tmp_path) == Found([tmp_path / "b.png"], {".jp2": 1})
    finally:
        suffixes.cache_clear()


def test_what_is_left_out_is_told_in_one_line_by_count_and_ending(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photo_file(tmp_path / "a.png")
    for name in ("a.CR2", "sub/b.cr2", "c", "sub/d", "e", "f.psd", *PLAINLY_OTHER):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    photo_file(tmp_path / "root" / "a.png")
    for _ in range(2):
        photos_in(tmp_path / "root").tell("dataset.root=root")
    told = "dataset.root=root: left out 6 files: 3 without ending, 2 .cr2, 1 .psd"
    assert [record.message for record in caplog.records] == [told]


def test_plain_folders_tell_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    photo_file(tmp_path / "a.png")
    for name in PLAINLY_OTHER:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    photos_in(tmp_path).tell(f"dataset.root={tmp_path}")
    assert not caplog.records


def test_many_endings_are_abridged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Found([tmp_path], {f".x{n}": 1 for n in range(5)}).tell("root=many")
    assert caplog.records[-1].message == (
        "root=many: left out 5 files: 1 .x0, 1 .x1, 1 .x2 and 2 more"
    )


def test_a_folder_of_unreadable_kinds_names_their_endings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.psd", "b.psd", "c.raw", "d.txt"):
        (tmp_path / name).touch()
    with pytest.raises(
        UserError, match=r"^root=x: no photo in it \(\.apng, .*\); it has 2 \.psd, 1 \.raw$"
    ):
        photos_in(tmp_path).tell("root=x")


@pytest.mark.parametrize("installed", [True, False])
def test_heic_needs_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    if installed:
        heif = pytest.importorskip("pillow_heif")
        heif.register_heif_opener()
        Image.new("RGB", (64, 32), (200, 30, 30)).save(tmp_path / "a.heic", quality=95)
        assert photos_in(tmp_path).photos == [tmp_path / "a.heic"]
        assert read_photo(tmp_path / "a.heic").size == (64, 32)
        return
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    known = {
        ending: kind for ending, kind in Image.registered_extensions().items() if kind != "HEIF"
    }
    monkeypatch.setattr(Image, "registered_extensions", lambda: known)
    (tmp_path / "a.HEIC").touch()
    for cached in (suffixes, formats.register):
        cached.cache_clear()
    try:
        with pytest.raises(
            UserError, match=r"; it has 1 \.heic \(pip install pillow-heif reads HEIC\)$"
        ):
            photos_in(tmp_path).tell("root=x")
    finally:
        suffixes.cache_clear()


def test_training_leaves_out_what_it_writes_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photo_file(tmp_path / "a.png")
    photo_file(tmp_path / "trained" / "picture.png")
    (tmp_path / "trained" / "odd.ending").touch()
    (tmp_path / "b.heif2").touch()
    assert reading.find(tmp_path, tmp_path / "trained") == [tmp_path / "a.png"]
    assert caplog.records[-1].message == f"root={tmp_path}: left out 1 file: 1 .heif2"


def test_hidden_photos_do_not_count(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png", ".ipynb_checkpoints/a-checkpoint.png"):
        photo_file(tmp_path / name)
    found = photos_in(tmp_path)
    assert [path.name for path in found.photos] == ["a.png"]
    assert not found.left_out


def test_what_cannot_be_looked_into_is_told_and_pipes_are_left_to_be_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo_file(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "b.png").symlink_to("nowhere")
    (tmp_path / "c.png").mkdir()
    photo_file(tmp_path / "d.png" / "e.png")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refused(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    found = photos_in(tmp_path)
    names = ["a.png", "b.png", "d.png/e.png", "pipe.png"]
    assert [path.relative_to(tmp_path).as_posix() for path in found.photos] == names
    assert found.left_out == {}
    found.tell("dataset.root=x")
    told = caplog.messages[-1]
    assert told.startswith("dataset.root=x: could not read ")
    assert f"{tmp_path}/closed (Permission denied)" in told
    assert f"{tmp_path}/c.png (a folder)" in told
