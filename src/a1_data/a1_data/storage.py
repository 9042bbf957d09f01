"""Messages of one data file: with rosbags by its index, and from front to back where that fails."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import zstandard
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.rosbag2.reader import zstd as rosbags_zstd

from a1_data import mcap_scan, sqlite_scan
from a1_data.bag_files import DataFile, unpacked
from a1_data.channel import Channel, Raw
from a1_data.findings import Damaged, Findings

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""How a compressed message begins; CDR begins with a zero byte."""

# What rosbags lets through from a damaged file: of its own, of SQLite, and of taking bytes apart.
_DAMAGE = (
    ReaderError,
    apsw.Error,
    rosbags_zstd.ZstdError,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
_MEND = {
    "mcap": "mcap recover FILE writes a whole file of what is left",
    "sqlite3": "sqlite3 FILE .recover | sqlite3 NEW.db3 writes a whole file of what is left",
}


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What one data file holds.

    Attributes:
        channels: by the number that the file gives them.
        counts: messages by topic and type.
        indexed: whether its index can be used; otherwise it is read from front to back.
    """

    channels: dict[int, Channel]
    counts: Counter[tuple[str, str]]
    indexed: bool


def look(file: DataFile, findings: Findings) -> Contents:
    """What is in a file; what is wrong with it goes into the findings."""
    damaged = _teller(file, findings)
    with unpacked(file, damaged) as plain:
        if file.storage == "sqlite3" and (size := sqlite_scan.cut_at(plain)) is not None:
            damaged(f"it is cut off at byte {size}, within a page")
            return _look_through(plain, file, damaged)
        if file.storage == "sqlite3" and not sqlite_scan.has_time_index(plain):
            findings.add(
                "INDEX_MISSING",
                str(file.path),
                "messages have no index of time, so they are read in the order of writing",
                f"sqlite3 {file.path} 'CREATE INDEX timestamp_idx ON messages (timestamp)' adds it",
            )
            return _look_through(plain, file, damaged)
        try:
            with Reader(plain) as reader:
                return _indexed(reader)
        except _DAMAGE as error:
            reason = " ".join(str(error).replace(str(plain), file.path.name).split())
            findings.add(
                "INDEX_MISSING",
                str(file.path),
                f"rosbags cannot open it ({reason or type(error).__name__}); it is read from front "
                "to back",
                _MEND[file.storage].replace("FILE", str(file.path)),
            )
            return _look_through(plain, file, damaged)


def read(
    file: DataFile, contents: Contents, topics: Collection[str], findings: Findings
) -> Iterator[Raw]:
    """The messages of some topics, by time where the file's index can be used."""
    damaged = _teller(file, findings)
    with unpacked(file, damaged) as plain:
        if not contents.indexed:
            # What is wrong with it was told when it was looked through.
            yield from _scan(plain, file, lambda what: None, topics)
            return
        progress = _Progress()
        try:
            with Reader(plain) as reader:
                for raw in _messages(reader, contents, topics):
                    progress.note(raw)
                    yield raw
                return
        except _DAMAGE as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            damaged(f"its index leads to data that cannot be read ({reason})")
        for raw in _scan(plain, file, damaged, topics, contents):
            if progress.is_new(raw):
                yield raw


def decompressed(data: bytes) -> bytes:
    """The message in a record, which the recorder may have compressed.

    Raises zstandard.ZstdError when it is damaged.
    """
    if data[:4] != ZSTD_MAGIC:
        return data
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


class _Progress:
    """How far reading by time came, so that reading from the front can go on from there."""

    def __init__(self) -> None:
        self._last_ns = -1
        self._at_last = 0

    def note(self, raw: Raw) -> None:
        if raw.received_ns != self._last_ns:
            self._last_ns, self._at_last = raw.received_ns, 0
        self._at_last += 1

    def is_new(self, raw: Raw) -> bool:
        if raw.received_ns == self._last_ns and self._at_last:
            self._at_last -= 1
            return False
        return raw.received_ns >= self._last_ns


def _indexed(reader: Reader) -> Contents:
    channels = {
        connection.id: Channel(
            topic=connection.topic,
            msgtype=connection.msgtype,
            definition=connection.msgdef,
            serialization=_serialization(connection),
        )
        for connection in reader.connections
    }
    counts: Counter[tuple[str, str]] = Counter()
    for connection in reader.connections:
        counts[connection.topic, connection.msgtype] += connection.msgcount
    return Contents(channels=channels, counts=counts, indexed=True)


def _serialization(connection: Any) -> str:
    return str(connection.ext.serialization_format)


def _messages(reader: Reader, contents: Contents, topics: Collection[str]) -> Iterator[Raw]:
    wanted = [connection for connection in reader.connections if connection.topic in topics]
    # No connection at all would mean all of them to rosbags.
    if wanted:
        for connection, received_ns, data in reader.messages(wanted):
            yield Raw(contents.channels[connection.id], received_ns, data)


def _look_through(plain: Path, file: DataFile, damaged: Damaged) -> Contents:
    counts: Counter[tuple[str, str]] = Counter()
    channels: dict[Channel, None] = {}
    for raw in _scan(plain, file, damaged, None):
        counts[raw.channel.topic, raw.channel.msgtype] += 1
        channels.setdefault(raw.channel)
    return Contents(channels=dict(enumerate(channels)), counts=counts, indexed=False)


def _scan(
    plain: Path,
    file: DataFile,
    damaged: Damaged,
    topics: Collection[str] | None,
    contents: Contents | None = None,
) -> Iterator[Raw]:
    if file.storage == "sqlite3":
        return sqlite_scan.scan(plain, damaged, topics=topics)
    known = contents.channels if contents is not None else None
    return mcap_scan.scan(plain, damaged, topics=topics, known=known)


def _teller(file: DataFile, findings: Findings) -> Damaged:
    def damaged(what: str) -> None:
        findings.add(
            "FILE_DAMAGED",
            str(file.path),
            what,
            "what can be read is read; " + _MEND[file.storage].replace("FILE", str(file.path)),
        )

    return damaged
