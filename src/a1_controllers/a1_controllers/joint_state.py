"""Adapter for robots that take joint positions as sensor_msgs/JointState (AgiBot G1 and A2).

All joints of a command go out together, in the order of the spec, at the stream's rate. AgiBot's
GDK refuses a set-point farther than 0.2618 rad from the measured joint (G1), AimDK one that comes
more than 0.03 s after the one before (A2); both rules stand in the spec and a1_controllers.stream
keeps them.

When this process dies (kill -9) no further message comes. Neither GDK nor AimDK says what the arms
do then: `silence` is GAP in both specs, and hardware is refused until an operator has found out.
Hands keep the position that they were told last.
"""

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import JointState

from a1_controllers.adapter import Readiness
from a1_controllers.stream import listened_to
from a1_core.spec import CommandSpec, GripperSpec, RobotSpec
from a1_ros.messages import floats, to_joint_state
from a1_ros.qos import RELIABLE, qos_from_spec
from a1_ros.times import node_now_ns

EFFORT = "effort"


class JointStateSender:
    """One message for all joints of a command."""

    def __init__(self, node: Node, spec: RobotSpec, command: CommandSpec) -> None:
        self._node = node
        self._command = command
        self._where = f"{spec.path}: command {command.name}"

    def start(self) -> None:
        qos = qos_from_spec(self._command.qos, where=f"{self._where}.qos")
        self._publisher = self._node.create_publisher(JointState, self._command.endpoint, qos)

    def ready(self) -> Readiness:
        return listened_to(self._publisher)

    def begin(self) -> None:
        """Nothing is kept of a stream."""

    def fault(self) -> str:
        return ""

    def send(self, q_J: NDArray[np.float64], openings_G: NDArray[np.float64]) -> None:
        names = list(self._command.wire_names)
        self._publisher.publish(to_joint_state(names, q_J, node_now_ns(self._node)))

    def close(self) -> None:
        self._node.destroy_publisher(self._publisher)


class HandTopic:
    """Hands that are told by JointState on one topic, all of them in every message.

    A number in the command's `arguments` that is named `effort` is the effort of every joint; one
    with another name is the position of the joint of that name, sent before the hand's own.
    """

    def __init__(self, node: Node, topic: str) -> None:
        self._node = node
        self._topic = topic
        self._grippers: list[GripperSpec] = []
        self._units: list[float] = []
        self._publisher: Any = None

    def link(self, gripper: GripperSpec) -> "HandLink":
        """The link of one of the hands."""
        self._grippers.append(gripper)
        self._units.append(np.nan)
        return HandLink(self, len(self._grippers) - 1)

    def start(self) -> None:
        """Make the publisher, once."""
        if self._publisher is None:
            self._publisher = self._node.create_publisher(JointState, self._topic, RELIABLE)

    def ready(self) -> Readiness:
        """Whether somebody listens."""
        return listened_to(self._publisher)

    def measured(self, index: int, unit: float) -> None:
        """Where a hand stands; it is told so with the others as long as it has no wish."""
        if np.isnan(self._units[index]):
            self._units[index] = unit

    def command(self, index: int, unit: float) -> None:
        """Tell all hands, one of them something new."""
        self._units[index] = unit
        told = [
            (gripper, wish)
            for gripper, wish in zip(self._grippers, self._units, strict=True)
            if not np.isnan(wish)
        ]
        names, positions, efforts = [], [], []
        for gripper, wish in told:
            command = gripper.command
            fixed = {k: float(v) for k, v in command.arguments.items() if k != EFFORT}
            own = command.wire_names or (gripper.joint,)
            names += [*fixed, *own]
            positions += [*fixed.values(), *[command.from_unit(wish)] * len(own)]
            if EFFORT in command.arguments:
                efforts += [float(command.arguments[EFFORT])] * (len(fixed) + len(own))
        msg = to_joint_state(names, positions, node_now_ns(self._node))
        msg.effort = floats(np.array(efforts)) if efforts else array("d")
        self._publisher.publish(msg)

    def close(self) -> None:
        """Take the publisher down."""
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None


class HandLink:
    """A GripperLink to one hand of a topic."""

    def __init__(self, topic: HandTopic, index: int) -> None:
        self._topic = topic
        self._index = index

    def start(self) -> None:
        self._topic.start()

    def refresh(self) -> None:
        """Nothing waits for an answer."""

    def ready(self) -> Readiness:
        return self._topic.ready()

    def update(self, unit: float) -> None:
        self._topic.measured(self._index, unit)

    def command(self, unit: float) -> None:
        self._topic.command(self._index, unit)

    def forget(self) -> None:
        """A wish is sent at once."""

    def close(self) -> None:
        self._topic.close()
