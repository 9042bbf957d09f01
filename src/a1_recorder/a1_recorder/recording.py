"""One episode while it is recorded, and the streams it is recorded from."""

from __future__ import annotations

import json
import math
import platform
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from a1_recorder.topics import Topic
from a1_recorder.writer_thread import Ended

OUTCOMES = ("", "success", "failure")
"""By the numbers of LabelEpisode: unlabelled, success, failure."""
MEAN_OF = 3
PACKAGES = ("a1_recorder", "a1_core", "rclpy", "mcap", "zstandard")


class StreamCount:
    """What is counted of one topic. `dropped` and `lost` are those of the episode in hand."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.received = 0
        self.dropped = 0
        """Heard, and not written because the queue was full."""
        self.lost = 0
        """Never heard: gaps in the publisher's numbers, where one node alone publishes."""
        self.heard_ns = 0
        self.single = False
        self._sequence = 0
        self._before = (0, 0)
        self._rates_hz: deque[float] = deque(maxlen=MEAN_OF)
        self.rate_hz = 0.0

    def note(self, now_ns: int, sequence: int | None) -> None:
        """One message came; `sequence` is its publisher's number, None where nobody counts."""
        self.received += 1
        self.heard_ns = now_ns
        if sequence is not None:
            if self.single and 0 < self._sequence < sequence:
                self.lost += sequence - self._sequence - 1
            self._sequence = sequence

    def publishers(self, count: int) -> None:
        """How many nodes publish it: the numbers of several say nothing together."""
        if (count == 1) != self.single:
            self.single = count == 1
            self._sequence = 0

    def measure(self, now_ns: int) -> None:
        """Rate since the last call."""
        count, since_ns = self._before
        if since_ns and now_ns > since_ns:
            self.rate_hz = (self.received - count) * 1e9 / (now_ns - since_ns)
            if count:
                self._rates_hz.append(self.rate_hz)
        self._before = (self.received, now_ns)

    @property
    def mean_hz(self) -> float:
        """Mean of the last MEAN_OF rates, since one alone is coarse; NaN before."""
        full = len(self._rates_hz) == MEAN_OF
        return sum(self._rates_hz) / MEAN_OF if full else math.nan

    def silence_s(self, now_ns: int) -> float:
        """Since the newest message; infinite before the first."""
        return (now_ns - self.heard_ns) / 1e9 if self.heard_ns else float("inf")

    def begin(self) -> None:
        """An episode begins."""
        self.dropped = 0
        self.lost = 0


@dataclass(kw_only=True)
class Recording:
    """One episode; `number` counts the recorder's. `began_ns` is on the steady clock,
    `began_wall_ns` the same moment since the epoch.
    """

    episode_id: str
    path: Path
    number: int
    instruction: str
    driver: str
    began_ns: int
    began_wall_ns: int
    outcome: str = ""
    note: str = ""
    messages: int = 0
    duration_s: float = 0.0
    ending: bool = False
    labelled_late: bool = False
    dropped: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    ended: Ended | None = None

    def told(self) -> dict[str, str]:
        """What of its metadata people say."""
        told = {
            "episode": self.episode_id,
            "instruction": self.instruction,
            "driver": self.driver,
            "outcome": self.outcome,
            "note": self.note,
        }
        return {key: text for key, text in told.items() if text}


def software() -> str:
    """Versions, as JSON."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # Run from its sources.
    return json.dumps(found)


def counts_json(counts: Mapping[str, int]) -> str:
    """Counts that are not zero, as JSON."""
    return json.dumps({name: count for name, count in counts.items() if count})
