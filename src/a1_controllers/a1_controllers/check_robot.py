"""`check_robot ROBOT`: compares a robot's spec with the robot that runs, and moves nothing."""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from a1_controllers.kinematics_check import check_kinematics
from a1_controllers.robot_check import (
    Finding,
    Level,
    check_description,
    check_endpoints,
    check_gaps,
    check_states,
    table,
)
from a1_core.errors import A1Error
from a1_core.spec import RobotSpec
from a1_data.share import find_spec
from a1_ros.qos import LATCHED, SENSOR


class Listener(Node):
    """Hears the description and one message of every joint state source."""

    def __init__(self, spec: RobotSpec) -> None:
        super().__init__("check_robot")
        self._spec = spec
        self.urdf: str | None = None
        self.states: dict[int, tuple[Sequence[str], int]] = {}
        self.create_subscription(String, "/robot_description", self._on_description, LATCHED)
        for index, source in enumerate(spec.state_sources):
            heard = partial(self._on_state, index)
            self.create_subscription(JointState, source.topic, heard, SENSOR)

    def findings(self) -> list[Finding]:
        """What was heard so far, and the graph as it is now."""
        types = dict(self.get_topic_names_and_types()) | dict(self.get_service_names_and_types())
        return [
            *check_gaps(self._spec),
            *check_description(self._spec, self.urdf),
            *check_kinematics(self._spec, self.urdf),
            *check_states(self._spec, self.states),
            *check_endpoints(self._spec, types),
        ]

    def _on_description(self, msg: String) -> None:
        self.urdf = msg.data

    def _on_state(self, index: int, msg: JointState) -> None:
        source = self._spec.state_sources[index]
        if source.places(msg.name, len(msg.position)) or index not in self.states:
            self.states[index] = (tuple(msg.name), len(msg.position))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 nothing is wrong, 1 something is, 2 the spec or the use of this is wrong."""
    words = remove_ros_args(sys.argv)[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="check_robot", description=__doc__)
    parser.add_argument("robot", help="name of a shipped spec (openarm_v2), or a file")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to listen")
    options = parser.parse_args(words)
    try:
        spec = find_spec(options.robot)
    except A1Error as error:
        print(f"check_robot: {error}", file=sys.stderr)
        return 2
    findings = listen(spec, options.seconds)
    bad = sum(finding.level is Level.BAD for finding in findings)
    print(f"{spec.robot} {spec.variant} ({spec.path}), digest {spec.digest[:12]}")
    print(table(findings))
    print(f"{bad} wrong" if bad else "nothing is wrong")
    return 1 if bad else 0


def listen(spec: RobotSpec, seconds: float) -> list[Finding]:
    """Listen for so long, then compare."""
    rclpy.init()
    node = Listener(spec)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            executor.spin_once(timeout_sec=0.1)
        return node.findings()
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
