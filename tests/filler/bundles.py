"""Indices of TensorFlow checkpoints, written as its table in LevelDB's format has them."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

from genattr.filler._deepfill.tensor_bundle import MAGIC, masked_crc32c

TRAILER = 5  # bytes behind a block: its kind of compression and its checksum
Handle = tuple[int, int]  # offset and size of a block


def varint(number: int) -> bytes:
    """Write a number as seven bits per byte."""
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


def block(records: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Write keys and values, and the trailer."""
    body = b"".join(
        varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in records
    )
    content = body + struct.pack("<II", 0, 1) + b"\0"
    return content + struct.pack("<I", masked_crc32c(content))


def table(blocks: Sequence[bytes], handles: Sequence[Handle] | None = None) -> bytes:
    """Write a table of blocks; other handles than theirs may point to them."""
    data, found = b"", []
    for one in blocks:
        found.append((len(data), len(one) - TRAILER))
        data += one
    written = [varint(offset) + varint(size) for offset, size in handles or found]
    root = block([(b"z", handle) for handle in written])
    meta = block([])
    ends = varint(len(data)) + varint(len(meta) - TRAILER)
    ends += varint(len(data + meta)) + varint(len(root) - TRAILER)
    return data + meta + root + ends.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def index_file(tensors: Mapping[str, Sequence[int]]) -> bytes:
    """Write the index of float32 tensors of these shapes, all zeros."""
    records, offset = [(b"", b"\x08\x01")], 0
    for name, shape in sorted(tensors.items()):
        content = bytes(4 * math.prod(shape))
        records.append((name.encode(), _entry(shape, offset, content)))
        offset += len(content)
    return table([block(records)])


def _entry(shape: Sequence[int], offset: int, content: bytes) -> bytes:
    sizes = b"".join(b"\x12" + varint(len(one) + 1) + b"\x08" + one for one in map(varint, shape))
    place = b"\x20" + varint(offset) + b"\x28" + varint(len(content))
    checksum = b"\x35" + struct.pack("<I", masked_crc32c(content))
    return b"\x08\x01\x12" + varint(len(sizes)) + sizes + place + checksum
