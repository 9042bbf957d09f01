"""Recorded messages through the live node's assembler and tick rule, and an account of it.

"Now" is the newest stamp of any stream: a bag may have been recorded on another clock than the one
its stamps are on. So a stream is stale that lags behind the others; transport delay does not count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from a1_core.assembler import Assembler
from a1_core.errors import ObservationRefused
from a1_core.intake import Intake, camera_stream, is_due
from a1_core.observation import Observation
from a1_core.spec import RobotSpec
from a1_data.episodes import Episode
from a1_data.findings import Findings
from a1_data.images import compressed_to_rgb, raw_to_rgb
from a1_data.report import NS_PER_S, BagReport, EpisodeReport, StreamReport
from a1_data.streams import IMAGE, Stream, streams_of

BACK_JUMP_NS = 1_000_000_000
"""A stream that goes back further than that is on a clock that was set back, or started anew."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One observation of a bag.

    Attributes:
        episode: the one it belongs to.
        observation: at the tick, with the instruction of that moment.
        received_ns: when the recorder got the image that set the tick.
        camera_skew_ns: largest distance of another camera's image from the tick.
    """

    episode: Episode
    observation: Observation
    received_ns: int
    camera_skew_ns: int


class Replay:
    """One pass over a bag's messages; what becomes of each goes into the report."""

    def __init__(
        self,
        spec: RobotSpec,
        report: BagReport,
        findings: Findings,
        *,
        complete_states: bool,
        period_s: float,
    ) -> None:
        self._spec = spec
        self._report = report
        self._findings = findings
        self._period_s = period_s
        self._assembler = Assembler(spec)
        self._intake = Intake(spec, complete_states=complete_states)
        self._reference = camera_stream(spec.cameras[0].name)
        self._joints = {joint for source in spec.state_sources for joint in source.joints}
        self._streams = {stream.name: stream for stream in report.streams}
        self._begins_ns = [each.episode.begin_ns for each in report.episodes]
        self._received_ns: dict[int, int] = {}
        self._now_ns = 0
        self._current: EpisodeReport | None = None
        self._last_ns: int | None = None

    def take(self, stream: Stream, received_ns: int, msg: Any) -> Frame | None:
        """Takes one message; the observation that is complete with it, if one is."""
        account = self._streams[stream.name]
        account.received += 1
        stamp_ns = msg.header.stamp.sec * NS_PER_S + msg.header.stamp.nanosec
        # Zero is no time but a message that nobody stamped.
        if account.newest_ns is not None and 0 < stamp_ns < account.newest_ns - BACK_JUMP_NS:
            self._clock_went_back(stream)
        taken = self._intake.take(stream.name, stamp_ns, lambda: self._push(stream, stamp_ns, msg))
        if taken.accepted:
            account.note_accepted(stamp_ns, received_ns)
            self._now_ns = max(self._now_ns, stamp_ns)
            if stream.name == self._reference:
                self._received_ns[stamp_ns] = received_ns
        else:
            account.note_dropped(*self._why(stream, account, stamp_ns, msg))
        for tick_ns in taken.given_up_ns:
            self._give_up(tick_ns)
        for tick_ns in taken.overtaken_ns:
            self._pass_over(tick_ns, "OVERTAKEN")
        return None if taken.tick_ns is None else self._observe(taken.tick_ns)

    def unreadable(self, stream: Stream, why: str) -> None:
        """Counts a message that could not be decoded."""
        self._streams[stream.name].received += 1
        self._streams[stream.name].note_dropped("UNREADABLE", why)

    def end(self) -> None:
        """The bag is at its end: ticks that still wait will never be complete."""
        for tick_ns in self._intake.forget():
            self._pass_over(tick_ns, "INCOMPLETE")

    def _push(self, stream: Stream, stamp_ns: int, msg: Any) -> bool:
        if stream.camera is None:
            positions = np.asarray(msg.position, np.float64)
            sources = self._spec.sources_on(stream.topic)
            return self._assembler.push_state(stamp_ns, tuple(msg.name), positions, sources)
        convert = raw_to_rgb if stream.msgtype == IMAGE else compressed_to_rgb
        return self._assembler.push_image(stream.camera, stamp_ns, convert(msg))

    def _why(
        self, stream: Stream, account: StreamReport, stamp_ns: int, msg: Any
    ) -> tuple[str, str]:
        """Reason and detail of a message that was not taken."""
        refusal = self._intake.rejections.get(stream.name)
        if refusal is not None:
            return refusal.code, refusal.detail
        if stream.camera is None and self._joints.isdisjoint(msg.name):
            return "OTHER_JOINTS", ""
        # The assembler refused it as not newer than what it has of the same source.
        assert account.newest_ns is not None
        return ("STAMP_REPEATED" if stamp_ns == account.newest_ns else "STAMP_BACKWARD"), ""

    def _observe(self, tick_ns: int) -> Frame | None:
        received_ns = self._received_ns.pop(tick_ns)
        account = self._episode_at(received_ns)
        if account is None:
            self._report.outside.note("OUTSIDE_EPISODE")
            return None
        if account is not self._current:
            self._current, self._last_ns = account, None
        instruction = account.episode.instruction_at(received_ns)
        if not instruction:
            account.ticks.note("NO_INSTRUCTION")
            return None
        rate_hz = self._spec.cameras[0].rate_hz
        if not is_due(tick_ns, self._last_ns, self._period_s, rate_hz):
            account.ticks.note("NOT_DUE")
            return None
        try:
            self._intake.raise_rejection()
            observation = self._assembler.assemble(tick_ns, self._now_ns, instruction)
        except ObservationRefused as refusal:
            account.ticks.note(refusal.code, refusal.detail)
            return None
        self._last_ns = tick_ns
        account.note_used(tick_ns)
        return Frame(
            episode=account.episode,
            observation=observation,
            received_ns=received_ns,
            camera_skew_ns=self._assembler.camera_skew_ns(tick_ns),
        )

    def _give_up(self, tick_ns: int) -> None:
        """A tick waited for too long: say for what, as the live node does."""
        try:
            self._intake.raise_rejection()
            self._assembler.assemble(tick_ns, self._now_ns, "")
        except ObservationRefused as refusal:
            self._pass_over(tick_ns, refusal.code, refusal.detail)
        else:
            self._pass_over(tick_ns, "INCOMPLETE")

    def _pass_over(self, tick_ns: int, what: str, detail: str = "") -> None:
        account = self._episode_at(self._received_ns.pop(tick_ns))
        if account is None:
            self._report.outside.note("OUTSIDE_EPISODE")
        else:
            account.ticks.note(what, detail)

    def _episode_at(self, received_ns: int) -> EpisodeReport | None:
        place = bisect_right(self._begins_ns, received_ns) - 1
        if place < 0 or received_ns not in self._report.episodes[place].episode:
            return None
        return self._report.episodes[place]

    def _clock_went_back(self, stream: Stream) -> None:
        """What was heard belongs to another time: forget it, as the node after a clock jump."""
        self._report.clock_jumps += 1
        self._findings.add(
            "CLOCK_WENT_BACK",
            stream.topic,
            "its stamps went back by more than "
            f"{BACK_JUMP_NS / NS_PER_S:g} s, so all that was buffered was forgotten",
            "record every run in a bag of its own; look at the clocks of robot and cameras",
        )
        self.end()
        self._assembler.clear()
        self._now_ns, self._last_ns = 0, None
        for account in self._streams.values():
            account.newest_ns = None


def new_report(spec: RobotSpec, episodes: Sequence[Episode]) -> BagReport:
    """The report of a pass that has not begun."""
    return BagReport(
        streams=tuple(
            StreamReport(
                name=stream.name, topic=stream.topic, gap_ns=round(stream.max_age_s * NS_PER_S)
            )
            for stream in streams_of(spec)
        ),
        episodes=tuple(EpisodeReport(episode=episode) for episode in episodes),
    )
