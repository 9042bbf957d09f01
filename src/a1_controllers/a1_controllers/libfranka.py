"""Adapter for a Franka without ros2_control: pylibfranka in a process of its own.

That process (a1_controllers.libfranka_process) answers the robot every millisecond, plays the
windows that it is sent, and tells what it reads; there is no other driver, so the joint states come
from here too. It is soft real time: a computer that keeps it waiting gets the robot's own
communication_constraints_violation.

When the controller's process dies (kill -9) the child reads that its pipe has closed, plays the
window in hand to its end, which is at rest, ends the motion and goes. When the child dies the robot
misses its packets and stops by itself.
"""

import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import JointState

from a1_controllers.adapter import READY, Floats, Readiness, not_ready
from a1_controllers.libfranka_report import Report
from a1_controllers.played_window import played
from a1_core.errors import A1Error
from a1_core.player import Setpoint
from a1_core.spec import CommandSpec, GripperSpec, RobotSpec
from a1_ros.messages import to_joint_state
from a1_ros.qos import RELIABLE
from a1_ros.times import node_now_ns, steady_now_ns

POLL_S = 0.005
# A child that has told nothing for so many times the allowed age of a joint state is not there.
SILENT_AGES = 5.0
CLOSE_S = 3.0
# Between two attempts to reach a robot.
RETRY_NS = 5_000_000_000
# franka::RobotMode in which the arm takes commands.
GOOD_MODES = ("Idle", "Move")


class LibfrankaLink:
    """An ArmLink to one Franka; its hand is a LibfrankaHand of the same connection.

    Args:
        address: host name or IP of the robot.
    """

    def __init__(self, node: Node, spec: RobotSpec, command: CommandSpec, address: str) -> None:
        if find_spec("pylibfranka") is None:
            raise A1Error(
                f"{spec.path}: command {command.name}: needs package pylibfranka, which is not "
                "installed: pip install pylibfranka"
            )
        assert command.stream is not None
        self._node = node
        self._spec = spec
        self._address = address
        self._max_lag_s = float(command.stream.arguments["max_lag_s"])
        self._columns = [spec.joint_names.index(joint) for joint in command.joints]
        self._source = next(source for source in spec.state_sources if source.made_from is not None)
        self._silent_ns = round(SILENT_AGES * self._source.max_age_s * 1e9)
        self._report: Report | None = None
        self._ended = False
        self._armed = False
        self._started_ns = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._report, self._ended, self._started_ns = None, False, steady_now_ns()
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "a1_controllers.libfranka_process"),
                *(self._address, str(theirs.fileno()), str(self._max_lag_s)),
            ],
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        self._pipe = Connection(ours.detach())
        self._publisher = self._node.create_publisher(JointState, self._source.topic, RELIABLE)
        self._timer = self._node.create_timer(
            POLL_S, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def refresh(self) -> None:
        """Speak to a robot anew that could not be reached, once it is nobody's motion any more."""
        if not self._ended or self._armed or steady_now_ns() - self._started_ns < RETRY_NS:
            return
        self.close()
        self.start()

    def ready(self) -> Readiness:
        fault = self.fault()
        if fault:
            return not_ready(fault)
        report = self._report
        if report is None:
            return not_ready(f"no state of the robot at {self._address} yet: is its FCI active?")
        if report.mode not in GOOD_MODES:
            return not_ready(f"the robot's mode is {report.mode}: release it, and activate its FCI")
        return READY

    def fault(self) -> str:
        report = self._report
        if self._ended:
            return (
                f"no connection to the robot at {self._address}; the output of the process that "
                "speaks to it says why, and it is tried anew"
            )
        if report is None:
            return ""
        if self._silent(report):
            return "the process that speaks to the robot is silent"
        return report.fault

    def update(self, *, armed: bool, measured_D: Floats | None) -> None:
        self._armed = armed

    def command(self, window: Sequence[Setpoint], *, stamp_ns: int) -> None:
        begin_ns = steady_now_ns() - (node_now_ns(self._node) - stamp_ns)
        whole = played(window, begin_ns)
        columns = self._columns
        self.tell(
            "window", begin_ns, whole.times_K, whole.q_KD[:, columns], whole.qd_KD[:, columns]
        )

    def recover(self) -> None:
        """Let the robot recover from a reflex; its arm has to stand free."""
        self.tell("recover")

    def tell(self, *message: Any) -> None:
        """To the child; dropped when it is gone or does not listen, because no call may wait."""
        if self._ended or (self._report is not None and self._silent(self._report)):
            return
        try:
            self._pipe.send(message)
        except OSError:
            self._ended = True

    def close(self) -> None:
        """Let the child play its window to the end, then end it."""
        process, self._process = self._process, None
        if process is None:
            return
        self._node.destroy_timer(self._timer)
        self._pipe.close()
        try:
            process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._node.destroy_publisher(self._publisher)

    def _silent(self, report: Report) -> bool:
        return steady_now_ns() - report.read_ns > self._silent_ns

    def _poll(self) -> None:
        newest: Report | None = None
        try:
            while not self._ended and self._pipe.poll():
                newest = self._pipe.recv()
        except (EOFError, OSError):
            self._ended = True
        if newest is None:
            return
        self._report = newest
        # The hand's fingers travel half its width each.
        fingers = [newest.width_m / 2.0] * len(self._spec.grippers)
        self._publisher.publish(
            to_joint_state(
                self._source.wire_names,
                [*newest.q_J, *fingers],
                node_now_ns(self._node) - (steady_now_ns() - newest.read_ns),
                velocities=[*newest.qd_J, *np.zeros(len(fingers))],
            )
        )


class LibfrankaHand:
    """A GripperLink to the Franka Hand: closing grasps, opening moves."""

    def __init__(self, link: LibfrankaLink, gripper: GripperSpec) -> None:
        self._link = link
        self._command = gripper.command

    def start(self) -> None:
        """The arm's process speaks to the hand as well."""

    def refresh(self) -> None:
        """The child does not lose what it is told."""

    def ready(self) -> Readiness:
        return self._link.ready()

    def update(self, unit: float) -> None:
        """The present opening is no matter."""

    def command(self, unit: float) -> None:
        arguments = self._command.arguments
        width_m = self._command.from_unit(unit)
        closing = unit < 0.5
        self._link.tell("hand", width_m, closing, arguments["speed"], arguments["force"])

    def forget(self) -> None:
        self._link.tell("forget_hand")

    def close(self) -> None:
        """The arm's process ends with the arm."""
