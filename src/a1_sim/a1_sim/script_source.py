"""A scripted policy for any robot: joints go away from home and back, grippers close and open.

It looks at nothing and is no measure of anything but the loop: chunks of the policy's own period,
horizon and form, sent as a policy sends them.
"""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
from a1_msgs.msg import ActionChunk as ActionChunkMsg
from a1_msgs.msg import ChunkVerdict, ControllerState
from numpy.typing import NDArray
from rclpy.node import Node

from a1_core.chunk import Source, joint_chunk
from a1_core.spec import RobotSpec
from a1_ros.messages import chunk_to_msg
from a1_ros.qos import RELIABLE, STATUS
from a1_ros.times import node_now_ns

ROUND_S = 4.0
SWING_RAD = 0.15
SHARE_OF_RANGE = 0.2
REPLAN_S = 0.4


class Motion:
    """Joints and grippers over the time since the begin; at rest and home every ROUND_S."""

    def __init__(self, spec: RobotSpec) -> None:
        limits = spec.operating_limits
        middle_J = (limits.position_lower + limits.position_upper) / 2.0
        range_J = limits.position_upper - limits.position_lower
        swing_J = np.minimum(SWING_RAD, SHARE_OF_RANGE * range_J)
        self.swing_J = np.where(middle_J >= spec.home, swing_J, -swing_J)
        self._home = spec.home
        self._grippers = len(spec.grippers)

    def rows(self, times_H: NDArray[np.floating]) -> NDArray[np.float64]:
        """Positions [H, D] at times since the begin (s)."""
        phase_H = 2.0 * np.pi * np.maximum(times_H, 0.0) / ROUND_S
        away_H = (1.0 - np.cos(phase_H)) / 2.0
        closed_H = away_H > 0.5
        opening_HG = np.repeat(np.where(closed_H, 0.0, 1.0)[:, None], self._grippers, axis=1)
        return np.hstack([self._home + away_H[:, None] * self.swing_J, opening_HG])


class ScriptSource(Node):
    """Sends chunks from `begin` on; remembers verdicts and where the robot has been.

    Attributes:
        swing_J: how far every joint is sent from home (rad).
        codes: verdicts by code.
        refusals: what was said with those that were not ACCEPTED.
        measured: [D] of every controller state heard, since the last begin.
        mode, reason: of the newest controller state; -1 before the first.
    """

    def __init__(self, spec: RobotSpec, **node_kwargs: Any) -> None:
        super().__init__("script", start_parameter_services=False, **node_kwargs)
        self._spec = spec
        self._motion = Motion(spec)
        self.swing_J = self._motion.swing_J
        self._session, self._seq = str(uuid.uuid4()), 0
        self._begin_ns: int | None = None
        self.codes: dict[int, int] = {}
        self.refusals: list[str] = []
        self.measured: list[NDArray[np.float64]] = []
        self.mode, self.reason = -1, ""
        self._chunks = self.create_publisher(ActionChunkMsg, "a1/chunk", RELIABLE)
        self.create_subscription(ChunkVerdict, "a1/chunk_verdict", self._on_verdict, RELIABLE)
        self.create_subscription(ControllerState, "a1/controller_state", self._on_state, STATUS)
        self.create_timer(REPLAN_S, self._send)

    def begin(self) -> None:
        """Start from home, at rest, with the next chunk."""
        self.measured, self.codes, self.refusals = [], {}, []
        self._begin_ns = 0

    def end(self) -> None:
        """Send nothing more."""
        self._begin_ns = None

    def _send(self) -> None:
        if self._begin_ns is None:
            return
        spec, policy = self._spec, self._spec.policy
        stamp_ns = node_now_ns(self)
        self._begin_ns = self._begin_ns or stamp_ns
        times_H = (stamp_ns - self._begin_ns) / 1e9 + policy.period_s * np.arange(policy.horizon)
        self._seq += 1
        self._chunks.publish(
            chunk_to_msg(
                joint_chunk(
                    spec,
                    stamp_ns=stamp_ns,
                    session_id=self._session,
                    seq=self._seq,
                    source=Source.SCRIPT,
                    actions_HD=self._motion.rows(times_H),
                )
            )
        )

    def _on_verdict(self, msg: ChunkVerdict) -> None:
        self.codes[msg.code] = self.codes.get(msg.code, 0) + 1
        if msg.code != ChunkVerdict.ACCEPTED:
            self.refusals.append(msg.detail)

    def _on_state(self, msg: ControllerState) -> None:
        self.mode, self.reason = msg.mode, msg.reason
        self.measured.append(np.array(msg.measured, np.float64))
