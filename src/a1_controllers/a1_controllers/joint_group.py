"""Adapter for Interbotix X-series arms (ALOHA): JointGroupCommand, and JointSingleCommand.

The group's operating mode must be `position`, in which a message is rad in the order of the group,
and the gripper's `current_based_position`. Messages are float32.

When this process dies (kill -9) no further message comes, and the DYNAMIXEL servos hold the last
position they were told: the arm stops there, with the servos' own gains and not along a braking
curve. Nothing may take the torque away, because without it the arm drops; a stop is therefore the
last set-point, over and over.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node

from a1_controllers.adapter import Readiness
from a1_controllers.stream import listened_to
from a1_core.spec import CommandSpec, GripperSpec, RobotSpec
from a1_ros.interfaces import load_interface
from a1_ros.qos import RELIABLE, qos_from_spec


class JointGroupSender:
    """One message for the joints of one group, which `stream.arguments` name."""

    def __init__(self, node: Node, spec: RobotSpec, command: CommandSpec) -> None:
        assert command.stream is not None
        where = f"{spec.path}: command {command.name}"
        self._node = node
        self._command = command
        self._group = str(command.stream.arguments["name"])
        self._kind = load_interface(command.type, where=where)
        self._qos = qos_from_spec(command.qos, where=f"{where}.qos")

    def start(self) -> None:
        self._publisher = self._node.create_publisher(self._kind, self._command.endpoint, self._qos)

    def ready(self) -> Readiness:
        return listened_to(self._publisher)

    def begin(self) -> None:
        """Nothing is kept of a stream."""

    def fault(self) -> str:
        return ""

    def send(self, q_J: NDArray[np.float64], openings_G: NDArray[np.float64]) -> None:
        self._publisher.publish(self._kind(name=self._group, cmd=q_J.tolist()))

    def close(self) -> None:
        self._node.destroy_publisher(self._publisher)


class JointSingleLink:
    """A GripperLink by JointSingleCommand."""

    def __init__(self, node: Node, spec: RobotSpec, gripper: GripperSpec) -> None:
        self._node = node
        self._command = gripper.command
        self._name = (gripper.command.wire_names or (gripper.joint,))[0]
        self._kind = load_interface(gripper.command.type, where=f"{spec.path}: {gripper.name}")
        self._publisher: Any = None

    def start(self) -> None:
        self._publisher = self._node.create_publisher(self._kind, self._command.endpoint, RELIABLE)

    def refresh(self) -> None:
        """Nothing waits for an answer."""

    def ready(self) -> Readiness:
        return listened_to(self._publisher)

    def update(self, unit: float) -> None:
        """The present opening is no matter."""

    def command(self, unit: float) -> None:
        self._publisher.publish(self._kind(name=self._name, cmd=self._command.from_unit(unit)))

    def forget(self) -> None:
        """A wish is sent at once."""

    def close(self) -> None:
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None
