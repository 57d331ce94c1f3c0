"""The commands of docs/other-packages.md choose what there is."""

from __future__ import annotations

import re
from itertools import product

import pytest

from genattr.method.base import Method
from genattr.metric.base import Metric
from tests.conftest import REPO
from tests.contract.options import built, compose_config
from tests.test_docs import CONSOLE

PAGE = (REPO / "docs" / "other-packages.md").read_text()
COMMANDS = [line for block in CONSOLE.findall(PAGE) for line in block.splitlines()]


def members(command: str) -> list[tuple[str, ...]]:
    """Return the overrides of each run that a command makes."""
    words = [word.strip('"') for word in command.split() if "=" in word]
    values = [re.split(r",(?![^\[{]*[\]}])", word.partition("=")[2]) for word in words]
    keys = [word.partition("=")[0] for word in words]
    return [
        tuple(f"{key}={value}" for key, value in zip(keys, chosen, strict=True))
        for chosen in product(*values)
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_choose_what_there_is(command: str) -> None:
    for package in ("captum", "pytorch_grad_cam", "quantus"):
        pytest.importorskip(package)
    titles = []
    for overrides in members(command):
        cfg = compose_config(*overrides)
        titles.append(built(cfg.method, "method").title)
        assert isinstance(built(cfg.method, "method"), Method)
        for name, node in cfg.metric.items():
            assert isinstance(built(node, f"metric.{name}"), Metric)
    assert len(set(titles)) == len(titles)
