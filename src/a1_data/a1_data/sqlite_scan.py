"""Reading an SQLite3 data file row by row as it was written, up to where it is damaged."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
from rosbags.interfaces import MessageDefinition

from a1_data.channel import NO_DEFINITION, Channel, Raw, definition_of
from a1_data.findings import Damaged

_DAMAGE = (apsw.Error, UnicodeDecodeError)


def scan(path: Path, damaged: Damaged, *, topics: Collection[str] | None = None) -> Iterator[Raw]:
    """The messages in the order in which they were written.

    Args:
        damaged: told what could not be read.
        topics: only these; None for all.
    """
    count = 0
    try:
        with closing(_connect(path)) as connection:
            # A cut file is shorter than its header says; this lets SQLite read it all the same.
            connection.execute("PRAGMA writable_schema=ON")
            channels = _channels(connection)
            wanted = [n for n, c in channels.items() if topics is None or c.topic in topics]
            places = ",".join("?" for _ in wanted)
            rows: Any = connection.execute(
                "SELECT topic_id, timestamp, data FROM messages "
                f"WHERE topic_id IN ({places}) ORDER BY id",
                wanted,
            )
            for number, received_ns, data in rows:
                yield Raw(channels[number], received_ns, data)
                count += 1
    except _DAMAGE as error:
        damaged(f"it is damaged after the first {count} messages ({error})")


def has_time_index(path: Path) -> bool:
    """Whether messages are indexed by time; without, sorting them would take the whole file.

    True for a file that cannot be read at all: that is told otherwise.
    """
    try:
        with closing(_connect(path)) as connection:
            indices: Any = connection.execute("PRAGMA index_list(messages)").fetchall()
            columns: list[Any] = [
                connection.execute(f'PRAGMA index_info("{row[1]}")').fetchone() for row in indices
            ]
    except _DAMAGE:
        return True
    return any(column is not None and column[2] == "timestamp" for column in columns)


def cut_at(path: Path) -> int | None:
    """The size of a file that does not end with a whole page: SQLite would not notice."""
    size = path.stat().st_size
    with path.open("rb") as file:
        page = _page_size(file.read(18)[16:])
    return size if page and size % page else None


def _page_size(field: bytes) -> int:
    page = int.from_bytes(field, "big")
    return 65536 if page == 1 else page


def _connect(path: Path) -> apsw.Connection:
    return apsw.Connection(
        f"{path.absolute().as_uri()}?immutable=1",
        flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
        vfs=_WHOLE_PAGES.name,
    )


class _WholePages(apsw.VFS):
    """Files end with their last whole page: SQLite would take the rest of a cut one for zeros."""

    name = "a1_whole_pages"

    def __init__(self) -> None:
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return super().xOpen(name, flags) if name is None else _WholePagesFile(name, flags)


class _WholePagesFile(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)

    def xFileSize(self) -> int:  # noqa: N802
        size = super().xFileSize()
        if size < 100:
            return size
        page = _page_size(self.xRead(2, 16))
        return size - size % page if page else size


_WHOLE_PAGES = _WholePages()


def _channels(connection: apsw.Connection) -> dict[int, Channel]:
    definitions: dict[str, MessageDefinition] = {}
    # Files of before ROS 2 Iron hold no definitions.
    if connection.execute("PRAGMA table_info(message_definitions)").fetchall():
        rows: Any = connection.execute(
            "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        )
        definitions = {name: definition_of(language, text) for name, language, text in rows}
    rows = connection.execute("SELECT id, name, type, serialization_format FROM topics")
    return {
        number: Channel(
            topic=topic,
            msgtype=msgtype,
            definition=definitions.get(msgtype, NO_DEFINITION),
            serialization=serialization,
        )
        for number, topic, msgtype, serialization in rows
    }
