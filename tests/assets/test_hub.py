"""Without a network, or with one that leads nowhere, a fetch ends soon and in one line."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from huggingface_hub import constants

from genattr.assets import http, hub
from genattr.assets.download import NotFetchedError, fetch
from genattr.classifier.timm import TimmClassifier
from genattr.errors import UserError
from tests.servers import Server

NOWHERE = "http://127.0.0.1:9"
MODEL = "resnet18.a1_in1k"


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECTED", 0.3)
    monkeypatch.setattr(http, "ANSWERED", 0.6)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def slow(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(0.5)
    handler.send_response(200)
    handler.end_headers()


def pretrained() -> TimmClassifier:
    none = dict.fromkeys(
        ("num_classes", "checkpoint", "checkpoint_entry", "input_size", "mean", "std", "labels")
    )
    return TimmClassifier(name=MODEL, pretrained=True, outputs="logits", **none)


def test_a_silent_resolver_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(2) or [])
    start = time.monotonic()
    assert not http.connects("https://huggingface.co")
    assert time.monotonic() - start < 1.5


def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    assert http.connects(server.url)
    monkeypatch.setenv("http_proxy", NOWHERE)
    assert not http.connects(server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert http.connects(server.url)


def test_a_slow_server_is_waited_for(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answer = slow
    assert http.answers(server.url)
    assert f"{server.url} is slow to answer" in capsys.readouterr().out


def test_a_server_that_is_silent_for_good(silent: str) -> None:
    assert http.connects(silent)
    assert not http.answers(silent)


def test_a_file_that_nobody_serves_is_told_at_once(cache: Path, server: Server) -> None:
    remote = server.file(url=f"{NOWHERE}/net.pth")
    with pytest.raises(NotFetchedError, match=r"could not be fetched \(no connection\): put the"):
        fetch(remote)


@pytest.mark.parametrize("address", ["nowhere", "silent"])
def test_the_weights_of_timm(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    silent: str,
    address: str,
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", silent if address == "silent" else NOWHERE)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    caplog.set_level("WARNING")  # also after a test that ran the command here
    classifier = pretrained()  # imports timm
    start = time.monotonic()
    with pytest.raises(UserError, match=rf"^the weights of {MODEL} could not be fetched \(no con"):
        classifier.build()
    assert time.monotonic() - start < 10  # on a busy machine; without care it is minutes
    assert not caplog.messages
    assert not constants.HF_HUB_OFFLINE


def test_a_hub_that_answers_is_asked(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    with hub.reached() as answers:
        assert answers
        assert not constants.HF_HUB_OFFLINE
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with hub.reached() as answers:
        assert not answers
    assert constants.HF_HUB_OFFLINE
