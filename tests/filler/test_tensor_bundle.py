"""Checkpoints that TensorFlow wrote, read without it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genattr.errors import UserError
from genattr.filler._deepfill.tensor_bundle import Entry, masked_crc32c, read_index, tensors
from tests.filler import seeded_deepfill as seeded
from tests.filler.bundles import TRAILER, block, index_file, table

INDEX = seeded.CARRIED / "snap-0.index"


def test_the_checksum_is_leveldbs() -> None:
    """Of LevelDB's own tests: the CRC-32C of 32 zeros is 8a9136aa."""
    crc = 0x8A9136AA
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    assert masked_crc32c(bytes(32)) == (rotated + 0xA282EAD8) % 2**32


def test_an_index_names_what_the_data_file_holds(tmp_path: Path) -> None:
    entries = read_index(INDEX)
    assert list(entries) == list(seeded.shapes())
    assert {name: entry.shape for name, entry in entries.items()} == seeded.shapes()
    sizes = [4 * int(np.prod(shape)) for shape in seeded.shapes().values()]
    offsets = np.cumsum([0, *sizes[:-1]]).tolist()
    assert [entry.offset for entry in entries.values()] == offsets
    found = tensors(seeded.write(tmp_path) / "snap-0.data-00000-of-00001", entries)
    for name, expected in seeded.variables().items():
        assert np.array_equal(found[name], expected)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle")


@settings(max_examples=100)
@given(at=st.integers(0, INDEX.stat().st_size - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed_wherever_it_matters(folder: Path, at: int, bit: int) -> None:
    data = bytearray(INDEX.read_bytes())
    data[at] ^= 1 << bit
    (folder / "flipped.index").write_bytes(data)
    try:
        found = read_index(folder / "flipped.index")
    except UserError:
        return
    assert found == read_index(INDEX)


@settings(max_examples=30)
@given(data=st.binary(max_size=300), length=st.integers(0, INDEX.stat().st_size - 1))
def test_what_is_no_index_is_refused(folder: Path, data: bytes, length: int) -> None:
    magic = struct.pack("<Q", 0xDB4775248B80FB57)
    for content in (data, data + magic, INDEX.read_bytes()[:length]):
        (folder / "other.index").write_bytes(content)
        with pytest.raises(UserError, match="is no index"):
            read_index(folder / "other.index")


def test_a_tensor_that_is_not_whole_is_named(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<f4")
    data = values.tobytes()
    entries = {"a": Entry((2,), 0, masked_crc32c(data[:8])), "b": Entry((2, 2), 8, 0)}
    file = tmp_path / "x.data"
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"x\.data: b is damaged or not there"):
        tensors(file, entries)
    entries["b"] = Entry((2, 2), 8, masked_crc32c(data[8:]))
    assert tensors(file, entries)["b"].tolist() == [[2, 3], [4, 5]]
    file.write_bytes(data[:-1])
    with pytest.raises(UserError, match="b is damaged"):
        tensors(file, entries)


def test_an_index_is_read_as_it_was_written(folder: Path) -> None:
    (folder / "two.index").write_bytes(index_file({"a/kernel": (2, 3), "a/bias": (3,)}))
    shapes = {name: entry.shape for name, entry in read_index(folder / "two.index").items()}
    assert shapes == {"a/kernel": (2, 3), "a/bias": (3,)}


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"a", b"\x80" * 2**20), (b"a" * 5000, b""), (b"a", b"\x08\x01\x12" + b"\xff" * 9 + b"\x7f")],
    ids=["a number without end", "a long name", "a field that is longer than the file"],
)
def test_whole_blocks_of_nonsense_are_refused_at_once(
    folder: Path, key: bytes, value: bytes
) -> None:
    (folder / "nonsense.index").write_bytes(table([block([(key, value)])]))
    with pytest.raises(UserError, match="is no index"):
        read_index(folder / "nonsense.index")


def test_a_block_is_read_once(folder: Path) -> None:
    one = block([(b"", b"")])
    (folder / "once.index").write_bytes(table([one]))
    assert read_index(folder / "once.index") == {}
    (folder / "twice.index").write_bytes(table([one], handles=[(0, len(one) - TRAILER)] * 2))
    with pytest.raises(UserError, match="is no index"):
        read_index(folder / "twice.index")
