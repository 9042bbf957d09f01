"""What one pass over a bag used, what it left out and why: every message and tick is counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from a1_data.episodes import Episode

NS_PER_S = 1_000_000_000

USED = "USED"
"""A tick became an observation."""

NOT_USED = {
    "NOT_DUE": "sooner after the last one than the period asked for",
    "OVERTAKEN": "a newer tick was complete at the same moment, as it happens on a live node",
    "INCOMPLETE": "the bag ended, or the clock jumped, before every stream had what it needs",
    "OUTSIDE_EPISODE": "its image came before, between or after episodes",
    "NO_INSTRUCTION": "nobody said what to do; give an instruction, or record a1/instruction",
}
"""Why a tick became none, besides the codes of ObservationRefused."""

DROPPED = {
    "STAMP_BACKWARD": "older than the newest of its stream; look at the driver's stamps",
    "STAMP_REPEATED": "the stamp of the message before; does the driver stamp its messages?",
    "OTHER_JOINTS": "holds no joint of the spec; fine where several sources share a topic",
    "UNREADABLE": "its bytes do not decode; the file is damaged there",
}
"""Why a message was not taken, besides the codes of ObservationRefused."""


@dataclass
class StreamReport:
    """One stream of the robot, as it lies in the bag.

    Attributes:
        name: as diagnostics call it.
        received, accepted: messages read, and taken by the assembler.
        dropped: the others by reason: `DROPPED`, or the code of an ObservationRefused.
        details: the first message of each reason, for a person.
        gaps, longest_gap_ns: intervals longer than `gap_ns`, and the longest.
        delay_ns: sum over accepted messages of time of receipt minus stamp.
    """

    name: str
    topic: str
    gap_ns: int
    received: int = 0
    accepted: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    details: dict[str, str] = field(default_factory=dict)
    gaps: int = 0
    longest_gap_ns: int = 0
    delay_ns: int = 0
    newest_ns: int | None = None
    _steps: int = 0
    _stepped_ns: int = 0

    def note_accepted(self, stamp_ns: int, received_ns: int) -> None:
        """Count a message that was taken."""
        self.accepted += 1
        self.delay_ns += received_ns - stamp_ns
        if self.newest_ns is not None:
            # Sources that share a topic may take turns with stamps that are not in order.
            step_ns = max(0, stamp_ns - self.newest_ns)
            if step_ns > self.gap_ns:
                self.gaps += 1
                self.longest_gap_ns = max(self.longest_gap_ns, step_ns)
            else:
                self._steps += 1
                self._stepped_ns += step_ns
        self.newest_ns = max(stamp_ns, self.newest_ns or stamp_ns)

    def note_dropped(self, reason: str, detail: str = "") -> None:
        """Count a message that was not taken."""
        self.dropped[reason] += 1
        self.details.setdefault(reason, detail or DROPPED.get(reason, ""))

    @property
    def rate_hz(self) -> float:
        """Mean rate of the accepted messages, gaps left out; 0 with fewer than two."""
        return self._steps * NS_PER_S / self._stepped_ns if self._stepped_ns > 0 else 0.0

    @property
    def delay_ms(self) -> float:
        """Mean time from stamp to receipt; large where the two clocks have nothing in common."""
        return self.delay_ns / self.accepted / 1e6 if self.accepted else 0.0


@dataclass
class TickReport:
    """What became of ticks: `USED`, `NOT_USED`, or the code of an ObservationRefused."""

    counts: Counter[str] = field(default_factory=Counter)
    details: dict[str, str] = field(default_factory=dict)

    def note(self, what: str, detail: str = "") -> None:
        """Count one tick."""
        self.counts[what] += 1
        if what != USED:
            self.details.setdefault(what, detail or NOT_USED.get(what, ""))

    @property
    def used(self) -> int:
        return self.counts[USED]

    @property
    def not_used(self) -> dict[str, int]:
        """Counts by reason, the most frequent first."""
        return {what: n for what, n in self.counts.most_common() if what != USED}


@dataclass
class EpisodeReport:
    """One episode: its ticks, and the stamps of its first and last observation."""

    episode: Episode
    ticks: TickReport = field(default_factory=TickReport)
    first_ns: int | None = None
    last_ns: int | None = None

    def note_used(self, tick_ns: int) -> None:
        """Count a tick that became an observation."""
        self.ticks.note(USED)
        self.first_ns = tick_ns if self.first_ns is None else self.first_ns
        self.last_ns = tick_ns

    @property
    def duration_s(self) -> float:
        """From the first observation to the last."""
        if self.first_ns is None or self.last_ns is None:
            return 0.0
        return (self.last_ns - self.first_ns) / NS_PER_S


@dataclass
class BagReport:
    """One pass over a bag; complete once the pass has come to its end.

    Attributes:
        streams: every camera and joint state of the robot.
        episodes: in order; ticks of none are in `outside`.
        clock_jumps: how often stamps went back by so much that all before was forgotten.
    """

    streams: tuple[StreamReport, ...]
    episodes: tuple[EpisodeReport, ...]
    outside: TickReport = field(default_factory=TickReport)
    clock_jumps: int = 0

    @property
    def ticks(self) -> Counter[str]:
        """What became of all ticks of the bag; their sum is the accepted reference images."""
        total = Counter(self.outside.counts)
        for episode in self.episodes:
            total.update(episode.ticks.counts)
        return total

    @property
    def used(self) -> int:
        """Observations made."""
        return self.ticks[USED]
