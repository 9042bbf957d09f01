"""A bag as observations, one after the other: the live node's path with a file for a robot.

Messages go in the order of their receipt through `a1_data.replay`. Memory holds what the assembler
keeps and one chunk of the file, however long the bag is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from a1_core.spec import RobotSpec
from a1_data.bag_files import BagFiles, find_bags
from a1_data.channel import Raw
from a1_data.decoding import Decoder, Undecodable
from a1_data.episodes import (
    EPISODE,
    EVENT_TOPICS,
    INSTRUCTION_TOPIC,
    TEXT,
    Episode,
    EpisodeEvents,
    InstructionTexts,
    plan_episodes,
)
from a1_data.findings import Finding
from a1_data.replay import Frame, Replay, new_report
from a1_data.storage import look, read
from a1_data.streams import absolute, find_stream, streams_of


@dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """How a bag is read.

    Attributes:
        instruction: for episodes that the bag has no instruction for.
        period_s: use a tick only so long after the last one, as a policy does that replans at
            this period; 0 uses every tick.
        complete_states: wait for every joint state to reach a tick, as in lockstep: what is read
            then depends on stamps alone. Without, as a policy node on a robot: states may lag,
            and what is read depends on the order of receipt.
        events: split by episode events where the bag carries them.
        event_topics: the first of these that carries events counts.
        instruction_topic: std_msgs/String with what to do.
    """

    instruction: str = ""
    period_s: float = 0.0
    complete_states: bool = True
    events: bool = True
    event_topics: tuple[str, ...] = EVENT_TOPICS
    instruction_topic: str = INSTRUCTION_TOPIC


def open_bags(path: str | Path, spec: RobotSpec, settings: ReadSettings) -> list[Bag]:
    """All bags at or below a path, in order of their paths.

    Raises BagError when there is none or when one cannot be read at all.
    """
    return [Bag(files, spec, settings) for files in find_bags(Path(path))]


class Bag:
    """One bag, read for one robot.

    What it holds is looked at once, when it is opened; `frames` reads it, as often as asked for.

    Attributes:
        files: its files on disk.
        episodes: with their instructions and outcomes.
        missing: topics of the robot that it has no usable messages of: it gives no frames then.
        report: of the newest pass of `frames`, complete when that has come to its end.
    """

    def __init__(self, files: BagFiles, spec: RobotSpec, settings: ReadSettings) -> None:
        self.files = files
        self._spec = spec
        self._settings = settings
        self._findings = files.findings
        self._decoder = Decoder(self._findings)
        self._contents = [look(file, self._findings) for file in files.files]
        self._counts: Counter[tuple[str, str]] = Counter()
        for contents in self._contents:
            self._counts.update(contents.counts)
        self._streams = {stream.topic: stream for stream in streams_of(spec)}
        for stream in self._streams.values():
            find_stream(stream, self._counts, self._findings)
        self.missing = tuple(
            stream.topic
            for stream in self._streams.values()
            if not self._counts[stream.topic, stream.msgtype]
        )
        self.episodes = self._plan()
        self.report = new_report(spec, self.episodes)

    @property
    def path(self) -> Path:
        """Its folder, or its file."""
        return self.files.path

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of its data files' bytes, one after the other."""
        return self.files.digest()

    @cached_property
    def images(self) -> int:
        """Messages of the first camera, as its files count them: no tick comes without one."""
        stream = next(s for s in self._streams.values() if s.camera is not None)
        return self._counts[stream.topic, stream.msgtype]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with it; reading it may add to that."""
        return tuple(self._findings)

    def frames(self) -> Iterator[Frame]:
        """The observations in order, each made when it is asked for."""
        self.report = new_report(self._spec, self.episodes)
        replay = Replay(
            self._spec,
            self.report,
            self._findings,
            complete_states=self._settings.complete_states,
            period_s=self._settings.period_s,
        )
        for raw in self._read(self._streams):
            stream = self._streams[raw.channel.topic]
            if raw.channel.msgtype != stream.msgtype:
                continue
            try:
                msg = self._decoder.decode(raw)
            except Undecodable as error:
                replay.unreadable(stream, str(error))
                continue
            frame = replay.take(stream, raw.received_ns, msg)
            if frame is not None:
                yield frame
        replay.end()

    def _read(self, topics: Collection[str]) -> Iterator[Raw]:
        for file, contents in zip(self.files.files, self._contents, strict=True):
            yield from read(file, contents, topics, self._findings)

    def _plan(self) -> tuple[Episode, ...]:
        """The episodes; a pass over the events and instructions where the bag carries any."""
        event_topic = self._carries(self._settings.event_topics, EPISODE)
        if not self._settings.events:
            event_topic = None
        text_topic = self._carries((self._settings.instruction_topic,), TEXT)
        events, texts = EpisodeEvents(), InstructionTexts()
        for topic, received_ns, msg in self._decoded(event_topic, text_topic):
            if topic == event_topic:
                events.note(received_ns, msg)
            else:
                texts.note(received_ns, msg.data)
        told = events.episodes() if event_topic is not None else None
        if told == []:
            self._findings.add(
                "NO_EPISODES",
                str(event_topic),
                "carries episode events, of which none says that an episode runs",
                "read the bag as one episode: --no-events",
            )
        return plan_episodes(told, texts.changes, self.files.custom, self._settings.instruction)

    def _carries(self, topics: Collection[str], msgtype: str) -> str | None:
        """The first of the topics that the bag has messages of; another type is a finding."""
        for topic in map(absolute, topics):
            for (name, recorded), count in self._counts.items():
                if name == topic and recorded != msgtype and count:
                    self._findings.add(
                        "WRONG_TYPE",
                        topic,
                        f"is {recorded}, not {msgtype}, so it is not read",
                        f"publish {msgtype} there",
                    )
            if self._counts[topic, msgtype]:
                return topic
        return None

    def _decoded(
        self, event_topic: str | None, text_topic: str | None
    ) -> Iterator[tuple[str, int, Any]]:
        """Topic, time of receipt and message of events and instructions."""
        wanted = {event_topic: EPISODE, text_topic: TEXT}
        topics = {topic for topic in wanted if topic is not None}
        if not topics:
            return
        for raw in self._read(topics):
            if raw.channel.msgtype != wanted[raw.channel.topic]:
                continue
            try:
                yield raw.channel.topic, raw.received_ns, self._decoder.decode(raw)
            except Undecodable as error:
                self._findings.add(
                    "FILE_DAMAGED",
                    raw.channel.topic,
                    f"holds a message that cannot be decoded ({error})",
                    "the others are read; look whether the episodes are right",
                )
