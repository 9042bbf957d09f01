"""The node `calibration`: offers a1/calibrate. One goal at a time, computed by a thread of its own.

A goal that names no bags listens to the robot's topics first, until they fall silent.

It has no lifecycle: it drives nothing and holds nothing between goals.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from a1_msgs.action import Calibrate
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from a1_calibration.listening import Listener
from a1_calibration.outcome import Outcome
from a1_calibration.parameters import SPECS, is_live, request_of_goal
from a1_calibration.pipeline import calibrate
from a1_calibration.request import Cancelled, Request, Tell, Warn
from a1_core.errors import A1Error, SpecError
from a1_core.spec import RobotSpec, load_spec
from a1_ros.executor import run_node
from a1_ros.messages import floats
from a1_ros.parameters import Parameters
from a1_ros.times import steady_now_ns

WATCH_PERIOD_S = 0.2

Work = Callable[[Request, RobotSpec, Tell, Warn], Outcome]


class CalibrationNode(Node):
    """Parameters are read when a goal is accepted."""

    def __init__(self, *, work: Work = calibrate, **node_kwargs: Any) -> None:
        super().__init__("calibration", **node_kwargs)
        self._values = Parameters(self, SPECS)
        self._work = work
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="calibration")
        self._goal: ServerGoalHandle | None = None
        self._running: Future[Outcome] | None = None
        self._live: tuple[Listener, Request, RobotSpec] | None = None
        self._stop = threading.Event()
        self._progress: tuple[str, int, int] | None = None
        self._server = ActionServer(
            self,
            Calibrate,
            "a1/calibrate",
            execute_callback=lambda goal: Calibrate.Result(),
            goal_callback=self._judge,
            handle_accepted_callback=self._accept,
            cancel_callback=self._cancel,
        )
        self.create_timer(
            WATCH_PERIOD_S, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def destroy_node(self) -> None:
        """Stop a calibration in hand after its batch; what it computed is kept."""
        self._stop.set()
        self._goal = None
        if self._live is not None:
            self._live[0].stop()
        self._pool.shutdown(wait=True)
        self._server.destroy()
        super().destroy_node()

    def _request(self, goal: Calibrate.Goal) -> tuple[Request, RobotSpec]:
        values = self._values.values()
        if not values["robot"]:
            raise SpecError("parameter robot is empty; set it to a file of config/robots")
        now = time.strftime("%Y%m%d_%H%M%S")
        return request_of_goal(goal, values, now), load_spec(values["robot"])

    def _judge(self, goal: Calibrate.Goal) -> GoalResponse:
        try:
            if self._goal is not None:
                raise A1Error("another calibration is running; cancel it or wait for its end")
            self._request(goal)
        except A1Error as error:
            self.get_logger().error(f"calibrate refused: {error}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _accept(self, goal: ServerGoalHandle) -> None:
        request, spec = self._request(goal.request)
        self._stop = threading.Event()
        self._progress = None
        self._running = None
        self._goal = goal
        if is_live(goal.request):
            self._listen(request, spec)
        else:
            self._compute(request, spec)

    def _compute(self, request: Request, spec: RobotSpec) -> None:
        self._running = self._pool.submit(
            self._work,
            request,
            spec,
            partial(self._tell, self._stop),
            self.get_logger().warning,
        )

    def _listen(self, request: Request, spec: RobotSpec) -> None:
        try:
            listener = Listener(
                self,
                spec,
                request.fit_bags[0],
                gap_s=self._values["live_gap"],
                quiet_s=self._values["live_quiet"],
                steady_ns=steady_now_ns,
            )
        except A1Error as error:
            self._running = _failed(error)
            return
        self._live = listener, request, spec

    def _hear(self, listener: Listener, request: Request, spec: RobotSpec) -> None:
        """Go on to compute once the topics are silent."""
        self._progress = ("listen", listener.images, 0)
        try:
            if not self._stop.is_set() and not listener.over():
                return
            self._live = None
            listener.stop()
        except A1Error as error:
            self._live = None
            self._running = _failed(error)
            return
        if self._stop.is_set():
            self._running = _failed(Cancelled())
            return
        if listener.lost:
            self.get_logger().warning(f"{listener.lost} messages were lost on the way")
        self._compute(request, spec)

    def _cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        if self._goal is not None and self._goal.goal_id == goal.goal_id:
            self._stop.set()
        return CancelResponse.ACCEPT

    def _tell(self, stop: threading.Event, stage: str, done: int, total: int) -> None:
        """Called by the working thread."""
        self._progress = (stage, done, total)
        if stop.is_set():
            raise Cancelled

    def _watch(self) -> None:
        goal = self._goal
        if goal is None:
            return
        if self._live is not None:
            self._hear(*self._live)
        running = self._running
        progress, self._progress = self._progress, None
        if progress is not None:
            stage, done, total = progress
            goal.publish_feedback(Calibrate.Feedback(stage=stage, done=done, total=total))
        if running is not None and running.done():
            self._goal = None
            goal.execute(partial(self._conclude, running))

    def _conclude(self, running: Future[Outcome], goal: ServerGoalHandle) -> Calibrate.Result:
        """Set the goal's final state and give its result; runs once the work is over."""
        error = running.exception()
        if isinstance(error, Cancelled) and goal.is_cancel_requested:
            goal.canceled()
            return Calibrate.Result(message="cancelled; what was computed is kept")
        if error is not None:
            self.get_logger().error(f"calibrate: {error}")
            goal.abort()
            return Calibrate.Result(message=str(error) or type(error).__name__)
        goal.succeed()
        return result_of(running.result(), goal.request.output)


def _failed(error: BaseException) -> Future[Outcome]:
    """A calibration that ended before it began."""
    future: Future[Outcome] = Future()
    future.set_exception(error)
    return future


def result_of(outcome: Outcome, path: str) -> Calibrate.Result:
    """The action's result; without success nothing may leave early, and no file was written."""
    result = Calibrate.Result(message=outcome.message, samples=outcome.samples)
    file = outcome.file
    if file is None:
        return result
    result.success = True
    result.path = path
    result.thresholds_digest = file.thresholds.digest
    result.certified = file.certificate is not None
    result.mean_depth_fraction = outcome.savings.depth
    result.requested_rates = floats(file.requested_rates)
    result.realised_rates = floats(file.realised_rates)
    return result


def main() -> None:
    """Spin the calibration node until it is interrupted."""
    run_node(CalibrationNode)


if __name__ == "__main__":
    main()
