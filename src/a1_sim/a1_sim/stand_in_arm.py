"""What moves in a stand-in: joints that go to their set-points, and the rules of vendors' arms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from a1_core.spec import RobotSpec, StreamSpec

Floats = NDArray[np.float64]
# How much faster than the operating limits the stand-in's own servos are.
SERVO = 3.0
# A set-point after so long a pause begins a new stream.
NEW_STREAM_S = 0.5


class Joints:
    """Positions of all arm joints (rad) and grippers (0..1); they go to their goals at a limited
    speed and stay there: what the stand-in does when commands stop is to hold."""

    def __init__(self, spec: RobotSpec) -> None:
        limits = spec.operating_limits
        self.names = spec.action_names
        self.q_D = np.array([*spec.home, *[1.0] * len(spec.grippers)])
        self.qd_D = np.zeros(spec.dim)
        self.goal_D = self.q_D.copy()
        self._most_D = SERVO * np.array(
            [*limits.velocity, *[limits.gripper_velocity] * len(spec.grippers)]
        )

    def step(self, dt_s: float) -> None:
        """Go on for `dt_s`."""
        before_D = self.q_D
        most_D = self._most_D * dt_s
        self.q_D = before_D + np.clip(self.goal_D - before_D, -most_D, most_D)
        self.qd_D = (self.q_D - before_D) / dt_s

    def place(self, columns: Sequence[int], q_J: Floats, qd_J: Floats) -> None:
        """Put joints where somebody else has computed them to be."""
        self.q_D[columns], self.qd_D[columns], self.goal_D[columns] = q_J, qd_J, q_J


class StreamedSetpoints:
    """Takes set-points as the vendor's side does, and counts what breaks the vendor's rules.

    Attributes:
        taken, refused: set-points; one farther than `max_step` from the arm is refused.
        gaps: pauses longer than `max_gap_s` within a stream.
        log: time (s) and joints (rad) of every set-point taken.
    """

    def __init__(self, joints: Joints, columns: Sequence[int], stream: StreamSpec) -> None:
        self._joints = joints
        self._columns = list(columns)
        self._stream = stream
        self._last_s: float | None = None
        self.taken, self.refused, self.gaps = 0, 0, 0
        self.log: list[tuple[float, Floats]] = []

    def offer(self, q_J: Sequence[float] | Floats, now_s: float) -> bool:
        """One set-point, in rad; whether it was taken."""
        last_s, self._last_s = self._last_s, now_s
        most_s, most = self._stream.max_gap_s, self._stream.max_step
        if last_s is not None and most_s is not None and most_s < now_s - last_s < NEW_STREAM_S:
            self.gaps += 1
        wanted_J = np.asarray(q_J, np.float64)
        away_J = np.abs(wanted_J - self._joints.q_D[self._columns])
        if not np.isfinite(wanted_J).all() or (most is not None and away_J.max() > most + 1e-9):
            self.refused += 1
            return False
        self.taken += 1
        self.log.append((now_s, wanted_J))
        self._joints.goal_D[self._columns] = wanted_J
        return True
