"""The README's pictures: each with the command that draws it, and small enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from benchmarks import gallery
from benchmarks.gallery import GALLERY, IMAGES, LARGEST, Picture, keep
from tests.conftest import REPO

README = (REPO / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("picture", GALLERY, ids=lambda picture: picture.name)
def test_it_stands_in_the_readme_with_its_commands(picture: Picture) -> None:
    assert f"(docs/images/{picture.name})" in README
    for command in picture.commands:
        assert f"$ {command}" in README


@pytest.mark.parametrize("picture", GALLERY, ids=lambda picture: picture.name)
def test_it_is_small_and_wide_enough(picture: Picture) -> None:
    file = IMAGES / picture.name
    assert file.stat().st_size < LARGEST
    with Image.open(file) as image:
        assert image.width >= 850


def test_a_picture_is_kept_as_it_was_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "IMAGES", tmp_path)
    Image.new("RGB", (900, 30), "teal").save(tmp_path / "made.png")
    assert keep(Picture("a.jpg", (), "made.png"), tmp_path) == (tmp_path / "a.jpg").stat().st_size
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.size == (900, 30)
