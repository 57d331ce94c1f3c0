"""Where the weights of DeepFill come from: verified tensor by tensor, never half there."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import torch

from genattr import components
from genattr.errors import UserError
from genattr.filler._deepfill import checkpoint as deepfill_checkpoint
from genattr.filler._deepfill.checkpoint import RELEASES, official
from genattr.filler._deepfill.tensor_bundle import read_index
from genattr.filler.deepfill import DeepFill
from tests.contract.options import built, compose_config
from tests.filler import seeded_deepfill as seeded
from tests.servers import Server, hang, left_in, not_found, send, send_range

FILES = ["snap-0.data-00000-of-00001", "snap-0.index"]
KERNEL = "inpaint_net/conv11/kernel"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeded.write(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def as_official(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the seeded weights be the release of Places2."""
    real, ours = official, read_index(seeded.CARRIED / "snap-0.index")
    monkeypatch.setattr(
        deepfill_checkpoint, "official", lambda name: ours if name == "places2" else real(name)
    )


def build(*overrides: str) -> DeepFill:
    keys = [f"filler.{override}" for override in overrides]
    return built(compose_config("filler=deepfill", *keys).filler, "filler")


def test_the_releases_have_the_layout_of_the_seeded_checkpoint() -> None:
    layout = {n: (e.shape, e.offset) for n, e in read_index(seeded.CARRIED / FILES[1]).items()}
    for release in RELEASES:
        entries = official(release)
        assert {name: (entry.shape, entry.offset) for name, entry in entries.items()} == layout
    assert sum(entry.size for entry in official("imagenet").values()) == 14_406_168


def test_no_tensor_is_the_same_in_two_releases() -> None:
    sums = [entry.checksum for release in RELEASES for entry in official(release).values()]
    assert len(set(sums)) == len(sums) == 3 * 84


@pytest.mark.usefixtures("as_official")
def test_a_local_folder_is_verified_and_loaded(checkpoint: Path) -> None:
    filler = build("weights=places2", f"checkpoint={checkpoint}")
    expected = seeded.network().state_dict()
    found = filler.network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_is_not_official_is_refused_unless_said_so(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserError) as caught:
        _ = build(f"checkpoint={checkpoint}").network
    assert str(caught.value) == (
        f"{checkpoint}/snap-0.index is not the official imagenet release of DeepFill "
        "(filler.weights=imagenet): inpaint_net/allconv11/bias differs; filler.weights=null takes "
        "any checkpoint of this network"
    )
    _ = build("weights=null", f"checkpoint={checkpoint}").network
    assert "weights of DeepFill are whole, but no official release" in caplog.text


@pytest.mark.usefixtures("as_official")
def test_another_official_release_is_recognized(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserError, match=r"allconv11/bias differs; filler\.weights=places2 does$"):
        _ = build("weights=imagenet", f"checkpoint={checkpoint}").network
    _ = build("weights=null", f"checkpoint={checkpoint}").network
    assert "are the official places2 release" in caplog.text


@pytest.mark.parametrize("weights", ["places2", "null"])
@pytest.mark.usefixtures("as_official")
def test_a_damaged_tensor_is_named(tmp_path: Path, weights: str) -> None:
    damage(seeded.write(tmp_path) / FILES[0])
    with pytest.raises(UserError, match=f"{FILES[0]}.*{KERNEL} (differs|is damaged)"):
        _ = build(f"weights={weights}", f"checkpoint={tmp_path}").network


def damage(data: Path) -> None:
    """Flip a bit in the middle of a kernel."""
    content = bytearray(data.read_bytes())
    content[official("imagenet")[KERNEL].offset + 4711] ^= 16
    data.write_bytes(content)


def test_a_checkpoint_of_another_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read_index(seeded.CARRIED / "snap-0.index")
    del found[KERNEL]
    monkeypatch.setattr(deepfill_checkpoint, "read_index", lambda _: found)
    seeded.write(tmp_path)
    with pytest.raises(UserError, match=f"is not of DeepFill-v1: it lacks {KERNEL}$"):
        _ = build("weights=null", f"checkpoint={tmp_path}").network


def test_a_checkpoint_may_have_another_name(tmp_path: Path) -> None:
    seeded.write(tmp_path, "snap-900")
    whole_folder = build("weights=null", f"checkpoint={tmp_path}")
    assert whole_folder.prefix == tmp_path / "snap-900"
    seeded.write(tmp_path, "snap-1000")
    told = re.escape(f"filler.checkpoint={tmp_path}: which of snap-1000, snap-900? Add the name")
    with pytest.raises(UserError, match=told):
        _ = build("weights=null", f"checkpoint={tmp_path}").prefix
    chosen = build("weights=null", f"checkpoint={tmp_path}/snap-1000")
    assert chosen.prefix == tmp_path / "snap-1000"
    assert chosen.fingerprint == whole_folder.fingerprint


@pytest.mark.parametrize("missing", FILES)
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    (seeded.write(tmp_path) / missing).unlink()
    told = f"filler.checkpoint={tmp_path}: there is no {missing}, or the like"
    with pytest.raises(UserError, match=f"^{re.escape(told)}$"):
        _ = build("weights=null", f"checkpoint={tmp_path}").prefix


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["weights=null"], r"filler\.weights=null needs filler\.checkpoint=<folder>"),
        (
            ["weights=flowers"],
            r"filler\.weights=flowers: must be imagenet, places2 or celeba, or null$",
        ),
    ],
)
def test_wrong_keys_are_told(overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        build(*overrides)


def test_the_same_weights_have_one_identity_wherever_they_come_from(
    checkpoint: Path, tmp_path: Path
) -> None:
    elsewhere = seeded.write(tmp_path, "snap-7")
    here, there = (
        components.identity(build("weights=null", f"checkpoint={folder}"))
        for folder in (checkpoint, elsewhere)
    )
    assert here == there
    assert re.fullmatch(r"[0-9a-f]{16}", here["weights"])


Answer = Callable[[BaseHTTPRequestHandler], None]


def serve(checkpoint: Path, answer: Callable[[BaseHTTPRequestHandler, bytes], None]) -> Answer:
    """Answer with the file that was asked for."""
    return lambda handler: answer(
        handler, (checkpoint / handler.path.rpartition("/")[2]).read_bytes()
    )


def remote(server: Server) -> DeepFill:
    return build("weights=places2", f"source.url={server.url}/model_logs")


@pytest.mark.usefixtures("as_official")
def test_a_release_is_fetched_once_with_its_license(
    server: Server, cache: Path, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = serve(checkpoint, send)
    with caplog.at_level(logging.INFO, "genattr"):
        fetched = remote(server).fingerprint
    assert fetched == build("weights=places2", f"checkpoint={checkpoint}").fingerprint
    assert left_in(cache) == ["deepfill_places2"]
    assert left_in(cache / "deepfill_places2") == FILES
    assert caplog.text.count("license: CC BY-NC 4.0") == 2
    assert "unverified" not in caplog.text
    assert remote(server).fingerprint == fetched
    folder = "/model_logs/release_places2_256"
    assert server.asked == [f"{folder}/{FILES[1]}", f"{folder}/{FILES[0]}"]


@pytest.mark.usefixtures("as_official")
def test_a_download_that_broke_off_goes_on(server: Server, cache: Path, checkpoint: Path) -> None:
    def break_off(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        send_range(handler, content, 5_000_000)

    server.answer = serve(checkpoint, break_off)
    with pytest.raises(UserError, match="could not be fetched"):
        _ = remote(server).prefix
    assert left_in(cache / "deepfill_places2") == [f".{FILES[0]}.part", FILES[1]]
    server.answer = serve(checkpoint, send_range)
    assert remote(server).prefix == cache / "deepfill_places2" / "snap-0"
    assert left_in(cache / "deepfill_places2") == FILES
    assert server.ranges[:2] == [None, None]
    assert 4_900_000 < int(server.ranges[2][len("bytes=") : -1]) <= 5_000_000


@pytest.mark.usefixtures("as_official")
def test_a_flipped_bit_is_found_in_its_tensor_and_not_kept(
    server: Server, cache: Path, tmp_path: Path
) -> None:
    server.answer = serve(seeded.write(tmp_path), send)
    damage(tmp_path / FILES[0])
    told = rf"gives not the official places2 release of DeepFill: {KERNEL} differs; the right one"
    with pytest.raises(UserError, match=told):
        _ = remote(server).prefix
    assert left_in(cache / "deepfill_places2") == [FILES[1]]
    seeded.write(tmp_path)
    index = bytearray((tmp_path / FILES[1]).read_bytes())
    index[1000] ^= 1
    (tmp_path / FILES[1]).write_bytes(index)
    (cache / "deepfill_places2" / FILES[1]).unlink()
    with pytest.raises(UserError, match="its table of tensors differs"):
        _ = remote(server).prefix
    assert left_in(cache / "deepfill_places2") == []


def test_the_weights_of_another_release_are_not_taken(
    server: Server, cache: Path, checkpoint: Path
) -> None:
    server.answer = serve(checkpoint, send)
    with pytest.raises(UserError, match=r"official places2 release .*allconv11/bias differs"):
        _ = remote(server).prefix
    assert left_in(cache / "deepfill_places2") == []


@pytest.mark.parametrize(("answer", "why"), [(not_found, "HTTP 404"), (hang, "no answer in time")])
def test_without_the_network_both_files_are_named(
    server: Server, cache: Path, answer: Answer, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genattr.assets.download.fetch.__defaults__", ((1.0, 0.3),))
    server.answer = answer
    with pytest.raises(UserError) as caught:
        _ = remote(server).prefix
    assert str(caught.value) == (
        f"the places2 weights of DeepFill could not be fetched ({why}): put snap-0.index and "
        f"snap-0.data-00000-of-00001 from {server.url}/model_logs/release_places2_256 into "
        f"{cache}/deepfill_places2, or give filler.checkpoint=<folder with both> (license: CC "
        "BY-NC 4.0)"
    )
    assert left_in(cache / "deepfill_places2") == []


@pytest.mark.usefixtures("as_official")
def test_files_placed_by_hand_need_no_network(cache: Path) -> None:
    folder = cache / "deepfill_places2"
    folder.mkdir(parents=True)
    seeded.write(folder)
    filler = build("weights=places2", "source.url=http://127.0.0.1:1/nothing")
    assert filler.fingerprint == build("weights=null", f"checkpoint={folder}").fingerprint
    damage(folder / FILES[0])
    with pytest.raises(UserError, match=f"{folder}/{FILES[0]} is not the official places2 release"):
        _ = build("weights=places2").prefix
    assert left_in(folder) == FILES
