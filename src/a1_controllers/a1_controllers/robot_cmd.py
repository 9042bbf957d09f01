"""Adapter for ARX arms: arx5_arm_msg/RobotCmd with the joints, the gripper and the mode in one.

Mode 5 is position control; the gripper's number travels with every message, so it is the opening
that the plan has at that moment and a stop leaves it where it is.

When this process dies (kill -9) no further message comes. ARX' library is closed and says nothing
of what the arm does then: `silence` is GAP in the spec, and hardware is refused until an operator
has found out. Without power the X5 cannot hold itself.
"""

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node

from a1_controllers.adapter import READY, Readiness
from a1_controllers.stream import listened_to
from a1_core.spec import CommandSpec, RobotSpec
from a1_ros.interfaces import load_interface
from a1_ros.qos import qos_from_spec
from a1_ros.times import node_now_ns, ns_to_stamp


class RobotCmdSender:
    """One message for the whole robot; `stream.arguments` give its mode."""

    def __init__(self, node: Node, spec: RobotSpec, command: CommandSpec) -> None:
        assert command.stream is not None
        where = f"{spec.path}: command {command.name}"
        self._node = node
        self._endpoint = command.endpoint
        self._mode = int(command.stream.arguments["mode"])
        self._gripper = spec.gripper.command
        self._kind = load_interface(command.type, where=where)
        self._qos = qos_from_spec(command.qos, where=f"{where}.qos")

    def start(self) -> None:
        self._publisher = self._node.create_publisher(self._kind, self._endpoint, self._qos)

    def ready(self) -> Readiness:
        return listened_to(self._publisher)

    def begin(self) -> None:
        """Nothing is kept of a stream."""

    def fault(self) -> str:
        return ""

    def send(self, q_J: NDArray[np.float64], openings_G: NDArray[np.float64]) -> None:
        msg = self._kind(mode=self._mode, joint_pos=q_J)
        msg.header.stamp = ns_to_stamp(node_now_ns(self._node))
        msg.gripper = self._gripper.from_unit(float(openings_G[0]))
        self._publisher.publish(msg)

    def close(self) -> None:
        self._node.destroy_publisher(self._publisher)


class WithArmLink:
    """A GripperLink that has nothing to do: the arm's own message carries the opening."""

    def start(self) -> None:
        """No endpoint of its own."""

    def refresh(self) -> None:
        """Nothing waits for an answer."""

    def ready(self) -> Readiness:
        return READY

    def update(self, unit: float) -> None:
        """The present opening is no matter."""

    def command(self, unit: float) -> None:
        """The set-points carry it."""

    def forget(self) -> None:
        """The braking window keeps the opening."""

    def close(self) -> None:
        """No endpoint of its own."""
