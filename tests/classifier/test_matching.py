"""Classes are matched by name, whatever their order, and never by chance."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genattr.classifier.matching import are_numbered, match, named
from genattr.dataset.imagenet_classes import class_names, synsets
from genattr.errors import UserError

words = st.text("abcdefghij", min_size=1, max_size=6)


@given(st.lists(words, unique=True, min_size=1), st.integers(0, 99))
def test_another_order_is_found_again(names: list[str], seed: int) -> None:
    others = random.Random(seed).sample(names, len(names))
    found = match(names, others)
    assert all(others[found[index]] == name for index, name in enumerate(names))


def test_writing_does_not_matter() -> None:
    others = ["Tench, Tinca tinca", "great_white shark", "goldfish"]
    assert match(["goldfish", "Great White  Shark", "tench"], others) == {0: 2, 1: 1, 2: 0}
    assert match(["tinca tinca"], others) == {0: 0}


def test_what_is_not_there_or_not_alone_does_not_match() -> None:
    assert match(["cat", "dog"], ["dog", "horse"]) == {1: 0}
    assert match(["crane"], ["crane", "crane"]) == {}
    assert match(["crane", "crane"], ["crane", "dog"]) == {}
    assert match(["crane", "crane"], ["crane", "crane"]) == {0: 0, 1: 1}


def test_names_that_share_a_later_part_are_others() -> None:
    assert match(["car, red"], ["bus, red"]) == {}
    assert match(["tench, fish"], ["Tench, Tinca", "goldfish, fish"]) == {0: 0}


def test_synset_ids_are_imagenets_names() -> None:
    reverse = list(reversed(synsets()))
    found = match(list(class_names()), reverse)
    assert found[0] == 999
    assert all(place == 999 - index for index, place in found.items())
    assert len(found) > 990


def test_a_class_by_name_or_index() -> None:
    names = ["red", "green", "2", "blue"]
    assert [named(text, names) for text in ("red", "Green", "3", "0")] == [0, 1, 3, 0]
    assert named("2", names) == 2
    with pytest.raises(UserError, match="no class is called pink; there is red, green, 2 and 1"):
        named("pink", names)
    with pytest.raises(UserError, match="1 may be class 0 and 1"):
        named("1", ["1", "2"])


def test_numbered_names_say_nothing() -> None:
    assert are_numbered(["class 0", "class 1"])
    assert not are_numbered(["class 1", "class 0"])
