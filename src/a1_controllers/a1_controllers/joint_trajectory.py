"""Adapter for ros2_control's joint_trajectory_controller, spoken to over its topic.

Each message is a window with its braking tail, so the arm stops by itself when this process dies
(also on kill -9). Jazzy's controller replaces the trajectory it has by the new one; points carry
position, velocity and acceleration, hence quintic segments, and the stamp is the time the window
was sampled at, so the path stays where it was however long the message took. Facts: jazzy
joint_trajectory_controller.cpp, validate_trajectory_msg and topic_callback.
"""

from collections.abc import Sequence
from typing import Any

from control_msgs.msg import JointTrajectoryControllerState
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.task import Future
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from a1_controllers.adapter import READY, Floats, Readiness, not_ready
from a1_core.player import Setpoint
from a1_core.spec import CommandSpec, RobotSpec
from a1_ros.messages import floats
from a1_ros.qos import RELIABLE, SENSOR
from a1_ros.times import ns_to_duration, ns_to_stamp, steady_now_ns

ACTIVE_NS = 2_000_000_000
ANSWER_NS = 900_000_000
# A message that is over before it arrives is refused: shorter ones get a point at rest after them.
SHORTEST_NS = 200_000_000


class JointTrajectoryLink:
    """Windows to the topic of one command."""

    def __init__(self, node: Node, spec: RobotSpec, command: CommandSpec) -> None:
        self._node = node
        self._command = command
        self._columns = [spec.joint_names.index(joint) for joint in command.joints]
        self._answer: dict[str, Any] | None = None
        self._asked_ns = 0
        self._updated_ns: int | None = None

    def start(self) -> None:
        command = self._command
        self._publisher = self._node.create_publisher(JointTrajectory, command.topic, RELIABLE)
        # Published while the controller is active; only that it comes counts, so it stays raw.
        self._activity = self._node.create_subscription(
            JointTrajectoryControllerState,
            f"{command.controller}/controller_state",
            self._on_activity,
            SENSOR,
            raw=True,
        )
        self._parameters = self._node.create_client(
            GetParameters, f"{command.controller}/get_parameters"
        )
        self.refresh()

    def refresh(self) -> None:
        if not self._parameters.service_is_ready():
            self._answer, self._asked_ns = None, 0
            return
        if steady_now_ns() - self._asked_ns < ANSWER_NS:
            return
        self._asked_ns = steady_now_ns()
        names = list(self._command.required_parameters)
        request = GetParameters.Request(names=names)
        self._parameters.call_async(request).add_done_callback(self._on_parameters)

    def _on_activity(self, _: bytes) -> None:
        self._updated_ns = steady_now_ns()

    def _on_parameters(self, future: Future) -> None:
        response = future.result()
        if response is None:
            return
        values = [parameter_value_to_python(value) for value in response.values]
        self._answer = dict(zip(self._command.required_parameters, values, strict=False))

    def ready(self) -> Readiness:
        command = self._command
        if self._publisher.get_subscription_count() == 0:
            return not_ready(
                f"nobody listens on {command.topic}: load and activate {command.controller}"
            )
        if self._answer is None:
            return not_ready(
                f"{command.controller} has not told its parameters yet: is it up, and is "
                "command.controller in the robot's spec its name?"
            )
        for name, wanted in command.required_parameters.items():
            found = self._answer.get(name)
            if not _equal(found, wanted):
                return not_ready(
                    f"{command.controller}: parameter {name} is {found}, streaming needs "
                    f"{wanted}: set it in the controller's YAML (see config/controllers) and "
                    "load the controller again"
                )
        if self._updated_ns is None or steady_now_ns() - self._updated_ns > ACTIVE_NS:
            return not_ready(
                f"{command.controller} publishes no controller_state, so it is not active: "
                "activate it (ros2 control set_controller_state NAME active)"
            )
        return READY

    def fault(self) -> str:
        """Its own answers come too seldom; the arm's distance from its command tells."""
        return ""

    def update(self, *, armed: bool, measured_D: Floats | None) -> None:
        """Messages carry their own end: nothing follows the last one."""

    def command(self, window: Sequence[Setpoint], *, stamp_ns: int) -> None:
        self._publisher.publish(self.message(window, stamp_ns=stamp_ns))

    def recover(self) -> None:
        """Nothing is to be done from here: the robot's own tools activate the controller."""

    def close(self) -> None:
        self._node.destroy_client(self._parameters)
        self._node.destroy_subscription(self._activity)
        self._node.destroy_publisher(self._publisher)

    def message(self, window: Sequence[Setpoint], *, stamp_ns: int) -> JointTrajectory:
        """The window as a message that starts at `stamp_ns`.

        The first set-point is left out: the arm is on its way there, and a point at time 0 would
        be jumped to by a controller that is late.
        """
        columns, start_ns = self._columns, window[0].time_ns
        msg = JointTrajectory(joint_names=list(self._command.wire_names))
        msg.header.stamp = ns_to_stamp(stamp_ns)
        msg.points = [
            JointTrajectoryPoint(
                positions=floats(setpoint.q_D[columns]),
                velocities=floats(setpoint.qd_D[columns]),
                accelerations=floats(setpoint.qdd_D[columns]),
                time_from_start=ns_to_duration(setpoint.time_ns - start_ns),
            )
            for setpoint in window[1:]
        ]
        if window[-1].time_ns - start_ns < SHORTEST_NS:
            last = msg.points[-1]
            msg.points.append(
                JointTrajectoryPoint(
                    positions=last.positions,
                    velocities=last.velocities,
                    accelerations=last.accelerations,
                    time_from_start=ns_to_duration(SHORTEST_NS),
                )
            )
        return msg


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list | tuple):
        return found is not None and list(found) == list(wanted)
    return found == wanted
