"""Which photos a selection takes of a dataset, by names and by count."""

from __future__ import annotations

from pathlib import Path

import pytest

from genattr import config
from genattr.errors import UserError
from genattr.memory import Room
from genattr.run.selection import Chosen, candidates, select
from tests.contract.options import built, compose_config

PHOTOS = built(compose_config("dataset=samples").dataset, "dataset")
IDS = list(PHOTOS.ids)


def chosen(**keys: object) -> Chosen:
    cfg = compose_config(*(f"selection.{key}={value}" for key, value in keys.items()))
    selection: config.Selection = cfg.selection
    found = select(
        PHOTOS, None, selection, None, Room("batch_size", 1), print, lambda photos, count: photos
    )
    assert candidates(PHOTOS, selection) == [*found.evaluation, *found.held_out]
    return found


def listed(tmp_path: Path, name: str, *positions: int) -> Path:
    file = tmp_path / f"{name}.txt"
    file.write_text("\n".join(IDS[position] for position in positions) + "\n\n", encoding="utf-8")
    return file


def test_named_photos_are_taken_in_the_datasets_order(tmp_path: Path) -> None:
    names = listed(tmp_path, "names", 4, 1, 3, 1)
    assert chosen(names=names, limit="null") == Chosen([1, 3, 4], [])
    assert chosen(names=names, limit=2) == Chosen([1, 3], [])
    assert chosen(names=names, limit=2, held_out=1) == Chosen([1, 3], [4])
    assert sorted(chosen(names=names, limit="null", sample=2).evaluation)[0] in (1, 3)


def test_held_out_photos_have_a_list_of_their_own(tmp_path: Path) -> None:
    own = listed(tmp_path, "own", 0, 2, 5)
    assert chosen(held_out_names=own, limit="null") == Chosen([1, 3, 4], [0, 2, 5])
    assert chosen(held_out_names=own, limit=1, held_out=2) == Chosen([1], [0, 2])
    names = listed(tmp_path, "names", 1, 4)
    keys = {"names": names, "held_out_names": own, "limit": "null"}
    assert chosen(**keys) == Chosen([1, 4], [0, 2, 5])
    assert chosen(**keys, **{"shard.index": 1, "shard.count": 2}) == Chosen([4], [2])
    with pytest.raises(UserError, match=r"selection\.held_out=4: only 3 photos are left"):
        chosen(**keys, held_out=4)


def test_no_photo_is_in_both_lists(tmp_path: Path) -> None:
    names, own = listed(tmp_path, "names", 1, 2), listed(tmp_path, "own", 2, 3)
    with pytest.raises(UserError, match=f"held_out_names=.*selection.names has {IDS[2]}, too"):
        chosen(names=names, held_out_names=own, limit="null")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"nobody\nknows\n", "the dataset has no nobody, knows; its names are like "),
        (b"\n \n", "there is no name in it; it should be a photo's name a line"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (None, "No such file or directory"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    file = tmp_path / "names.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError) as error:
        chosen(names=file, limit="null")
    assert str(error.value).startswith(f"selection.names={file}: {told}")
