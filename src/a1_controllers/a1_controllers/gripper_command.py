"""Gripper through an action server: control_msgs/GripperCommand or ParallelGripperCommand."""

from collections.abc import Callable, Mapping
from typing import Any

from action_msgs.msg import GoalStatus
from control_msgs.action import GripperCommand, ParallelGripperCommand
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import JointState

from a1_controllers.adapter import READY, Readiness, not_ready
from a1_core.spec import GripperSpec
from a1_ros.times import steady_now_ns

ANSWER_NS = 1_000_000_000


def _gripper_command(spec: GripperSpec, position: float) -> Any:
    goal = GripperCommand.Goal()
    goal.command.position = position
    goal.command.max_effort = float(spec.command.max_effort)
    return goal


def _parallel(spec: GripperSpec, position: float) -> Any:
    """Efforts are limits of the controller's joint; it takes exactly one."""
    goal = ParallelGripperCommand.Goal()
    goal.command = JointState(
        name=[(spec.command.wire_names or (spec.joint,))[0]],
        position=[position],
        effort=[float(spec.command.max_effort)],
    )
    return goal


ACTIONS: Mapping[str, tuple[Any, Callable[[GripperSpec, float], Any]]] = {
    "gripper_command": (GripperCommand, _gripper_command),
    "parallel_gripper": (ParallelGripperCommand, _parallel),
}


class GripperCommandClient:
    """Sends the newest wish and never waits for it.

    A goal that still runs is cancelled first and the new one sent when the old one has ended,
    because some drivers stop the hand on a cancel. A request that stays without answer (it may
    have been lost while the two sides were finding each other) is sent again by `refresh`.
    """

    def __init__(self, node: Node, spec: GripperSpec) -> None:
        self._spec = spec
        kind, self._goal = ACTIONS[spec.command.interface]
        self._client = ActionClient(node, kind, spec.command.action)
        self._wish: float | None = None
        self._unanswered: float | None = None
        self._asked_ns = 0  # when the request in flight left, steady clock; 0: none is in flight
        self._running: ClientGoalHandle | None = None
        self.goals_sent = 0
        self.goals_failed = 0

    def start(self) -> None:
        """The client looks for its server from the beginning."""

    def ready(self) -> Readiness:
        """Whether an action server is there."""
        if self._client.server_is_ready():
            return READY
        return not_ready(f"no action server on {self._spec.command.action}: start the gripper")

    def update(self, unit: float) -> None:
        """The present opening is no matter."""

    def command(self, unit: float) -> None:
        """Bring the hand to `unit` (0 closed .. 1 open) as soon as the driver is free."""
        self._wish = unit
        self._advance()

    def forget(self) -> None:
        """Drop the wish that was not sent yet; a goal that runs goes on."""
        self._wish = self._unanswered = None

    def refresh(self) -> None:
        """Send what had no server or no answer."""
        if self._asked_ns and steady_now_ns() - self._asked_ns > ANSWER_NS:
            self._asked_ns = 0
            self._running = None
            if self._wish is None:
                self._wish = self._unanswered
        self._advance()

    def close(self) -> None:
        """Take the client down."""
        self.forget()
        self._client.destroy()

    def _advance(self) -> None:
        if self._wish is None or self._asked_ns or not self._client.server_is_ready():
            return
        self._asked_ns = asked_ns = steady_now_ns()
        if self._running is not None:
            self._running.cancel_goal_async().add_done_callback(
                lambda future: self._on_cancel(asked_ns, future)
            )
            return
        goal = self._goal(self._spec, self._spec.command.from_unit(self._wish))
        self._wish, self._unanswered = None, self._wish
        self.goals_sent += 1
        self._client.send_goal_async(goal).add_done_callback(
            lambda future: self._on_answer(asked_ns, future)
        )

    def _on_answer(self, asked_ns: int, future: Future) -> None:
        if asked_ns != self._asked_ns:
            return  # given up on
        self._asked_ns, self._unanswered = 0, None
        handle = future.result()
        if handle is None or not handle.accepted:
            self.goals_failed += 1
        else:
            self._running = handle
            handle.get_result_async().add_done_callback(
                lambda result: self._on_result(handle, result)
            )
        self._advance()

    def _on_cancel(self, asked_ns: int, future: Future) -> None:
        if asked_ns != self._asked_ns:
            return
        self._asked_ns = 0
        response = future.result()
        if response is None or not response.goals_canceling:
            self._running = None  # it will not end for us: the driver replaces it by the next goal
            self._advance()

    def _on_result(self, handle: ClientGoalHandle, future: Future) -> None:
        if handle is not self._running:
            return
        self._running = None
        response = future.result()
        if response is not None and response.status == GoalStatus.STATUS_ABORTED:
            self.goals_failed += 1
        self._advance()
