"""Jazzy's joint trajectory controller on its topic: replaces, interpolates, holds. Pure.

Source: JointTrajectoryController::update and Trajectory::sample of ros2_controllers, branch
jazzy, for position commands and zero tolerances. One quirk is kept: the command is the path one
control period ahead, and the next message starts from it as if it belonged to the cycle before.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a1_core.times import NS_PER_S
from a1_sim.trajectory import (
    JtcParameters,
    Motion,
    Point,
    Trajectory,
    evaluate,
    in_controller_order,
    refusal,
    segment_polynomial,
)

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class JtcState:
    """What the controller reports: the desired motion now, and the command it wrote."""

    desired: Motion
    command: Motion


class TrajectoryController:
    """One controller of J joints with a control period of `period_ns`.

    It may be updated less often than that, as a simulation's physics allows: what then happens
    between two updates is what the cycles left out would have done.
    """

    def __init__(self, parameters: JtcParameters, period_ns: int) -> None:
        self.parameters = parameters
        self.period_ns = period_ns
        self.accepted = 0
        self.refused = 0
        self.activate(np.zeros(len(parameters.joints)))

    def activate(self, q_J: Vector) -> None:
        """Forget every trajectory and hold `q_J` (rad)."""
        zeros = np.zeros(len(q_J))
        self._command = Motion(np.array(q_J, np.float64), zeros, zeros)
        self._desired = self._command
        self._command_ns: int | None = None
        self._pending: Trajectory | None = None
        self._hold(self._command.positions)

    def offer(self, trajectory: Trajectory, now_ns: int) -> str | None:
        """Take a message of the topic; it replaces what is played from the next update on.

        Returns why it was refused, or None.
        """
        reason = refusal(trajectory, self.parameters, now_ns)
        if reason is not None:
            self.refused += 1
            return reason
        self.accepted += 1
        self._pending = trajectory
        return None

    def update(self, now_ns: int, measured_q_J: Vector, measured_qd_J: Vector) -> JtcState:
        """One control cycle at `now_ns` with measured positions (rad) and velocities (rad/s)."""
        if self._pending is not None:
            before_ns = now_ns - self.period_ns
            if self._command_ns is not None and self._command_ns < before_ns:
                self._cycle(before_ns, measured_q_J, measured_qd_J)
            pending, self._pending = self._pending, None
            points = in_controller_order(pending, self.parameters.joints, self._command.positions)
            self._load(points, pending.stamp_ns)
            self._holding = False
        self._cycle(now_ns, measured_q_J, measured_qd_J)
        return JtcState(desired=self._desired, command=self._command)

    def _cycle(self, now_ns: int, measured_q_J: Vector, measured_qd_J: Vector) -> None:
        if not self._sampled:
            self._begin(now_ns, measured_q_J, measured_qd_J)
        desired = self._sample(now_ns)
        self._desired = desired or self._desired
        command = self._sample(now_ns + self.period_ns)
        if command is not None:
            self._command, self._command_ns = command, now_ns
            self._watch_timeout(now_ns, measured_q_J)

    def _hold(self, q_J: Vector) -> None:
        empty = np.zeros(0)
        self._load(
            (Point(time_ns=0, positions=q_J, velocities=empty, accelerations=empty, effort=empty),),
            0,
        )
        self._holding = True

    def _load(self, points: tuple[Point, ...], stamp_ns: int) -> None:
        self._points = points
        self._start_ns = stamp_ns
        self._sampled = False
        self._polynomials: dict[int, NDArray[np.float64]] = {}
        self._index = 0

    def _begin(self, now_ns: int, measured_q_J: Vector, measured_qd_J: Vector) -> None:
        """Set the state the trajectory starts from, and its start time when it is 'now'."""
        if self._start_ns == 0:
            self._start_ns = now_ns
        self._sampled = True
        if self.parameters.interpolate_from_desired_state:
            self._before_ns = now_ns if self._command_ns is None else self._command_ns
            self._before = self._command
            return
        first = self._points[0]
        self._before_ns = now_ns
        self._before = Motion(
            np.array(measured_q_J, np.float64),
            np.array(measured_qd_J, np.float64),
            np.zeros(len(first.accelerations)),
        )

    def _sample(self, at_ns: int) -> Motion | None:
        if at_ns < self._before_ns:
            return None
        times_ns = [self._start_ns + point.time_ns for point in self._points]
        if at_ns < times_ns[0]:
            first = self._points[0]
            return self._between(-1, self._before, self._before_ns, first, times_ns[0], at_ns)
        while self._index + 1 < len(times_ns) and at_ns >= times_ns[self._index + 1]:
            self._index += 1
        index = self._index
        while index > 0 and at_ns < times_ns[index]:
            index -= 1
        if index + 1 == len(times_ns):
            return _filled(_motion(self._points[-1]))
        a, b = self._points[index], self._points[index + 1]
        return self._between(index, _motion(a), times_ns[index], b, times_ns[index + 1], at_ns)

    def _between(self, index: int, a: Motion, a_ns: int, b: Point, b_ns: int, at_ns: int) -> Motion:
        if self.parameters.interpolation_method == "none":
            return a if index < 0 else _filled(_motion(b))
        if index not in self._polynomials:
            span_s = (b_ns - a_ns) / NS_PER_S
            self._polynomials[index] = segment_polynomial(a, _motion(b), span_s)
        return evaluate(self._polynomials[index], (at_ns - a_ns) / NS_PER_S)

    def _watch_timeout(self, now_ns: int, measured_q_J: Vector) -> None:
        limit_s = self.parameters.cmd_timeout_s
        end_ns = self._start_ns + self._points[-1].time_ns
        if limit_s > 0.0 and not self._holding and now_ns - end_ns > limit_s * NS_PER_S:
            self._hold(np.array(measured_q_J, np.float64))


def _motion(point: Point) -> Motion:
    return Motion(point.positions, point.velocities, point.accelerations)


def _filled(motion: Motion) -> Motion:
    zeros = np.zeros(len(motion.positions))
    return Motion(
        motion.positions,
        motion.velocities if len(motion.velocities) else zeros,
        motion.accelerations if len(motion.accelerations) else zeros,
    )
