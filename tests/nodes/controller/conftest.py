"""A robot's side that keeps Jazzy's rules, an operator, and the controller between them."""

import threading
import time
import uuid
from types import SimpleNamespace

import numpy as np
import pytest
from a1_msgs.msg import ActionChunk as ActionChunkMsg
from a1_msgs.msg import ChunkVerdict, ControllerState
from a1_msgs.srv import GoHome
from control_msgs.action import GripperCommand
from control_msgs.msg import JointTrajectoryControllerState
from controller_bench import SPEC, chunk
from rclpy.action import ActionServer, CancelResponse
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from a1_controllers.node import ControllerNode
from a1_ros.messages import chunk_to_msg, to_joint_state
from a1_ros.qos import RELIABLE
from a1_ros.times import node_now_ns
from a1_sim.jtc import TrajectoryController
from a1_sim.jtc_node import from_message
from a1_sim.trajectory import JtcParameters, refusal

PERIOD_S = 0.01
PARAMETERS = {"robot": str(SPEC.path), "hardware": False}


class RobotSide(Node):
    """Trajectory controller, joint states in another order, gripper; the arm follows exactly."""

    def __init__(self, interpolate_from_desired_state: bool = True) -> None:
        super().__init__("fr3_arm_controller", use_global_arguments=False)
        self.declare_parameter("interpolate_from_desired_state", interpolate_from_desired_state)
        self.declare_parameter("allow_nonzero_velocity_at_trajectory_end", False)
        self._rules = JtcParameters(joints=SPEC.joint_names, interpolate_from_desired_state=True)
        self.jtc = TrajectoryController(self._rules, round(PERIOD_S * 1e9))
        self.jtc.activate(SPEC.home)
        self.active, self.speaking = True, True
        self.refusals: list[str] = []
        self.opening = 1.0
        self.windows: list[JointTrajectory] = []
        self.desired = self.jtc.update(node_now_ns(self), SPEC.home, np.zeros(7)).desired
        self.goals: list[float] = []
        self._arm = self.create_publisher(JointState, SPEC.state_sources[0].topic, 10)
        self._hand = self.create_publisher(JointState, SPEC.state_sources[1].topic, 10)
        self._state = self.create_publisher(
            JointTrajectoryControllerState, "~/controller_state", RELIABLE
        )
        self.create_subscription(JointTrajectory, SPEC.command.topic, self._on_window, RELIABLE)
        self.create_timer(PERIOD_S, self._cycle)
        self._gripper = ActionServer(
            self,
            GripperCommand,
            SPEC.gripper.command.action,
            self._on_goal,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def destroy_node(self) -> None:
        self._gripper.destroy()
        super().destroy_node()

    def _on_window(self, msg: JointTrajectory) -> None:
        reason = refusal(from_message(msg), self._rules, node_now_ns(self))
        if reason is not None:
            self.refusals.append(reason)
            return
        self.windows.append(msg)
        self.jtc.offer(from_message(msg), node_now_ns(self))

    def _cycle(self) -> None:
        now_ns = node_now_ns(self)
        self.desired = self.jtc.update(now_ns, self.q, np.zeros(7)).desired
        if self.active:
            self._state.publish(JointTrajectoryControllerState())
        if not self.speaking:
            return
        order = [4, 0, 6, 1, 2, 5, 3]
        names = [SPEC.joint_names[joint] for joint in order]
        velocities = self.desired.velocities[order]
        self._arm.publish(to_joint_state(names, self.q[order], now_ns, velocities=velocities))
        width = SPEC.gripper.from_unit(self.opening)
        self._hand.publish(to_joint_state([SPEC.gripper.joint], [width], now_ns))

    def _on_goal(self, handle) -> GripperCommand.Result:
        self.goals.append(handle.request.command.position)
        self.opening = SPEC.gripper.to_unit(handle.request.command.position)
        handle.succeed()
        return GripperCommand.Result(position=handle.request.command.position, reached_goal=True)

    @property
    def q(self) -> np.ndarray:
        return self.desired.positions

    @property
    def speed(self) -> float:
        return float(np.abs(self.desired.velocities).max())


class Operator(Node):
    """Sends chunks, hears verdicts and states, calls services."""

    def __init__(self, wait_for) -> None:
        super().__init__("operator", use_global_arguments=False)
        self._wait_for = wait_for
        self.session, self.seq, self.reach, self.gripper = str(uuid.uuid4()), 0, 0.2, 1.0
        self.verdicts: list[ChunkVerdict] = []
        self.states: list[ControllerState] = []
        self._chunks = self.create_publisher(ActionChunkMsg, "a1/chunk", RELIABLE)
        self.create_subscription(ChunkVerdict, "a1/chunk_verdict", self.verdicts.append, RELIABLE)
        self.create_subscription(ControllerState, "a1/controller_state", self.states.append, 1)
        self._asked = {
            name: self.create_client(kind, f"a1/{name}")
            for name, kind in (
                ("arm", SetBool),
                ("stop", Trigger),
                ("reset", Trigger),
                ("go_home", GoHome),
                ("give_back", Trigger),
            )
        }
        self._driver = None

    def send(self, **changes) -> int:
        """A chunk of now; returns its number."""
        self.seq += 1
        told = {"session_id": self.session, "seq": self.seq} | changes
        stamp_ns = told.pop("stamp_ns", node_now_ns(self) - 20_000_000)
        made = chunk(stamp_ns, reach=self.reach, opening=self.gripper, **told)
        self.last_chunk = chunk_to_msg(made)
        self._chunks.publish(self.last_chunk)
        return made.seq

    def replay(self) -> None:
        self._chunks.publish(self.last_chunk)

    def code_of_next(self, send) -> int:
        """The verdict on what `send()` sends, and that it is the only one."""
        before = len(self.verdicts)
        send()
        assert self._wait_for(lambda: len(self.verdicts) > before)
        time.sleep(0.05)
        assert len(self.verdicts) == before + 1
        return self.verdicts[-1].code

    def drive(self, on: bool) -> None:
        """A chunk every 0.3 s, there and back."""

        def replan() -> None:
            self.send()
            self.reach = -self.reach

        if self._driver is not None:
            self.destroy_timer(self._driver)
            self._driver = None
        if on:
            self._driver = self.create_timer(0.3, replan)

    def call(self, name: str, request=None):
        client = self._asked[name]
        assert self._wait_for(client.service_is_ready)
        done = threading.Event()
        future = client.call_async(request or client.srv_type.Request())
        future.add_done_callback(lambda _: done.set())
        assert done.wait(10.0)
        return future.result()

    def arm(self, on: bool = True):
        """Arm or disarm; arming waits until the robot's side is known to be ready."""
        answers = []

        def tried() -> bool:
            answers.append(self.call("arm", SetBool.Request(data=on)))
            return answers[-1].success

        self._wait_for(tried, 5.0 if on else 0.0)
        return answers[-1]

    @property
    def mode(self) -> int:
        return self.states[-1].mode if self.states else -1

    @property
    def reason(self) -> str:
        return self.states[-1].reason


def controller_node(**parameters) -> ControllerNode:
    values = PARAMETERS | parameters
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    return ControllerNode(parameter_overrides=overrides, use_global_arguments=False)


class Rig:
    def __init__(self, ros, wait_for) -> None:
        self.ros, self.wait_for = ros, wait_for
        self.robot = ros.add(RobotSide())
        self.operator = ros.add(Operator(wait_for))
        self.controller = ros.add(controller_node())
        self.controller.trigger_configure()
        self.controller.trigger_activate()

    def armed(self) -> "Rig":
        answer = self.operator.arm()
        assert answer.success, answer.message
        assert self.wait_for(lambda: self.operator.mode == ControllerState.HOLD)
        time.sleep(0.05)  # chunks that were observed before arming do not count
        return self

    def tracking(self) -> "Rig":
        self.armed().operator.drive(True)
        assert self.wait_for(lambda: self.robot.speed > 0.05)
        return self

    def rests(self, timeout_s: float = 2.0) -> bool:
        return self.wait_for(lambda: self.robot.speed < 1e-6, timeout_s)


@pytest.fixture
def rig(ros, wait_for) -> Rig:
    """All three, disarmed."""
    return Rig(ros, wait_for)


@pytest.fixture
def parts() -> SimpleNamespace:
    """What a test that brings things up by itself needs."""
    return SimpleNamespace(
        RobotSide=RobotSide,
        Operator=Operator,
        controller_node=controller_node,
        parameters=PARAMETERS,
    )
