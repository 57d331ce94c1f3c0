"""The photos for choices and those for claims: disjoint, and as the rule says."""

from __future__ import annotations

from pathlib import Path

from benchmarks import split
from tests.contract.options import built, compose_config


def test_the_lists_are_what_the_rule_gives() -> None:
    lists = {part: split.names_of(part) for part in split.PARTS}
    assert [len(names) for names in lists.values()] == [100, 200]
    assert not set(lists["choices"]) & set(lists["claims"])
    assert split.divided(lists["claims"] + lists["choices"]) == lists
    assert max(map(split.digest, lists["choices"])) < min(map(split.digest, lists["claims"]))


def test_the_lists_are_of_the_shared_photos(imagenet_val_300: Path) -> None:
    cfg = compose_config("dataset=imagenet", f"dataset.root={imagenet_val_300}")
    ids = built(cfg.dataset, "dataset").ids
    assert split.divided(ids) == {part: split.names_of(part) for part in split.PARTS}
    found = [split.indices(ids, part) for part in split.PARTS]
    assert sorted([*found[0], *found[1]]) == split.indices(ids, None) == list(range(300))


def test_photos_of_a_part_keep_their_order() -> None:
    first, second = split.names_of("choices")[:2]
    assert split.indices([second, "elsewhere", first], "choices") == [0, 2]
