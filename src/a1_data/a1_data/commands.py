"""What was commanded while a bag was recorded: a1/controller_state."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a1_core.spec import RobotSpec
from a1_data.bag_files import BagFiles
from a1_data.decoding import Decoder, Undecodable
from a1_data.storage import look, read

TOPIC = "/a1/controller_state"
MSGTYPE = "a1_msgs/msg/ControllerState"
HOLD, TRACKING = 2, 3
"""Modes in which what the controller publishes as position is sent to the robot."""
NS_PER_S = 1_000_000_000
LONGEST_SILENCE_S = 0.15
"""Between two messages; a longer one says nothing of what was commanded in between."""


class Commands:
    """The commanded positions of a bag, in the spec's columns: rad, m, grippers 0..1.

    Attributes:
        heard: messages of the controller that name all columns of the robot.
    """

    def __init__(self, files: BagFiles, spec: RobotSpec) -> None:
        self._stamps: list[int] = []
        self._values: list[NDArray[np.float64] | None] = []
        self._sources: list[int | None] = []
        self.heard = 0
        decoder = Decoder(files.findings)
        for file in files.files:
            for raw in read(file, look(file, files.findings), {TOPIC}, files.findings):
                if raw.channel.msgtype != MSGTYPE:
                    continue
                try:
                    self._take(decoder.decode(raw), spec)
                except Undecodable:
                    continue  # Silence there; the decoder told why if it was the definition.

    def at(self, stamp_ns: int) -> NDArray[np.float64] | None:
        """Float64 [D] commanded at a stamp, linear between two messages; None where nothing was."""
        before = bisect_right(self._stamps, stamp_ns) - 1
        after = bisect_left(self._stamps, stamp_ns)
        if before < 0 or after >= len(self._stamps):
            return None
        first, second = self._values[before], self._values[after]
        span_ns = self._stamps[after] - self._stamps[before]
        if first is None or second is None or span_ns > LONGEST_SILENCE_S * NS_PER_S:
            return None
        if span_ns == 0:
            return first
        share = (stamp_ns - self._stamps[before]) / span_ns
        return first + share * (second - first)

    def source_at(self, stamp_ns: int) -> int | None:
        """Who drove at a stamp, as on the wire; None where nobody did, or nobody tells."""
        before = bisect_right(self._stamps, stamp_ns) - 1
        return self._sources[before] if before >= 0 else None

    def _take(self, msg: Any, spec: RobotSpec) -> None:
        place = {name: index for index, name in enumerate(msg.names)}
        if not set(spec.action_names) <= set(place):
            return
        self.heard += 1
        stamp_ns = msg.header.stamp.sec * NS_PER_S + msg.header.stamp.nanosec
        if self._stamps and stamp_ns <= self._stamps[-1]:
            return
        position = np.asarray(msg.position, np.float64)
        sent = msg.mode in (HOLD, TRACKING) and len(position) == len(place)
        value = position[[place[name] for name in spec.action_names]] if sent else None
        finite = value is not None and np.isfinite(value).all()
        self._stamps.append(stamp_ns)
        self._values.append(value if finite else None)
        # Without a session the source says nothing: nobody has sent a chunk yet.
        self._sources.append(int(msg.source) if np.any(msg.session_id.uuid) else None)
