"""The commands beside running: ``genattr doctor``, ``genattr list``, ``genattr compare``, ...

Fast to import; a command's module is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from genattr.errors import UserError, did_you_mean, nearest, require


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes
    ----------
    module
        Whose ``main`` takes the words after the command's name.
    sentence
        What it does, for ``--help``.
    """

    module: str
    sentence: str


COMMANDS = {
    "doctor": Command("genattr.commands.doctor", "what is installed, cached, and would be fetched"),
    "list": Command("genattr.commands.options", "the options of a group, a sentence each"),
    "report": Command("genattr.report.__main__", "one page about finished sweeps or runs"),
    "compare": Command("genattr.commands.compare", "finished runs against each other, by photo"),
    "sync": Command("genattr.commands.sync", "record what a tracking store that was away missed"),
    "store": Command("genattr.store.__main__", "list, verify and prune stored heatmaps"),
}


def named(words: Sequence[str]) -> str | None:
    """Return the command that the first word names; None if it is a flag or an override.

    Raises
    ------
    UserError
        If the word is neither.
    """
    first = words[0] if words else ""
    if first in COMMANDS:
        return first
    for word in words:
        require(word not in COMMANDS, f"{word}: a command comes first, and its options behind it")
    if not first or "=" in first or first.startswith(("-", "~")):
        return None
    close = nearest(first, COMMANDS)
    if "." in first and not close:
        return None
    found = did_you_mean(close) or f"; there is {', '.join(COMMANDS)}."
    raise UserError(f"{first}: no such command{found} Settings are written key=value")


def start(name: str, words: Sequence[str]) -> None:
    """Run a command with the words after its name."""
    import_module(COMMANDS[name].module).main(words)


def overview() -> str:
    """Return a line for each command, for ``--help``."""
    return "\n".join(f"  {name:9}{entry.sentence}" for name, entry in COMMANDS.items())
