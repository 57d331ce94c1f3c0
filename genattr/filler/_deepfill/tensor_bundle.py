"""Reads and verifies TensorFlow checkpoints without TensorFlow.

A checkpoint is an ``.index`` (a sorted table in LevelDB's format, of protocol buffers) beside a
``.data`` file of raw tensors. Each block of the table and each tensor has a checksum.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genattr.errors import UserError, require

MAGIC = 0xDB4775248B80FB57
FOOTER = 48  # bytes at the end of an index
FLOAT32 = 1  # TensorFlow's number of the type
LONGEST_NAME = 4096  # bytes
LAST_SHIFT = 63  # of the tenth byte of a number, which has no more
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # how protocol buffers write a field


@dataclass(frozen=True)
class Entry:
    """A float32 tensor in a data file.

    Attributes
    ----------
    shape
        Its shape.
    offset
        Where it begins, in bytes.
    checksum
        Masked CRC-32C of its bytes.
    """

    shape: tuple[int, ...]
    offset: int
    checksum: int

    @property
    def size(self) -> int:
        """Bytes."""
        return 4 * math.prod(self.shape)

    def bytes_in(self, data: bytes) -> bytes | None:
        """Return the tensor's bytes in a data file; None if they are missing or damaged."""
        content = data[self.offset : self.offset + self.size]
        whole = len(content) == self.size and masked_crc32c(content) == self.checksum
        return content if whole else None


def masked_crc32c(data: bytes) -> int:
    """Return the CRC-32C as LevelDB stores it: rotated, plus a constant."""
    import google_crc32c

    value = google_crc32c.value(data)
    return int((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_index(file: Path) -> dict[str, Entry]:
    """Read the index of the float32 tensors of a checkpoint, not sliced and in one data file.

    Raises
    ------
    UserError
        If the file is no index, or damaged.
    """
    data = file.read_bytes()
    try:
        return dict(_entries(data))
    except (ValueError, IndexError, struct.error) as error:
        raise UserError(f"{file} is no index of a TensorFlow checkpoint, or damaged") from error


def tensors(file: Path, entries: Mapping[str, Entry]) -> dict[str, NDArray[np.float32]]:
    """Read tensors from a data file; UserError names the first one that is not whole."""
    data, arrays = file.read_bytes(), {}
    for name, entry in entries.items():
        piece = entry.bytes_in(data)
        require(piece is not None, f"{file}: {name} is damaged or not there")
        arrays[name] = np.frombuffer(piece or b"", "<f4").reshape(entry.shape)
    return arrays


def _entries(data: bytes) -> Iterator[tuple[str, Entry]]:
    """Yield the tensors of an index, leaving out those of other types and those in slices."""
    footer = data[-FOOTER:]
    if len(footer) < FOOTER or struct.unpack("<Q", footer[-8:])[0] != MAGIC:
        raise ValueError("no table")
    _, position = _handle(footer, 0)
    root, _ = _handle(footer, position)
    end = 0
    for _, handle in _records(_block(data, *root)):
        (offset, size), _ = _handle(handle, 0)
        if offset < end:
            raise ValueError("blocks that overlap")
        end = offset + size + 1
        for key, value in _records(_block(data, offset, size)):
            entry = _entry(value) if key else None
            if entry:
                yield key.decode(), entry


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Read the offset and size of a block; also return the position after the handle."""
    offset, position = _varint(data, position)
    size, position = _varint(data, position)
    return (offset, size), position


def _block(data: bytes, offset: int, size: int) -> bytes:
    """Cut out a block, after comparing its checksum; compressed ones are refused."""
    block, end = data[offset : offset + size + 1], offset + size + 1
    (checksum,) = struct.unpack("<I", data[end : end + 4])
    if masked_crc32c(block) != checksum or block[-1] != 0:
        raise ValueError("damaged block")
    return block[:-1]


def _records(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values; a key repeats the start of the one before it."""
    (restarts,) = struct.unpack("<I", block[-4:])
    position, end, key = 0, len(block) - 4 * (restarts + 1), b""
    while position < end:
        shared, position = _varint(block, position)
        fresh, position = _varint(block, position)
        size, position = _varint(block, position)
        middle = position + fresh
        key = key[:shared] + block[position:middle]
        if len(key) > LONGEST_NAME:
            raise ValueError("damaged key")
        position = middle + size
        yield key, block[middle:position]


def _entry(value: bytes) -> Entry | None:
    """Decode a tensor's description; None for another type, for slices, or another data file."""
    kind, shape, shard, offset, checksum, sliced = 0, b"", 0, 0, 0, False
    for number, field in _fields(value):
        match number, field:
            case 1, int():
                kind = field
            case 2, bytes():
                shape = field
            case 3, int():
                shard = field
            case 4, int():
                offset = field
            case 6, int():
                checksum = field
            case 7, _:
                sliced = True
    if kind != FLOAT32 or shard or sliced:
        return None
    return Entry(tuple(_sizes(shape)), offset, checksum)


def _sizes(shape: bytes) -> Iterator[int]:
    for number, dimension in _fields(shape):
        if number == 2 and isinstance(dimension, bytes):
            yield int(dict(_fields(dimension)).get(1, 0))


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the numbers and values of a protocol buffer's fields."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == BYTES:
            size, position = _varint(message, position)
        else:
            size = {FIXED64: 8, FIXED32: 4}.get(kind, -1)
        field, position = message[position : position + size], position + size
        if size < 0 or len(field) < size:
            raise ValueError("damaged field")
        yield number, field if kind == BYTES else int.from_bytes(field, "little")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Read a number of seven bits per byte; also return the position after it."""
    value = shift = 0
    while data[position] & 0x80:
        if shift == LAST_SHIFT:
            raise ValueError("damaged number")
        value |= (data[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return value | data[position] << shift, position + 1
