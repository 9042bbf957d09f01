"""Reading an MCAP file from front to back, without its index: what a killed recorder leaves.

Records are taken as they come until the file ends or stops making sense. Of a chunk that is cut
off, what can be unpacked is read; a chunk that is damaged within is left out, and the next is read.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import lz4.frame
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel as ChannelRecord
from mcap.records import Chunk, Schema
from mcap.stream_reader import get_chunk_data_stream

from a1_data.channel import NO_DEFINITION, Channel, Raw, definition_of
from a1_data.findings import Damaged

MAGIC = b"\x89MCAP0\r\n"
HEAD = struct.Struct("<BQ")
MESSAGE = struct.Struct("<HIQQ")
READ = (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE, Opcode.CHUNK)
END = (Opcode.DATA_END, Opcode.FOOTER)
LARGEST_CUT_CHUNK = 256 << 20
"""What claims to be longer and is not whole is damage, not a chunk."""

_BAD_RECORD = (McapError, struct.error, UnicodeDecodeError)
# lz4 raises RuntimeError; a wrong checksum is a ValueError of mcap.
_BAD_CHUNK = (*_BAD_RECORD, zstandard.ZstdError, RuntimeError, ValueError)


def scan(
    path: Path,
    damaged: Damaged,
    *,
    topics: Collection[str] | None = None,
    known: Mapping[int, Channel] | None = None,
) -> Iterator[Raw]:
    """The messages in the order in which they were written, within a chunk by time.

    Args:
        damaged: told what could not be read.
        topics: only these; None for all.
        known: channels by id that the file's index named, for files that lost the definition.
    """
    size = path.stat().st_size
    walk = _Walk(known or {}, topics)
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            damaged("it does not begin as an MCAP file does")
            return
        for opcode, content, whole in _records(file, size, damaged):
            try:
                if opcode != Opcode.CHUNK:
                    yield from walk.record(opcode, content)
                    continue
                chunk = Chunk.read(ReadDataStream(BytesIO(content)))
                data = _unpacked(chunk) if whole else _begun(chunk)
                messages = [raw for record in _split(data) for raw in walk.record(*record)]
            except _BAD_CHUNK as error:
                damaged(f"{len(content)} bytes before byte {file.tell()} are left out ({error})")
                continue
            yield from sorted(messages, key=lambda raw: raw.received_ns)


def _records(file: BinaryIO, size: int, damaged: Damaged) -> Iterator[tuple[int, bytes, bool]]:
    """Opcode, content and whether it is whole, of every record that is read."""
    while True:
        at = file.tell()
        head = file.read(HEAD.size)
        if len(head) < HEAD.size:
            damaged(f"it ends at byte {size} without the end that a closed file has")
            return
        opcode, length = HEAD.unpack(head)
        if opcode in END:
            return
        end = at + HEAD.size + length
        whole = end <= size
        if opcode == 0 or (not whole and size - at > LARGEST_CUT_CHUNK):
            damaged(f"what follows byte {at} is no MCAP record; {size - at} bytes are left out")
            return
        if opcode in READ and (whole or opcode == Opcode.CHUNK):
            yield opcode, file.read(length), whole
        if not whole:
            damaged(f"it is cut off at byte {size}, within a record of {length} bytes")
            return
        file.seek(end)


def _unpacked(chunk: Chunk) -> bytes:
    stream, length = get_chunk_data_stream(chunk, validate_crc=True)
    return stream.read(length)


def _begun(chunk: Chunk) -> bytes:
    """What can be unpacked of a chunk that is cut off."""
    if chunk.compression == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(chunk.data)
    if chunk.compression == "lz4":
        return bytes(lz4.frame.LZ4FrameDecompressor().decompress(chunk.data))
    return chunk.data


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Opcode and content of the whole records in a chunk."""
    at = 0
    while at + HEAD.size <= len(data):
        opcode, length = HEAD.unpack_from(data, at)
        at += HEAD.size
        if at + length > len(data):
            return
        yield opcode, data[at : at + length]
        at += length


class _Walk:
    """The schemas and channels met so far, and the messages of those that are wanted."""

    def __init__(self, known: Mapping[int, Channel], topics: Collection[str] | None) -> None:
        self._schemas: dict[int, Schema] = {}
        self._channels = dict(known)
        self._topics = topics

    def record(self, opcode: int, content: bytes) -> Iterator[Raw]:
        if opcode == Opcode.SCHEMA:
            schema = Schema.read(ReadDataStream(BytesIO(content)))
            self._schemas[schema.id] = schema
        elif opcode == Opcode.CHANNEL:
            self._note(ChannelRecord.read(ReadDataStream(BytesIO(content))))
        elif opcode == Opcode.MESSAGE:
            number, _, received_ns, _ = MESSAGE.unpack_from(content)
            channel = self._channels.get(number)
            if channel is not None and (self._topics is None or channel.topic in self._topics):
                yield Raw(channel, received_ns, content[MESSAGE.size :])

    def _note(self, record: ChannelRecord) -> None:
        schema = self._schemas.get(record.schema_id)
        if schema is None:
            return
        text = schema.data.decode("utf-8", errors="replace")
        definition = definition_of(schema.encoding, text) if text else NO_DEFINITION
        self._channels[record.id] = Channel(
            topic=record.topic,
            msgtype=schema.name,
            definition=definition,
            serialization=record.message_encoding,
        )
