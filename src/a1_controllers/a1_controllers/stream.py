"""Windows as single set-points at a steady rate, for robots that follow no trajectories.

A thread of its own plays the window in hand: when the node's callbacks stall, the window's braking
tail still brings the arm to rest. Only when the whole process dies (kill -9) does the stream break
off in the middle of a motion. The robot is then left with its last set-point, which lies at most
velocity / rate ahead of the arm; what it makes of that is its vendor's matter, stands in the spec
as `stream.silence`, and hardware of which nobody has found that out is refused.
"""

import threading
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher

from a1_controllers.adapter import READY, Floats, Readiness, not_ready
from a1_controllers.played_window import PlayedWindow, played
from a1_core.player import Setpoint
from a1_core.spec import CommandSpec, RobotSpec
from a1_core.times import NS_PER_S
from a1_ros.times import node_now_ns, steady_now_ns

UNITS_PER_RAD = {"rad": 1.0, "deg": 180.0 / np.pi}
# Once disarmed, the last set-point goes out so many times more.
REPEATS = 3
# A stream that has not sent for so many periods stands still.
STALLED_PERIODS = 25.0


class Sender(Protocol):
    """A vendor's way to take one set-point; `send` is called from the stream's thread."""

    def start(self) -> None:
        """Make the endpoint."""

    def ready(self) -> Readiness:
        """Whether the robot's side is there."""

    def begin(self) -> None:
        """A new stream begins; what went wrong in the one before is past."""

    def fault(self) -> str:
        """Why set-points are not taken; empty when they are."""

    def send(self, q_J: NDArray[np.float64], openings_G: NDArray[np.float64]) -> None:
        """One set-point.

        Args:
            q_J: joints of the command in the order and unit of the message.
            openings_G: of the robot's grippers, 0 closed .. 1 open.
        """

    def close(self) -> None:
        """Take the endpoint down."""


class StreamedArm:
    """An ArmLink that streams to `sender`; keeps the vendor's step rule and gap rule.

    It sends from the first window after arming until the robot is disarmed and at rest; while the
    arm holds, that is the same set-point over and over.
    """

    def __init__(self, node: Node, spec: RobotSpec, command: CommandSpec, sender: Sender) -> None:
        assert command.stream is not None
        self._node = node
        self._stream = command.stream
        self._sender = sender
        self._joints = len(spec.joint_names)
        self._columns = [spec.joint_names.index(joint) for joint in command.joints]
        self._endpoint = command.endpoint
        self._window: PlayedWindow | None = None
        self._measured_J: Floats | None = None
        self._armed = False
        self._gap = ""
        self._sent_ns: int | None = None
        self._begun_ns = 0
        self._left = REPEATS
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"stream {command.name}")
        self.held_back = 0  # set-points that the step rule moved towards the arm

    def start(self) -> None:
        self._sender.start()
        self._thread.daemon = True
        self._thread.start()

    def refresh(self) -> None:
        """Nothing is asked: what the robot's side is doing shows in its answers."""

    def ready(self) -> Readiness:
        fault = self.fault()
        return not_ready(fault) if fault else self._sender.ready()

    def fault(self) -> str:
        window, sent_ns = self._window, self._sent_ns
        if window is None:
            return ""
        silent_ns = steady_now_ns() - (sent_ns or self._begun_ns)
        if silent_ns > STALLED_PERIODS / self._stream.rate_hz * NS_PER_S:
            return f"the stream to {self._endpoint} has stood still for {silent_ns / 1e6:.0f} ms"
        return self._gap or self._sender.fault()

    def update(self, *, armed: bool, measured_D: Floats | None) -> None:
        self._armed = armed
        self._measured_J = None if measured_D is None else measured_D[self._columns]

    def command(self, window: Sequence[Setpoint], *, stamp_ns: int) -> None:
        if self._window is None:
            self._gap, self._sent_ns, self._begun_ns = "", None, steady_now_ns()
            self._sender.begin()
        begin_ns = steady_now_ns() - (node_now_ns(self._node) - stamp_ns)
        self._window = played(window, begin_ns)

    def recover(self) -> None:
        """Nothing is to be done from here: the next stream begins without a past."""

    def close(self) -> None:
        """Play what is left of the window, which ends at rest, then take the endpoint down."""
        self._armed = False
        window = self._window
        if window is not None and self._thread.is_alive():
            left_ns = window.begin_ns + round(window.times_K[-1] * NS_PER_S) - steady_now_ns()
            period_s = (REPEATS + 1) / self._stream.rate_hz
            self._stopping.wait(max(left_ns, 0) / NS_PER_S + period_s)
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._sender.close()

    def _run(self) -> None:
        period_ns = round(NS_PER_S / self._stream.rate_hz)
        next_ns = steady_now_ns()
        while not self._stopping.wait(max(next_ns - steady_now_ns(), 0) / NS_PER_S):
            now_ns = steady_now_ns()
            next_ns = max(next_ns + period_ns, now_ns)
            self._step(now_ns)

    def _step(self, now_ns: int) -> None:
        window = self._window
        if window is None:
            self._left = REPEATS
            return
        t_s = (now_ns - window.begin_ns) / NS_PER_S
        over = t_s >= window.times_K[-1]
        self._left = self._left - 1 if over and not self._armed else REPEATS
        if self._left < 0:
            if self._window is window:
                self._window = None
            return
        self._watch_gap(now_ns)
        q_D = window.at(t_s)
        q_J = self._within_step(q_D[self._columns])
        self._sender.send(q_J * UNITS_PER_RAD[self._stream.unit], q_D[self._joints :])
        self._sent_ns = now_ns

    def _within_step(self, q_J: NDArray[np.float64]) -> NDArray[np.float64]:
        """The vendor's step rule: no set-point farther than `max_step` from the measured joint."""
        most, measured_J = self._stream.max_step, self._measured_J
        if most is None or measured_J is None:
            return q_J
        kept_J = np.clip(q_J, measured_J - most, measured_J + most)
        self.held_back += bool((kept_J != q_J).any())
        return kept_J

    def _watch_gap(self, now_ns: int) -> None:
        most_s, before_ns = self._stream.max_gap_s, self._sent_ns
        if most_s is None or before_ns is None or now_ns - before_ns <= most_s * NS_PER_S:
            return
        self._gap = (
            f"{(now_ns - before_ns) / 1e6:.0f} ms between two set-points on {self._endpoint}, "
            f"the robot allows {most_s * 1e3:.0f} ms: give this process a less busy computer, or a "
            "real-time priority (parameter realtime_priority)"
        )


def listened_to(publisher: Publisher) -> Readiness:
    """Ready when somebody listens who would hear a message that is sent now."""
    if publisher.get_subscription_count():
        return READY
    return not_ready(f"nobody listens on {publisher.topic_name}: start the robot's driver")
