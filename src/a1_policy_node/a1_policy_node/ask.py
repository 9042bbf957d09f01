"""`ask INSTRUCTION`: hands a task to the policy and shows how deep it thinks, until it is done."""

import argparse
import math
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

import rclpy
from a1_msgs.action import RunTask
from a1_msgs.msg import ChunkVerdict, ControllerState, ObservationRefusal
from a1_msgs.srv import GoHome
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Duration
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.task import Future
from rclpy.utilities import remove_ros_args
from rich.console import Console
from rich.live import Live

from a1_core.substeps import split_steps
from a1_ros.qos import RELIABLE

OUTCOMES = {
    RunTask.Result.SUCCEEDED: "succeeded",
    RunTask.Result.TIMED_OUT: "timed out",
    RunTask.Result.CANCELED: "canceled",
    RunTask.Result.FAILED: "failed",
    RunTask.Result.BLOCKED: "blocked",
}
VERDICTS = {
    getattr(ChunkVerdict, name): name
    for name in dir(ChunkVerdict)
    if name.isupper() and isinstance(getattr(ChunkVerdict, name), int)
}
SERVER_WAIT_S = 10.0
# A joint that is commanded to be this near its place is there [rad, m].
THERE = 1e-3


class Asker(Node):
    """One goal of a1/run_task; what it hears is kept as one line of text."""

    def __init__(self, substeps: int, **node_kwargs: Any) -> None:
        super().__init__("ask", **node_kwargs)
        self._substeps = substeps
        self.line = "waiting for the policy"
        self._verdict = ""
        self._client = ActionClient(self, RunTask, "a1/run_task")
        self.create_subscription(ChunkVerdict, "a1/chunk_verdict", self._on_verdict, RELIABLE)
        self.create_subscription(ObservationRefusal, "a1/refusal", self._on_refusal, RELIABLE)

    def go_home(self, velocity_scale: float, stop: threading.Event, live: Live) -> bool:
        """The armed arm from rest to its home pose; False, and `line` says why, when it is not.

        `stop` gives up waiting; the arm ends its way, unless somebody stops it.
        """
        client = self.create_client(GoHome, "a1/go_home")
        if not client.wait_for_service(timeout_sec=SERVER_WAIT_S):
            self.line = "no controller offers a1/go_home: is it launched, in this ROS_DOMAIN_ID?"
            return False
        heard: list[ControllerState] = []
        states = self.create_subscription(
            ControllerState, "a1/controller_state", heard.append, RELIABLE
        )
        answer = self._wait(
            client.call_async(GoHome.Request(velocity_scale=velocity_scale)), stop, live
        )
        if answer is None or not answer.success:
            self.line = "given up" if answer is None else f"not home: {answer.message}"
            return False
        self.line = answer.message
        goal = dict(zip(answer.names, answer.position, strict=True))
        home = gone = ended = False
        while not (home or ended or stop.is_set()):
            rclpy.spin_once(self, timeout_sec=0.1)
            live.update(self.line)
            # The first states may be of before. It also holds where it had to brake on its way, and
            # where somebody took it over.
            gone = gone or any(state.mode == ControllerState.TRACKING for state in heard)
            home = bool(heard) and _holds_at(goal, heard[-1])
            ended = gone and heard[-1].mode != ControllerState.TRACKING
            del heard[:-1]
        self.destroy_subscription(states)
        why = f"ended elsewhere: {heard[-1].reason}" if ended else "given up"
        self.line = "home" if home else f"not home: {why}"
        return home

    def run(self, goal: RunTask.Goal, stop: threading.Event, live: Live) -> RunTask.Result | None:
        """Sends the goal and waits; None when no policy takes it. `stop` cancels."""
        if not self._client.wait_for_server(timeout_sec=SERVER_WAIT_S):
            self.line = "no policy offers a1/run_task: is it launched, in this ROS_DOMAIN_ID?"
            return None
        handle = self._wait(self._client.send_goal_async(goal, self._on_feedback), stop, live)
        if handle is None or not handle.accepted:
            self.line = "the policy refused the task: is it active, or busy with another one?"
            return None
        future = handle.get_result_async()
        answer = self._wait(future, stop, live)
        if answer is None:
            handle.cancel_goal_async()
            answer = self._wait(future, threading.Event(), live)
        return (
            None if answer is None or answer.status == GoalStatus.STATUS_UNKNOWN else answer.result
        )

    def _wait(self, future: Future, stop: threading.Event, live: Live) -> Any:
        while not future.done() and not stop.is_set():
            rclpy.spin_once(self, timeout_sec=0.1)
            live.update(self.line)
        return future.result() if future.done() else None

    def _on_feedback(self, msg: Any) -> None:
        feedback = msg.feedback
        bar = "#" * round(20 * feedback.depth_fraction)
        place = f"{feedback.substep + 1} of {self._substeps}: " if self._substeps > 1 else ""
        self.line = (
            f"{feedback.elapsed_s:6.1f} s  chunk {feedback.seq:4d}  layer {feedback.exit_layer:2d} "
            f"[{bar:<20}]  {place}{feedback.instruction}  {self._verdict}"
        )

    def _on_verdict(self, verdict: ChunkVerdict) -> None:
        self._verdict = f"{VERDICTS[verdict.code]} {verdict.detail}".strip()

    def _on_refusal(self, refusal: ObservationRefusal) -> None:
        self.line = f"no chunk: {refusal.message}"


def _holds_at(goal: Mapping[str, float], state: ControllerState) -> bool:
    """Whether the arm is armed, at rest, and commanded to be at `goal`, its joints by name."""
    there = dict(zip(state.names, state.position, strict=True))
    return state.mode == ControllerState.HOLD and all(
        abs(there[name] - place) <= THERE for name, place in goal.items()
    )


def main() -> None:
    """Console entry; see --help. Exit code 0 when the task succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "instruction",
        nargs="+",
        help="what to do; several, or one sentence with `, then ` in it: one after the other",
    )
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds of the node's clock")
    parser.add_argument(
        "--home",
        type=float,
        metavar="SCALE",
        help="go home first, at this share of the operating velocities (0.2 is slow)",
    )
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    fraction, whole = math.modf(arguments.timeout)
    goal = RunTask.Goal(timeout=Duration(sec=int(whole), nanosec=int(fraction * 1e9)))
    steps = [step for sentence in arguments.instruction for step in split_steps(sentence)]
    if len(steps) == 1:
        goal.instruction = steps[0]
    else:
        goal.substeps = steps
    stop = threading.Event()
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    signal.signal(signal.SIGINT, lambda number, frame: stop.set())
    node = Asker(len(steps))
    console = Console()
    try:
        with Live(node.line, console=console, refresh_per_second=10) as live:
            ready = arguments.home is None or node.go_home(arguments.home, stop, live)
            result = node.run(goal, stop, live) if ready else None
            live.update(node.line)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    if result is None:
        sys.exit(2)
    console.print(f"{OUTCOMES[result.outcome]}: {result.message}")
    sys.exit(0 if result.outcome == RunTask.Result.SUCCEEDED else 1)
