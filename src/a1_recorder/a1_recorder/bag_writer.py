"""One episode on disk: an MCAP file in a draft folder that gets its name when it is whole.

What is flushed is in the kernel's hands: a killed process loses what came after, no more. The file
is then without its end, which `a1_data` (and `mcap recover`) can do without.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from mcap.writer import CompressionType, Writer

from a1_data.definitions import Definition
from a1_recorder.metadata import TopicCount, bag_metadata, write_metadata

DRAFT = ".draft"
COMPRESSIONS = {
    "zstd": CompressionType.ZSTD,
    "lz4": CompressionType.LZ4,
    "none": CompressionType.NONE,
}


class _Sink:
    """A file without a buffer; `cut` takes it back to the last whole record."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._size = 0
        self._whole = 0

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        self._whole = self._size

    def cut(self) -> None:
        os.ftruncate(self._file, self._whole)
        self._size = self._whole

    def close(self, *, sync: bool = True) -> None:
        file, self._file = self._file, -1
        try:
            if sync:
                os.fsync(file)
        finally:
            os.close(file)


class BagWriter:
    """Writes one bag; used by one thread at a time. Every method may raise OSError.

    Attributes:
        path: where the bag lies, a draft until `finish` or `give_up`.
        counts: messages written, by channel.
    """

    def __init__(
        self,
        path: Path,
        custom: Mapping[str, str],
        *,
        chunk_bytes: int = 1 << 20,
        compression: str = "zstd",
    ) -> None:
        """Open a draft of the bag that is to be `path`; FileExistsError when there is one.

        `custom` is the bag's metadata should nobody come to finish it.
        """
        self._final = path
        self.path = path.with_name(path.name + DRAFT)
        self.counts: list[int] = []
        self._flushed: list[int] = []
        self._topics: list[tuple[str, Definition]] = []
        self._schemas: dict[str, int] = {}
        self._first_ns = 0
        self._last_ns = 0
        if path.exists():
            raise FileExistsError(f"{path} is there already")
        self.path.mkdir(parents=True)
        self._name = f"{path.name}_0.mcap"
        try:
            self._write_metadata(custom)
            self._sink = _Sink(self.path / self._name)
            self._mcap = Writer(
                self._sink,  # type: ignore[arg-type]
                chunk_size=chunk_bytes,
                compression=COMPRESSIONS[compression],
            )
            self._mcap.start(profile="ros2", library="a1_recorder")
            self._sink.flush()
        except OSError:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def add_channel(self, topic: str, definition: Definition) -> int:
        """The number under which a topic's messages are written, from 0."""
        schema = self._schemas.get(definition.msgtype)
        if schema is None:
            schema = self._mcap.register_schema(
                definition.msgtype, "ros2msg", definition.text.encode()
            )
            self._schemas[definition.msgtype] = schema
        qos = {"offered_qos_profiles": "", "topic_type_hash": definition.digest}
        number = self._mcap.register_channel(topic, "cdr", schema, qos)
        self._topics.append((topic, definition))
        self.counts.append(0)
        assert number == len(self.counts)
        return number - 1

    def write(self, channel: int, received_ns: int, published_ns: int, data: bytes) -> None:
        """One message; both times since the epoch."""
        self._mcap.add_message(
            channel + 1, received_ns, data, published_ns, sequence=self.counts[channel]
        )
        self.counts[channel] += 1
        self._first_ns = self._first_ns or received_ns
        self._last_ns = max(self._last_ns, received_ns)

    def flush(self) -> None:
        """What was written until now survives the end of this process."""
        self._mcap.flush()
        self._flushed = list(self.counts)

    def finish(self, custom: Mapping[str, str]) -> Path:
        """Close the file, write its metadata, give the bag its name; where it lies then."""
        self._mcap.finish()
        self._sink.flush()
        self._sink.close()
        self._write_metadata(custom)
        return self._rename()

    def give_up(self, custom: Mapping[str, str]) -> Path:
        """After an OSError: keep every whole record, and the name if it can be had."""
        try:
            self._sink.cut()
            self.counts = self._flushed + [0] * (len(self.counts) - len(self._flushed))
            self._sink.close(sync=False)
            self._write_metadata(custom)
        except OSError:
            pass  # A full disk: the metadata that was written first still stands.
        try:
            return self._rename()
        except OSError:
            return self.path

    def discard(self) -> None:
        """Remove it."""
        self._sink.close(sync=False)
        shutil.rmtree(self.path)

    def _write_metadata(self, custom: Mapping[str, str]) -> None:
        topics = [
            TopicCount(topic=topic, definition=definition, messages=messages)
            for (topic, definition), messages in zip(self._topics, self.counts, strict=True)
        ]
        content = bag_metadata(
            self._name, topics, first_ns=self._first_ns, last_ns=self._last_ns, custom=custom
        )
        write_metadata(self.path, content)

    def _rename(self) -> Path:
        self.path.rename(self._final)
        self.path = self._final
        folder = os.open(self._final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return self.path
