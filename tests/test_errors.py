"""Messages are one line, whatever they quote."""

from __future__ import annotations

import pickle

import pytest

from genattr.errors import BadPhotoError, ForeseenError, UserError, abridged, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\t\r", r"a\nb\t\r"),
        ("\x1b[31mred\x00", r"\x1b[31mred\x00"),
        ("caf\udce9 \u2028 \u202e", r"caf\udce9 \u2028 \u202e"),
        ("café 🐦 鳥\u3000", "café 🐦 鳥\u3000"),
    ],
)
def test_what_a_terminal_would_not_show_is_written_as_python_does(text: str, shown: str) -> None:
    assert one_line(text) == shown


@pytest.mark.parametrize("kind", [UserError, BadPhotoError])
def test_foreseen_errors_are_one_line_also_from_another_process(kind: type[ForeseenError]) -> None:
    error = kind("a\nb" + "c" * 9999 + "d")
    assert str(error).startswith(r"a\nbccc")
    assert str(error).endswith("cccd")
    assert len(str(error)) <= 1200
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_names_in_a_list_are_shortened_each() -> None:
    told = abridged(["a" * 9999, "b", "c", "d"])
    assert told.endswith("aaa, b, c and 1 more")
    assert len(told) < 250
