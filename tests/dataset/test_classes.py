"""Names of classes: what a list holds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from torchvision.datasets import Places365

from genattr.dataset import places365_classes
from genattr.errors import UserError


def test_the_packaged_places_are_the_official_list() -> None:
    content = places365_classes.PACKAGED.read_bytes()
    _, official = Places365._CATEGORIES_META  # the MD5 that torchvision checks downloads by
    assert hashlib.md5(content.rstrip(b"\n")).hexdigest() == official


def test_places_have_readable_names_by_index() -> None:
    names = places365_classes.class_names()
    assert len(set(names)) == len(names) == 365
    assert names[1] == "airplane cabin"
    assert names[places365_classes.categories().index("/b/bus_station/indoor")] == (
        "bus station, indoor"
    )
    assert names[364] == "zen garden"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "no class in it"),
        ("/a/airfield 0\n/a/alley 2\n", r"class 1: '/a/alley 2' is not like '/a/airfield 1'"),
        ("airfield 0\n", "class 0: 'airfield 0' is not like"),
        ("/a/airfield\n", "class 0: '/a/airfield' is not like"),
    ],
)
def test_a_wrong_list_of_places_is_told(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "categories.txt").write_text(content)
    with pytest.raises(UserError, match=told):
        places365_classes.read_categories(tmp_path / "categories.txt")
