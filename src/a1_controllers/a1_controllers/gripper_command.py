"""Gripper through a control_msgs/GripperCommand action server."""

from action_msgs.msg import GoalStatus
from control_msgs.action import GripperCommand
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from a1_core.spec import GripperSpec


class GripperCommandClient:
    """Sends the newest wish and never waits for it.

    A goal that still runs is cancelled first and the new one sent when the old one has ended,
    because some drivers stop the hand on a cancel.
    """

    def __init__(self, node: Node, spec: GripperSpec) -> None:
        self._spec = spec
        self._client = ActionClient(node, GripperCommand, spec.command.action)
        self._wish: float | None = None
        self._asking = False  # a goal or a cancel is on its way
        self._running: ClientGoalHandle | None = None
        self.goals_sent = 0
        self.goals_failed = 0

    def ready(self) -> bool:
        """Whether an action server is there."""
        return self._client.server_is_ready()

    def command(self, unit: float) -> None:
        """Bring the hand to `unit` (0 closed .. 1 open) as soon as the driver is free."""
        self._wish = unit
        self._advance()

    def forget(self) -> None:
        """Drop the wish that was not sent yet; a goal that runs goes on."""
        self._wish = None

    def close(self) -> None:
        """Take the client down."""
        self._wish = None
        self._client.destroy()

    def _advance(self) -> None:
        if self._wish is None or self._asking or not self._client.server_is_ready():
            return
        self._asking = True
        if self._running is not None:
            self._running.cancel_goal_async().add_done_callback(self._on_cancel)
            return
        goal = GripperCommand.Goal()
        goal.command.position = self._spec.command.from_unit(self._wish)
        goal.command.max_effort = float(self._spec.command.max_effort)
        self._wish = None
        self.goals_sent += 1
        self._client.send_goal_async(goal).add_done_callback(self._on_answer)

    def _on_answer(self, future: Future) -> None:
        self._asking = False
        handle = future.result()
        if handle is None or not handle.accepted:
            self.goals_failed += 1
        else:
            self._running = handle
            handle.get_result_async().add_done_callback(
                lambda result: self._on_result(handle, result)
            )
        self._advance()

    def _on_cancel(self, future: Future) -> None:
        self._asking = False
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
