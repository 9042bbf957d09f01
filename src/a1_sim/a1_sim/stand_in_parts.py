"""The stand-in's faces on ROS, one for each vendor protocol: commands, grippers, states, errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from control_msgs.action import GripperCommand, ParallelGripperCommand
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.action import ActionServer, CancelResponse
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from a1_core.errors import A1Error
from a1_core.spec import CommandSpec, GripperSpec, RobotSpec, StateSpec
from a1_ros.interfaces import load_interface
from a1_ros.messages import to_joint_state
from a1_ros.qos import RELIABLE, qos_from_spec
from a1_ros.times import node_now_ns
from a1_sim.jtc import TrajectoryController
from a1_sim.jtc_node import DEFAULTS, from_message, split_name
from a1_sim.stand_in_arm import Joints, StreamedSetpoints
from a1_sim.trajectory import JtcParameters

UNITS_PER_RAD = {"rad": 1.0, "deg": 180.0 / np.pi}
GOOD = 0  # Dobot's `res`
REFUSED = -1


class StandInJtc(Node):
    """Jazzy's trajectory controller under its own name, on the node's clock."""

    def __init__(
        self, spec: RobotSpec, command: CommandSpec, joints: Joints, period_ns: int, **kwargs: Any
    ) -> None:
        namespace, name = split_name(command.controller)
        super().__init__(name, **{**kwargs, "namespace": namespace, "use_global_arguments": False})
        for key, value in DEFAULTS.items():
            self.declare_parameter(key, value)
        self._columns = [spec.joint_names.index(joint) for joint in command.joints]
        self._joints = joints
        parameters = JtcParameters(joints=command.wire_names, interpolate_from_desired_state=True)
        self.controller = TrajectoryController(parameters, period_ns)
        self.controller.activate(joints.q_D[self._columns])
        self._state = self.create_publisher(
            JointTrajectoryControllerState, "~/controller_state", RELIABLE
        )
        self.create_subscription(JointTrajectory, command.topic, self._on_window, RELIABLE)

    def step(self) -> None:
        """Play on to now."""
        here = self._joints.q_D[self._columns]
        desired = self.controller.update(node_now_ns(self), here, np.zeros(len(here))).desired
        self._joints.place(self._columns, desired.positions, desired.velocities)

    def tell(self) -> None:
        """Say that the controller is active."""
        self._state.publish(JointTrajectoryControllerState())

    def _on_window(self, msg: JointTrajectory) -> None:
        refusal = self.controller.offer(from_message(msg), node_now_ns(self))
        if refusal is not None:
            self.get_logger().error(refusal, throttle_duration_sec=1.0)


def listen_to_stream(
    node: Node, spec: RobotSpec, command: CommandSpec, joints: Joints
) -> StreamedSetpoints:
    """Take the set-points of one command, over the vendor's topic or service."""
    assert command.stream is not None
    columns = [spec.joint_names.index(joint) for joint in command.joints]
    setpoints = StreamedSetpoints(joints, columns, command.stream)
    scale, arguments = UNITS_PER_RAD[command.stream.unit], command.stream.arguments
    kind = load_interface(command.type, where=f"{spec.path}: command {command.name}")

    def offer(numbers: Sequence[float]) -> bool:
        return setpoints.offer(np.asarray(numbers, np.float64) / scale, time.monotonic())

    def on_robot_cmd(msg: Any) -> None:
        if msg.mode == arguments["mode"] and offer(msg.joint_pos):
            gripper = spec.gripper.command
            unit = (msg.gripper - gripper.closed) / (gripper.open - gripper.closed)
            joints.goal_D[-1] = min(max(unit, 0.0), 1.0)

    def on_servo_j(request: Any, response: Any) -> Any:
        good = offer([getattr(request, letter) for letter in "abcdef"])
        response.res = GOOD if good else REFUSED
        return response

    if command.adapter == "servo_j":
        node.create_service(kind, command.endpoint, on_servo_j)
        return setpoints
    heard: Mapping[str, Callable[[Any], object]] = {
        "joint_state": lambda msg: offer(msg.position),
        "joint_group": lambda msg: offer(msg.cmd),
        "robot_cmd": on_robot_cmd,
    }
    qos = qos_from_spec(command.qos, where=f"{spec.path}: command {command.name}.qos")
    node.create_subscription(kind, command.endpoint, heard[command.adapter], qos)
    return setpoints


class StandInGripper:
    """One gripper on the vendor's interface; `told` are the numbers that came, in its own unit."""

    def __init__(self, node: Node, spec: RobotSpec, index: int, joints: Joints) -> None:
        self._gripper: GripperSpec = spec.grippers[index]
        self._column = len(spec.joint_names) + index
        self._joints = joints
        self._server: ActionServer | None = None
        self.told: list[float] = []
        command = self._gripper.command
        if command.interface in ("gripper_command", "parallel_gripper"):
            parallel = command.interface == "parallel_gripper"
            self._server = ActionServer(
                node,
                ParallelGripperCommand if parallel else GripperCommand,
                command.action,
                self._on_parallel_goal if parallel else self._on_goal,
                cancel_callback=lambda _: CancelResponse.ACCEPT,
            )
            return
        if command.interface == "with_arm":
            return
        kind = load_interface(command.type, where=f"{spec.path}: {self._gripper.name}")
        if command.interface == "tool_output":
            node.create_service(kind, command.endpoint, self._on_output)
        elif command.interface == "joint_single":
            node.create_subscription(kind, command.endpoint, self._on_single, RELIABLE)
        else:
            node.create_subscription(kind, command.endpoint, self._on_joint_state, RELIABLE)

    def close(self) -> None:
        """Take the server down."""
        if self._server is not None:
            self._server.destroy()

    def _tell(self, number: float) -> None:
        command = self._gripper.command
        self.told.append(number)
        unit = (number - command.closed) / (command.open - command.closed)
        self._joints.goal_D[self._column] = min(max(unit, 0.0), 1.0)

    def _on_goal(self, handle: Any) -> Any:
        position = handle.request.command.position
        self._tell(position)
        handle.succeed()
        return GripperCommand.Result(position=position, reached_goal=True)

    def _on_parallel_goal(self, handle: Any) -> Any:
        self._tell(handle.request.command.position[0])
        handle.succeed()
        return ParallelGripperCommand.Result(reached_goal=True)

    def _on_output(self, request: Any, response: Any) -> Any:
        self._tell(float(request.status))
        response.res = GOOD
        return response

    def _on_single(self, msg: Any) -> None:
        self._tell(msg.cmd)

    def _on_joint_state(self, msg: JointState) -> None:
        own = (self._gripper.command.wire_names or (self._gripper.joint,))[0]
        if own in msg.name:
            self._tell(msg.position[list(msg.name).index(own)])


def state_publisher(
    node: Node, spec: RobotSpec, source: StateSpec, joints: Joints
) -> Callable[[], None] | None:
    """What publishes one state source as the robot does; None where the robot tells nothing."""
    made_from = source.made_from
    if made_from is not None and made_from.topic is None:
        return None
    kind: Any = JointState
    topic = source.topic
    if made_from is not None and made_from.topic is not None:
        kind = load_interface(made_from.type, where=f"{spec.path}: state {made_from.topic}")
        topic = made_from.topic
    publisher = node.create_publisher(kind, topic, RELIABLE)
    read = partial(_read, spec, source, joints)

    def joint_state() -> None:
        q, qd = read()
        names = [] if source.by_place else list(source.wire_names)
        publisher.publish(to_joint_state(names, q, node_now_ns(node), velocities=qd))

    def end_state() -> None:
        q, qd = read()
        motor = load_interface("genie_msgs/msg/MotorState", where=str(spec.path))
        msg = kind(end_state=[motor(position=p, velocity=v) for p, v in zip(q, qd, strict=True)])
        msg.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(msg)

    def robot_status() -> None:
        q, qd = read()
        msg = kind(joint_pos=np.array(q), joint_vel=np.array(qd))
        msg.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(msg)

    if made_from is None:
        return joint_state
    known = {
        "genie_msgs/msg/EndState": end_state,
        "arx5_arm_msg/msg/RobotStatus": robot_status,
    }
    if made_from.type not in known:
        raise A1Error(f"{spec.path}: the stand-in cannot publish {made_from.type}")
    return known[made_from.type]


def _read(spec: RobotSpec, source: StateSpec, joints: Joints) -> tuple[list[float], list[float]]:
    """Positions and velocities of a source, in the robot's own units."""
    place = {joint: column for column, joint in enumerate(spec.joint_names)}
    hands = {gripper.joint: index for index, gripper in enumerate(spec.grippers)}
    q, qd = [], []
    for joint in source.joints:
        if joint in place:
            q.append(float(joints.q_D[place[joint]]))
            qd.append(float(joints.qd_D[place[joint]]))
        else:
            gripper = spec.grippers[hands[joint]]
            q.append(gripper.from_unit(float(joints.q_D[len(place) + hands[joint]])))
            qd.append(0.0)
    return q, qd


class StandInErrors:
    """The topics that say whether the robot can move; all is well until `say` says otherwise."""

    def __init__(self, node: Node, spec: RobotSpec) -> None:
        self._said: list[tuple[Any, Any]] = []
        for command in spec.commands:
            for error in command.error_states:
                kind = load_interface(error.type, where=f"{spec.path}: {error.topic}")
                qos = qos_from_spec(error.qos, where=f"{spec.path}: {error.topic}.qos")
                msg = kind(**{error.field: error.good[0]})
                self._said.append((node.create_publisher(kind, error.topic, qos), msg))

    def say(self, index: int, **fields: Any) -> None:
        """Change what error topic `index` says, and say it."""
        publisher, msg = self._said[index]
        for field, value in fields.items():
            setattr(msg, field, value)
        publisher.publish(msg)

    def tell(self) -> None:
        """Say all again."""
        for publisher, msg in self._said:
            publisher.publish(msg)
