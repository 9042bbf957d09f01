"""The action a1/run_task. Its callbacks return at once: the end of a goal is an event, not a wait.

A coroutine that awaits the end would keep the executor busy (rclpy polls it), so an accepted goal
is kept, and executed for an instant when its task is over.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from a1_msgs.action import RunTask
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from a1_policy_node.task import Outcome, Task
from a1_ros.times import stamp_to_ns


@dataclass(frozen=True, kw_only=True)
class ChunkNews:
    """What feedback says of a chunk; fields as in a1_msgs/action/RunTask."""

    session_id: str
    seq: int
    exit_layer: int
    depth_fraction: float
    substep: int
    instruction: str
    end_of_substep: float
    substeps_done: int


class RunTaskServer:
    """One goal at a time: a new goal ends the one before as CANCELED.

    `refusal()` says why no goal can be taken now, empty when one can; `begin(substeps, timeout_ns)`
    starts a task and returns it; `end(task, outcome, message)` ends a task.
    """

    def __init__(
        self,
        node: Node,
        *,
        refusal: Callable[[], str],
        begin: Callable[[Sequence[str], int], Task],
        end: Callable[[Task, Outcome, str], None],
    ) -> None:
        self._node = node
        self._refusal = refusal
        self._begin = begin
        self._end = end
        self._running: tuple[ServerGoalHandle, Task] | None = None
        self._server = ActionServer(
            node,
            RunTask,
            "a1/run_task",
            execute_callback=lambda goal: RunTask.Result(),
            goal_callback=self._judge,
            handle_accepted_callback=self._accept,
            cancel_callback=self._cancel,
        )

    def destroy(self) -> None:
        """Take the action down; a goal in hand is dropped, no executor is left to conclude it."""
        self._running = None
        self._server.destroy()

    def feedback(self, news: ChunkNews, now_ns: int) -> None:
        """Tell the client of a chunk of its task, the one that ended it included."""
        if self._running is None or self._running[1].session_id != news.session_id:
            return
        goal, task = self._running
        goal.publish_feedback(
            RunTask.Feedback(
                seq=news.seq,
                exit_layer=news.exit_layer,
                depth_fraction=news.depth_fraction,
                substep=news.substep,
                instruction=news.instruction,
                end_of_substep=news.end_of_substep,
                substeps_done=news.substeps_done,
                progress=task.progress,
                elapsed_s=task.elapsed_s(now_ns),
            )
        )

    def conclude(self) -> None:
        """Conclude the goal if its task is over."""
        if self._running is not None and self._running[1].outcome is not None:
            goal, task = self._running
            self._running = None
            goal.execute(partial(_conclude, task))

    def _judge(self, request: RunTask.Goal) -> GoalResponse:
        reason = self._refusal()
        if bool(request.instruction) == bool(request.substeps) or not all(request.substeps):
            reason = "give either an instruction or a list of sub-steps, without empty ones"
        if reason:
            self._node.get_logger().error(f"run_task refused: {reason}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _accept(self, goal: ServerGoalHandle) -> None:
        if self._running is not None:
            self._end(self._running[1], Outcome.CANCELED, "a newer goal took its place")
            self.conclude()
        request = goal.request
        substeps = list(request.substeps) or [request.instruction]
        self._running = (goal, self._begin(substeps, stamp_to_ns(request.timeout)))

    def _cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        if self._running is not None and self._running[0].goal_id == goal.goal_id:
            self._end(self._running[1], Outcome.CANCELED, "cancelled by the client")
        return CancelResponse.ACCEPT


def _conclude(task: Task, goal: ServerGoalHandle) -> RunTask.Result:
    """Set the goal's final state and give its result; runs once the task is over."""
    assert task.outcome is not None
    if goal.is_cancel_requested:
        goal.canceled()
    elif task.outcome is Outcome.SUCCEEDED:
        goal.succeed()
    else:
        goal.abort()
    return RunTask.Result(
        outcome=int(task.outcome),
        message=task.message,
        substeps_done=task.substeps_done,
        chunks=task.chunks,
        ended_by=task.ended_by,
        elapsed_s=task.elapsed_s(0),
    )
