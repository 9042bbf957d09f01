"""The trajectory controller's face on ROS: its node name, parameters, topic and state."""

from array import array
from typing import Any

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from a1_core.errors import A1Error
from a1_core.spec import RobotSpec
from a1_ros.qos import RELIABLE
from a1_ros.times import ns_to_duration, ns_to_stamp, stamp_to_ns
from a1_sim.jtc import TrajectoryController
from a1_sim.robot import SimulatedRobot
from a1_sim.trajectory import JtcParameters, Motion, Point, Trajectory

# Names and defaults: joint_trajectory_controller_parameters.yaml of ros2_controllers, jazzy.
# The simulator streams, so it starts with what streaming needs; the rest are Jazzy's defaults.
DEFAULTS: dict[str, Any] = {
    "command_interfaces": ["position"],
    "state_interfaces": ["position", "velocity"],
    "allow_partial_joints_goal": False,
    "open_loop_control": False,
    "interpolate_from_desired_state": True,
    "allow_integration_in_goal_trajectories": False,
    "interpolation_method": "splines",
    "allow_nonzero_velocity_at_trajectory_end": False,
    "cmd_timeout": 0.0,
    "constraints.stopped_velocity_tolerance": 0.01,
    "constraints.goal_time": 0.0,
    "constraints.decelerate_on_cancel": False,
}


def split_name(full_name: str) -> tuple[str, str]:
    """Namespace and name of a node as a spec writes it, e.g. /fr3_arm_controller."""
    namespace, _, name = full_name.rpartition("/")
    return namespace, name


class JtcNode(Node):
    """Takes trajectories for the robot and tells what it does with them."""

    def __init__(self, spec: RobotSpec, update_rate_hz: int, **node_kwargs: Any) -> None:
        namespace, name = split_name(spec.command.controller)
        # The simulator's own remapping of names is not meant for it.
        isolated = {"namespace": namespace, "use_global_arguments": False}
        super().__init__(name, **{**node_kwargs, **isolated})
        read_only = ParameterDescriptor(read_only=True)
        self.declare_parameter("joints", list(spec.joint_names), read_only)
        self.declare_parameter("update_rate", update_rate_hz, read_only)
        for key, value in DEFAULTS.items():
            self.declare_parameter(key, value, read_only)
        method = self.get_parameter("interpolation_method").value
        if method not in ("splines", "none"):
            raise A1Error(f"interpolation_method '{method}': use splines or none")
        parameters = JtcParameters(
            joints=tuple(spec.joint_names),
            cmd_timeout_s=self.get_parameter("cmd_timeout").value,
            interpolation_method=method,
            **{
                key: self.get_parameter(key).value
                for key in (
                    "interpolate_from_desired_state",
                    "allow_nonzero_velocity_at_trajectory_end",
                    "allow_partial_joints_goal",
                )
            },
        )
        self.controller = TrajectoryController(parameters, round(1e9 / update_rate_hz))
        self._robot: SimulatedRobot | None = None
        self._topic = spec.command.topic
        self._state = self.create_publisher(
            JointTrajectoryControllerState, "~/controller_state", RELIABLE
        )

    def activate(self, robot: SimulatedRobot) -> None:
        """Listen, on behalf of the robot whose clock counts."""
        self._robot = robot
        self.create_subscription(JointTrajectory, self._topic, self._on_trajectory, RELIABLE)

    def _on_trajectory(self, msg: JointTrajectory) -> None:
        assert self._robot is not None
        trajectory = from_message(msg)
        if 0 < trajectory.stamp_ns <= self._robot.reset_ns:
            # The brake of the episode before, overtaken by the reset: it would pull the arm back.
            return
        reason = self.controller.offer(trajectory, self._robot.now_ns)
        if reason is not None:
            self.get_logger().error(reason, throttle_duration_sec=1.0)

    def publish_state(self, robot: SimulatedRobot) -> None:
        """Publish desired, measured and error, when someone listens."""
        if robot.last is None or self._state.get_subscription_count() == 0:
            return
        world, desired = robot.world, robot.last.desired
        measured = Motion(world.joint_positions, world.joint_velocities, np.zeros(0))
        msg = JointTrajectoryControllerState()
        msg.header.stamp = ns_to_stamp(robot.now_ns)
        msg.joint_names = list(self.controller.parameters.joints)
        msg.reference = _point(desired)
        msg.feedback = _point(measured)
        msg.error = _point(
            Motion(
                desired.positions - measured.positions,
                desired.velocities - measured.velocities,
                np.zeros(0),
            )
        )
        msg.output = _point(robot.last.command)
        msg.speed_scaling_factor = 1.0
        self._state.publish(msg)


def from_message(msg: JointTrajectory) -> Trajectory:
    """The message as a pure value."""
    return Trajectory(
        stamp_ns=stamp_to_ns(msg.header.stamp),
        joint_names=tuple(msg.joint_names),
        points=tuple(
            Point(
                time_ns=stamp_to_ns(point.time_from_start),
                positions=np.array(point.positions, np.float64),
                velocities=np.array(point.velocities, np.float64),
                accelerations=np.array(point.accelerations, np.float64),
                effort=np.array(point.effort, np.float64),
            )
            for point in msg.points
        ),
    )


def _point(motion: Motion) -> JointTrajectoryPoint:
    return JointTrajectoryPoint(
        positions=array("d", motion.positions.tobytes()),
        velocities=array("d", motion.velocities.tobytes()),
        accelerations=array("d", motion.accelerations.tobytes()),
        time_from_start=ns_to_duration(0),
    )
