"""The action a1/record_episode: one goal, one episode. Its callbacks return at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from a1_msgs.action import RecordEpisode
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from a1_core.errors import A1Error
from a1_recorder.recording import Recording
from a1_ros.times import stamp_to_ns


@dataclass(frozen=True, kw_only=True)
class _Goal:
    handle: ServerGoalHandle
    recording: Recording
    until_ns: int | None


class RecordEpisodeServer:
    """Accepts a goal where `refusal()` is empty.

    `begin(instruction, driver)` opens the episode and raises A1Error where it cannot; `stop()`
    closes the one in hand.
    """

    def __init__(
        self,
        node: Node,
        *,
        refusal: Callable[[], str],
        begin: Callable[[str, str], Recording],
        stop: Callable[[], object],
    ) -> None:
        self._node = node
        self._refusal = refusal
        self._begin = begin
        self._stop = stop
        self._running: _Goal | None = None
        self._server = ActionServer(
            node,
            RecordEpisode,
            "a1/record_episode",
            execute_callback=lambda goal: RecordEpisode.Result(),
            goal_callback=self._judge,
            handle_accepted_callback=self._accept,
            cancel_callback=self._cancel,
        )

    def destroy(self) -> None:
        """Take the action down."""
        self._running = None
        self._server.destroy()

    def watch(self, now_ns: int) -> None:
        """Close the episode when its time is up; `now_ns` is of the node's clock."""
        goal = self._running
        if goal is not None and goal.until_ns is not None and now_ns >= goal.until_ns:
            self._running = _Goal(handle=goal.handle, recording=goal.recording, until_ns=None)
            if not goal.recording.ending:
                self._stop()

    def feedback(self, duration_s: float, late_topic: str) -> None:
        """Tell the client how it goes."""
        goal = self._running
        if goal is not None and not goal.recording.ending:
            goal.handle.publish_feedback(
                RecordEpisode.Feedback(
                    duration_s=duration_s, messages=goal.recording.messages, late_topic=late_topic
                )
            )

    def conclude(self) -> None:
        """Conclude the goal if its episode is over."""
        if self._running is not None and self._running.recording.ended is not None:
            goal, self._running = self._running, None
            goal.handle.execute(partial(_conclude, goal.recording))

    def _judge(self, request: RecordEpisode.Goal) -> GoalResponse:
        reason = self._refusal()
        if not reason and self._running is not None:
            reason = f"{self._running.recording.episode_id} is being recorded"
        if reason:
            self._node.get_logger().error(f"record_episode refused: {reason}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _accept(self, handle: ServerGoalHandle) -> None:
        request = handle.request
        now_ns = self._node.get_clock().now().nanoseconds
        limit_ns = stamp_to_ns(request.timeout)
        try:
            recording = self._begin(request.instruction, request.driver)
        except A1Error as error:
            self._node.get_logger().error(f"record_episode: {error}")
            handle.execute(partial(_refuse, str(error)))
            return
        until_ns = now_ns + limit_ns if limit_ns > 0 else None
        self._running = _Goal(handle=handle, recording=recording, until_ns=until_ns)
        self.conclude()

    def _cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        goal = self._running
        mine = goal is not None and goal.handle.goal_id == handle.goal_id
        if goal is not None and mine and not goal.recording.ending:
            self._stop()
        return CancelResponse.ACCEPT


def _refuse(message: str, goal: ServerGoalHandle) -> RecordEpisode.Result:
    """No episode could be opened."""
    goal.abort()
    return RecordEpisode.Result(message=message)


def _conclude(recording: Recording, goal: ServerGoalHandle) -> RecordEpisode.Result:
    """The end of an episode: cancelled is how a client says that it is enough."""
    ended = recording.ended
    assert ended is not None
    good = ended.path is not None and not ended.failure
    if goal.is_cancel_requested:
        goal.canceled()
    elif good:
        goal.succeed()
    else:
        goal.abort()
    return RecordEpisode.Result(
        success=good,
        message=ended.failure or ("" if ended.path is not None else "discarded"),
        episode_id=recording.episode_id,
        path=str(ended.path or ""),
        duration_s=recording.duration_s,
        messages=ended.messages,
    )
