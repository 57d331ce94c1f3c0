"""The reference of keys has every key of every option, and says what each means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from annotated_types import Ge
from omegaconf import OmegaConf

from website import reference, words

GROUPS = (*reference.COMPONENTS, *reference.PLAIN)
read = reference.option  # also while a test puts another in its place
OPTIONS = [(group, name) for group in GROUPS for name in reference.names(group)]


@cache
def option(group: str, name: str) -> reference.Option:
    return read(group, name)


def written(group: str, name: str) -> set[str]:
    """Return the keys in an option's own YAML file, without those of objects inside."""
    file = yaml.safe_load((reference.CONF / group / f"{name}.yaml").read_text())
    inside = file.get(group, file.get(name, file))
    return {key for key in inside if key not in ("defaults", "_target_")}


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_every_key_has_a_meaning_and_a_type(group: str, name: str) -> None:
    keys = option(group, name).keys
    assert not [key.name for key in keys if not (key.meaning and key.kind and key.default)]
    assert written(group, name) <= {key.name.partition(".")[0] for key in keys}


def test_every_key_at_the_top_has_a_meaning() -> None:
    keys = reference.settings()
    assert not [key.name for key in keys if not key.meaning]
    file = yaml.safe_load((reference.CONF / "config.yaml").read_text())
    assert {key.name for key in keys} == file.keys() - {"defaults", "hydra"}


def test_every_folder_of_options_has_a_page() -> None:
    folders = {path.name for path in reference.CONF.iterdir() if path.is_dir()} - {"hydra"}
    assert folders | {"hydra/launcher"} == {*GROUPS, *reference.PRESETS}


def test_the_pages_are_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "option", option)
    there = {path.name: path.read_text() for path in reference.TARGET.glob("*.md")}
    assert there == reference.pages(), "python -m website.reference writes them"


def test_inherited_keys_and_their_comments() -> None:
    keys = {key.name: key for key in option("selection", "paper").keys}
    assert keys["sample"].default == "`2000`"
    assert "at random" in keys["sample"].meaning
    assert keys["shard.count"].allowed == "at least 1"


def test_an_interpolation_is_shown_with_what_it_gives() -> None:
    keys = {key.name: key for key in option("method", "sp").keys}
    assert keys["stride"].default == "`3`, from `${protocol.stride}`"
    assert keys["stride"].allowed == "at least 1"


def test_a_key_that_takes_a_component_names_its_options() -> None:
    keys = {key.name: key for key in option("metric", "deletion").keys}
    assert "filler@metric.deletion.filler=" in keys["filler"].allowed
    assert keys["filler"].default == "`gray`"


@pytest.mark.parametrize(
    ("hint", "kind", "allowed"),
    [
        (bool, "true or false", ""),
        (Annotated[int, Ge(2)] | None, "whole number, or null", "at least 2"),
        (Literal["a", "b"], "word", "`a` or `b`"),
        (list[str], "list of texts", ""),
        (dict[str, int], "mapping", ""),
        (int | str, "whole number or text", ""),
        (Any, "any value", ""),
    ],
)
def test_types_in_words(hint: Any, kind: str, allowed: str) -> None:
    assert words.kind(hint) == kind
    assert words.allowed(hint) == allowed


@dataclass
class Base:
    """A base.

    Parameters
    ----------
    size, width
        In ``pixels``.
    """


@dataclass
class Derived(Base):
    """Another line.

    Parameters
    ----------
    size
        None: as large
        as can be.

    Raises
    ------
    UserError
        Never.
    """


def test_what_tells_only_the_meaning_of_null_goes_on_with_the_base() -> None:
    assert words.meanings(Derived) == {
        "size": "In `pixels`. `null`: as large as can be.",
        "width": "In `pixels`.",
    }


def test_values_as_yaml_has_them() -> None:
    node = OmegaConf.create({"a": None, "b": [1, 2], "c": list(range(9)), "d": ""})
    shown = [words.default(node, name) for name in "abcd"]
    assert shown == ["`null`", "`[1, 2]`", "9 values, the first is `0`", '`""`']


def test_comments_of_keys_and_inner_keys(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text("# An option\n# of two lines.\na: 1 # one\nb:\n  c: 2 # two\n")
    assert words.head(file) == "An option of two lines."
    assert words.comments(file) == {"a": "one", "b": "", "b.c": "two"}
