"""Joint states for robots that publish none: made of the vendor's message, or of the last command.

They go out on the topic that the spec names, where the controller itself, the policy and the
recorder listen as they do to any other robot.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import JointState

from a1_core.spec import RobotSpec, StateSpec
from a1_ros.interfaces import load_interface
from a1_ros.messages import to_joint_state
from a1_ros.qos import RELIABLE, SENSOR
from a1_ros.times import node_now_ns, stamp_to_ns

COMMANDED = "commanded"
# Read by the adapter that speaks to the robot, and published there.
BY_THE_ADAPTER = ("libfranka",)
# Twice as often as the spec asks for, so that a late one is no lost one.
TIMES_THE_RATE = 2.0

Numbers = tuple[Sequence[float], Sequence[float]]


def _end_state(msg: Any) -> Numbers:
    """genie_msgs/EndState of AgiBot: one motor an actuator of the hand."""
    return (
        [motor.position for motor in msg.end_state],
        [motor.velocity for motor in msg.end_state],
    )


def _robot_status(msg: Any) -> Numbers:
    """arx5_arm_msg/RobotStatus: six joints and the gripper's motor."""
    return list(msg.joint_pos), list(msg.joint_vel)


# Positions and velocities of a message, in the order of the source's joints.
CONVERSIONS: Mapping[str, Callable[[Any], Numbers]] = {
    "genie_msgs/msg/EndState": _end_state,
    "arx5_arm_msg/msg/RobotStatus": _robot_status,
}


class MadeStates:
    """Publishes every state source of a spec that has `made_from`.

    A gripper that tells nothing counts as open until it is told to close: then a wish to open it
    changes nothing and is not sent, so that arming never drops what a hand holds.
    """

    def __init__(self, node: Node, spec: RobotSpec) -> None:
        self._node = node
        self._spec = spec
        self._openings = {gripper.joint: 1.0 for gripper in spec.grippers}
        self._publishers: list[Any] = []
        self._subscriptions: list[Any] = []
        self._timers: list[Any] = []

    def start(self) -> None:
        """Listen and publish; raises A1Error when a message package is missing."""
        for source in self._spec.state_sources:
            if source.made_from is None or source.made_from.type in BY_THE_ADAPTER:
                continue
            publisher = self._node.create_publisher(JointState, source.topic, RELIABLE)
            self._publishers.append(publisher)
            if source.made_from.type == COMMANDED:
                self._timers.append(
                    self._node.create_timer(
                        1.0 / (TIMES_THE_RATE * source.rate_hz),
                        partial(self._publish_commanded, publisher, source),
                        clock=Clock(clock_type=ClockType.STEADY_TIME),
                    )
                )
                continue
            kind = load_interface(
                source.made_from.type, where=f"{self._spec.path}: state_sources {source.topic}"
            )
            heard = partial(self._on_message, publisher, source)
            self._subscriptions.append(
                self._node.create_subscription(kind, source.made_from.topic, heard, SENSOR)
            )

    def gripper_told(self, index: int, unit: float) -> None:
        """Gripper `index` was told to go to `unit` (0 closed .. 1 open)."""
        self._openings[self._spec.grippers[index].joint] = unit

    def close(self) -> None:
        """Take everything down."""
        for timer in self._timers:
            self._node.destroy_timer(timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
        self._timers, self._subscriptions, self._publishers = [], [], []

    def _publish_commanded(self, publisher: Any, source: StateSpec) -> None:
        by_joint = {gripper.joint: gripper for gripper in self._spec.grippers}
        positions = [by_joint[joint].from_unit(self._openings[joint]) for joint in source.joints]
        names = list(source.wire_names)
        publisher.publish(to_joint_state(names, positions, node_now_ns(self._node)))

    def _on_message(self, publisher: Any, source: StateSpec, msg: Any) -> None:
        assert source.made_from is not None
        positions, velocities = CONVERSIONS[source.made_from.type](msg)
        count = min(len(source.wire_names), len(positions))
        stamp_ns = stamp_to_ns(msg.header.stamp) or node_now_ns(self._node)
        publisher.publish(
            to_joint_state(
                source.wire_names[:count],
                positions[:count],
                stamp_ns,
                velocities=velocities[:count],
            )
        )
