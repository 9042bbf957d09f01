"""Episodes one after the other: start, stop, discard, label. Knows no ROS; nothing here waits.

Every mistake is an A1Error whose text goes to whoever asked.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from a1_core.errors import A1Error, BagError
from a1_core.spec import RobotSpec
from a1_data.definitions import Definition
from a1_data.episodes import LABELLED_INSTRUCTION_KEY, LABELLED_OUTCOME_KEY
from a1_recorder.bag_writer import DRAFT, BagWriter
from a1_recorder.metadata import METADATA, change_custom
from a1_recorder.recording import OUTCOMES, Recording, StreamCount, counts_json, software
from a1_recorder.topics import Topic
from a1_recorder.writer_thread import Bag, WriterThread, disk_left

FORMAT = "1"


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """Nanoseconds of the steady clock and since the epoch."""

    steady_ns: Callable[[], int]
    wall_ns: Callable[[], int]


class Session:
    """All episodes of one active recorder.

    Attributes:
        streams: what is counted, by number of topic.
        current: the episode that is recorded.
        last: the one that was recorded before.
    """

    def __init__(
        self,
        *,
        folder: Path,
        spec: RobotSpec,
        writer: WriterThread,
        clocks: Clocks,
        event_definition: Definition,
        event: Callable[[Recording, bool], bytes],
        facts: Callable[[], Mapping[str, str]],
        chunk_bytes: int = 1 << 20,
        compression: str = "zstd",
        reserve_bytes: int = 0,
    ) -> None:
        """`event(recording, running)` gives an EpisodeState, `facts()` more of a bag's metadata."""
        self._folder = folder
        self._spec = spec
        self._spec_text = spec.path.read_text(encoding="utf-8")
        self._writer = writer
        self._clocks = clocks
        self._event_definition = event_definition
        self._event = event
        self._facts = facts
        self._chunk_bytes = chunk_bytes
        self._compression = compression
        self._reserve_bytes = reserve_bytes
        self._software = software()
        self._definitions: list[Definition] = []
        self._kept: dict[int, bytes] = {}
        self._open: deque[Recording] = deque()
        self._number = 0
        self.streams: list[StreamCount] = []
        self.current: Recording | None = None
        self.last: Recording | None = None

    @property
    def disk_left_bytes(self) -> int:
        """What may still be written."""
        return disk_left(self._folder)

    def kept(self, name: str) -> bytes | None:
        """The newest message of a topic that is kept between episodes."""
        numbers = [n for n, stream in enumerate(self.streams) if stream.topic.name == name]
        return self._kept.get(numbers[0]) if numbers else None

    def add_topic(self, topic: Topic, definition: Definition) -> int:
        """Record one more topic; the number to `hear` it under."""
        self.streams.append(StreamCount(topic))
        self._definitions.append(definition)
        if self.current is not None:
            name = topic.name

            def add(bag: Bag) -> None:
                bag.add_channel(name, definition)

            self._writer.call(add)
        return len(self.streams) - 1

    def hear(
        self,
        number: int,
        data: bytes,
        received_ns: int,
        published_ns: int,
        sequence: int | None,
    ) -> None:
        """One serialised message of a topic; times since the epoch, `received_ns` never falls."""
        stream = self.streams[number]
        stream.note(self._clocks.steady_ns(), sequence)
        if stream.topic.kept:
            self._kept[number] = data
        recording = self.current
        if recording is None or received_ns < recording.began_wall_ns:
            return
        if self._writer.put(number + 1, received_ns, published_ns, data):
            recording.messages += 1
        else:
            stream.dropped += 1

    def start(self, instruction: str, driver: str) -> Recording:
        """Open an episode."""
        if self.current is not None:
            raise A1Error(f"{self.current.episode_id} is being recorded; stop or discard it first")
        left = self.disk_left_bytes
        if left < self._reserve_bytes:
            raise A1Error(
                f"{self._folder}: {left / 1e6:.0f} MB are left on the disk, less than the reserve "
                f"of {self._reserve_bytes / 1e6:.0f} MB; free space, or lower reserve_mb"
            )
        began_ns = self._clocks.steady_ns()
        self._number += 1
        path = self._new_path()
        recording = Recording(
            episode_id=path.name,
            path=path,
            number=self._number,
            instruction=instruction,
            driver=driver,
            began_ns=began_ns,
            began_wall_ns=self._clocks.wall_ns(),
        )
        for stream in self.streams:
            stream.begin()
        bag = self._new_bag(recording)
        bag.add_channel("/a1/episode", self._event_definition)
        for stream, definition in zip(self.streams, self._definitions, strict=True):
            bag.add_channel(stream.topic.name, definition)
        self._writer.begin(bag, lambda: self._custom(recording))
        self._write_event(recording, True, recording.began_wall_ns)
        for number, data in self._kept.items():
            self._writer.put_always(number + 1, recording.began_wall_ns, data)
            recording.messages += 1
        self.current = recording
        self._open.append(recording)
        return recording

    def stop(self) -> Recording:
        """Close the episode; `drain` tells when that is done."""
        recording = self._end()
        self._write_event(recording, False, self._clocks.wall_ns())
        self._writer.end()
        return recording

    def discard(self, episode_id: str) -> Recording | None:
        """Throw away the episode in hand, or one on disk; None where that is done at once."""
        if self.current is not None and episode_id in ("", self.current.episode_id):
            recording = self._end()
            self._writer.end(discard=True)
            return recording
        path = self._find(episode_id)
        try:
            grave = path.with_name(path.name + DRAFT)
            path.rename(grave)
            shutil.rmtree(grave)
        except OSError as error:
            raise BagError(
                f"{path}: cannot be removed: {error.strerror}; remove it by hand"
            ) from None
        if self.last is not None and self.last.path == path:
            self.last = None
        return None

    def label(self, episode_id: str, outcome: int, instruction: str, note: str) -> str:
        """Say how an episode went; its name. The newest one where `episode_id` is empty."""
        if not 0 <= outcome < len(OUTCOMES):
            raise A1Error(f"outcome {outcome} is unknown; send 0 unlabelled, 1 success, 2 failure")
        told = {"outcome": OUTCOMES[outcome], "instruction": instruction, "note": note}
        told = {key: text for key, text in told.items() if text}
        for recording in reversed(self._open):
            if episode_id in ("", recording.episode_id):
                for key, text in told.items():
                    setattr(recording, key, text)
                recording.labelled_late = recording.ending
                return recording.episode_id
        path = self._find(episode_id)
        _write_label(path, told)
        return path.name

    def drain(self) -> list[Recording]:
        """The episodes that ended since the last call, `ended` set."""
        done = []
        while self._writer.events:
            recording = self._open.popleft()
            recording.ended = self._writer.events.popleft()
            recording.messages = recording.ended.messages
            if recording is self.current:
                self._end()
            if recording.ended.path is not None:
                recording.path = recording.ended.path
                self.last = recording
                if recording.labelled_late:
                    _write_label(recording.path, recording.told())
            done.append(recording)
        return done

    def measure(self) -> None:
        """Rates of the streams since the last call."""
        for stream in self.streams:
            stream.measure(self._clocks.steady_ns())

    def late_topic(self) -> str:
        """The first stream that is silent for too long; empty where all is well."""
        now_ns = self._clocks.steady_ns()
        since_ns = self.current.began_ns if self.current is not None else 0
        for stream in self.streams:
            limit_s = stream.topic.max_age_s
            if limit_s is None:
                continue
            waited_s = min(stream.silence_s(now_ns), (now_ns - since_ns) / 1e9)
            if waited_s > max(1.0, limit_s):
                return stream.topic.name
        return ""

    def duration_s(self, recording: Recording) -> float:
        """How long it is, or was."""
        if recording.ending or recording.ended is not None:
            return recording.duration_s
        return (self._clocks.steady_ns() - recording.began_ns) / 1e9

    def _end(self) -> Recording:
        recording = self.current
        if recording is None:
            raise A1Error("nothing is being recorded; start an episode first")
        recording.duration_s = self.duration_s(recording)
        recording.ending = True
        recording.dropped = {s.topic.name: s.dropped for s in self.streams}
        recording.lost = {s.topic.name: s.lost for s in self.streams}
        self.current = None
        return recording

    def _write_event(self, recording: Recording, running: bool, now_ns: int) -> None:
        self._writer.put_always(0, now_ns, self._event(recording, running))
        recording.messages += 1

    def _new_path(self) -> Path:
        at = datetime.fromtimestamp(self._clocks.wall_ns() / 1e9, tz=UTC)
        stem = f"{self._spec.robot}_{at:%Y%m%d_%H%M%S}"
        name, count = stem, 1
        while any((self._folder / f"{name}{end}").exists() for end in ("", DRAFT)):
            count += 1
            name = f"{stem}_{count}"
        return self._folder / name

    def _new_bag(self, recording: Recording) -> BagWriter:
        try:
            return BagWriter(
                recording.path,
                self._custom(recording),
                chunk_bytes=self._chunk_bytes,
                compression=self._compression,
            )
        except OSError as error:
            raise BagError(
                f"{recording.path}: cannot be written: {error.strerror or error}; "
                "see to the folder and its disk"
            ) from None

    def _custom(self, recording: Recording) -> dict[str, str]:
        """Metadata of the bag; also called by the writer's thread."""
        return {
            "recorder_format": FORMAT,
            "robot": self._spec.robot,
            "spec_digest": self._spec.digest,
            **recording.told(),
            **self._facts(),
            "dropped": counts_json(recording.dropped),
            "lost": counts_json(recording.lost),
            "software": self._software,
            "spec": self._spec_text,
        }

    def _find(self, episode_id: str) -> Path:
        """The bag of an episode that is on disk."""
        if not episode_id:
            if self._open:
                raise A1Error(f"{self._open[0].episode_id} is being finished; try again")
            if self.last is None:
                raise A1Error("nothing was recorded since the recorder was activated; name one")
            return self.last.path
        path = self._folder / episode_id
        if Path(episode_id).name != episode_id or not (path / METADATA).is_file():
            raise A1Error(f"episode '{episode_id}': {self._folder} has no such bag")
        return path


def _write_label(path: Path, told: Mapping[str, str]) -> None:
    late = {"outcome": LABELLED_OUTCOME_KEY, "instruction": LABELLED_INSTRUCTION_KEY}
    change_custom(path, {**told, **{late[key]: told[key] for key in late if key in told}})


def left_drafts(folder: Path) -> Sequence[Path]:
    """What recorders that were killed left in a folder."""
    return sorted(path for path in folder.glob(f"*{DRAFT}") if path.is_dir())
