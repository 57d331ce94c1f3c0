"""What is told holds no credentials, and nothing that moves a terminal's cursor."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from genattr import told

SECRETS = {
    "http://ann:hunter2@host:5000/x": "http://ann:***@host:5000/x",
    "tracking.uri=postgresql+psycopg2://u:hunter2@db.example:5432/runs?x=1": (
        "tracking.uri=postgresql+psycopg2://u:***@db.example:5432/runs?x=1"
    ),
    "no server at http://ann:hun@ter2@host/ now": "no server at http://ann:***@host/ now",
    "https:/ann:hunter2@host/x": "https:/ann:***@host/x",
    "https://hunter2@github.com/o/r": "https://***@github.com/o/r",
    "tracking.password=hunter2": "tracking.password=***",
    "+a.api_key=hunter2 +b=1": "+a.api_key=***",
    "b=1,a.token=hunter2": "b=1,a.token=***",
    "https://host/x?access_key=hunter2&y=1": "https://host/x?access_key=***&y=1",
    "s3/x?X-Amz-Date=1&X-Amz-Signature=hunter2&y=1": "s3/x?X-Amz-Date=***&X-Amz-Signature=***&y=1",
    "https://blob/x?sv=1&sig=hunter2%3D": "https://blob/x?sv=1&sig=***",
    "Authorization: Bearer hunter2.hunter2": "Authorization: Bearer ***",
    "401 for hf_hunter2hunter2hunter2": "401 for hf_***",
    "  secret: hunter2 and more": "  secret: ***",
    "{'token': 'hunter2'}": "{'token': ***",
    "- '+c.Token=hunter2'": "- '+c.Token=***",
}
PLAIN = (
    "http://localhost:5000/photo@2x.png",
    "postgresql://ann@db/runs",
    "sqlite:////a b/x.db",
    "token: null",
    "tracking.token: no such key of tracking=mlflow; there is uri",
    "method.tokens_seen is 3",
    "a basic classifier, authorized by its bearers, as sk-learn has it",
    "a mail to ann@example.org",
)


@pytest.mark.parametrize("text", SECRETS)
def test_credentials_become_stars(text: str) -> None:
    assert told.without_secrets(text) == SECRETS[text]
    assert "hunter2" not in str(told.without_secrets_in({"a": [text], "password": ["hunter2"]}))


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_stay(text: str) -> None:
    assert told.without_secrets(text) == text


def test_those_of_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdef")
    assert told.without_secrets("401 for hf_abcdef") == "401 for ***"


def test_a_file_of_somebody_else_is_cleaned(tmp_path: Path) -> None:
    file = tmp_path / "overrides.yaml"
    file.write_text("- tracking.uri=http://a:hunter2@h\n- seed=1\n")
    told.clean(file)
    told.clean(tmp_path / "none.yaml")
    assert file.read_text() == "- tracking.uri=http://a:***@h\n- seed=1\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\x1b[2Jphoto.png", "\\x1b[2Jphoto.png"),
        ("a\nOK: b.png", "a\\nOK: b.png"),
        ("gnp.\u202eexe.png", "gnp.\\u202eexe.png"),
        ("a\udcffb", "a\\udcffb"),
        ("Vögel 鳥 🐦.png", "Vögel 鳥 🐦.png"),
    ],
)
def test_a_name_does_not_move_the_cursor(text: str, line: str) -> None:
    assert told.one_line(text) == line


def test_what_many_components_log_alike_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.StreamHandler(sys.stdout)
    ours, another = logging.getLogger("genattr.filler"), logging.getLogger("another")
    logging.root.addHandler(handler)
    try:
        with told.once():
            for log in (ours, ours, another, another):
                log.warning("%s: a license", log.name)
        ours.warning("%s: a license", ours.name)
    finally:
        logging.root.removeHandler(handler)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{name}: a license" for name in ("genattr.filler", *["another"] * 2, ours.name)
    ]
