"""Names from a tracking server do not lead out of the folder of what is fetched."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from genattr.errors import UserError
from genattr.tracking import fetch

OUT = ["../../x", "/etc/x", "..", ".", "", "a/b", "a\\b", "a\0b"]


class Client:
    """A server whose members say that they have some name."""

    def __init__(self, member: str) -> None:
        self.member = member
        self.fetched: list[str] = []

    def search_experiments(self) -> list[Any]:
        return []

    def search_runs(self, *_: object, **__: object) -> list[Any]:
        data = SimpleNamespace(tags={"member": self.member})
        return [SimpleNamespace(info=SimpleNamespace(run_id="r"), data=data)]

    def download_artifacts(self, run_id: str, name: str, folder: str) -> None:
        self.fetched.append(folder)


def fetched(member: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    client = Client(member)
    monkeypatch.setattr(fetch, "_client", lambda _: client)
    fetch.download_members("sweep", "http://127.0.0.1", folder, ["summary.json"])
    return client.fetched


@pytest.mark.parametrize("name", OUT)
def test_a_name_that_is_a_path_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="names no file or folder inside of"):
        fetched(name, tmp_path / "in", monkeypatch)
    assert list(tmp_path.iterdir()) == []


def test_a_number_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetched("12", tmp_path, monkeypatch) == [str(tmp_path / "12")]
