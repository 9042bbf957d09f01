"""Adapter for Dobot's TCP/IP V4 driver: the service ServoJ as a stream, the gripper by an output.

The robot's controller plans nothing: each call names joints in degrees and the time `t` to get
there, and the next call takes over. Calls are not waited for; when answers stay out, the stream
says so as a fault, and the arm is braked with what still gets through.

When this process dies (kill -9) no further call comes. The robot reaches the last point within its
`t`; what follows is not documented: `silence` is GAP in the spec, and hardware is refused until an
operator has found out. A tool output keeps its level.
"""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.task import Future

from a1_controllers.adapter import READY, Readiness, not_ready
from a1_core.spec import CommandSpec, GripperSpec, RobotSpec
from a1_ros.interfaces import load_interface
from a1_ros.times import steady_now_ns

LETTERS = "abcdef"
# Calls under way before no more are made, and the silence that is a fault.
MOST_CALLS = 8
ANSWER_NS = 300_000_000
RETRY_NS = 1_000_000_000


class ServoJSender:
    """One call a set-point; `stream.arguments` go along as words."""

    def __init__(self, node: Node, spec: RobotSpec, command: CommandSpec) -> None:
        assert command.stream is not None
        self._node = node
        self._endpoint = command.endpoint
        self._words = [f"{key}={value}" for key, value in command.stream.arguments.items()]
        self._kind = load_interface(command.type, where=f"{spec.path}: command {command.name}")
        self._lock = threading.Lock()
        self._asked: dict[int, int] = {}  # number of the call: steady time it was made
        self._count = 0
        self._refused = ""

    def start(self) -> None:
        self._client = self._node.create_client(self._kind, self._endpoint)

    def ready(self) -> Readiness:
        if self._client.service_is_ready():
            return READY
        return not_ready(f"no service {self._endpoint}: start the robot's driver")

    def begin(self) -> None:
        with self._lock:
            self._asked = {}
        self._refused = ""

    def fault(self) -> str:
        with self._lock:
            oldest_ns = min(self._asked.values(), default=None)
        if oldest_ns is not None and steady_now_ns() - oldest_ns > ANSWER_NS:
            return f"{self._endpoint} has not answered for {ANSWER_NS / 1e6:.0f} ms"
        return self._refused

    def send(self, q_J: NDArray[np.float64], openings_G: NDArray[np.float64]) -> None:
        self._drop_lost()
        with self._lock:
            if len(self._asked) >= MOST_CALLS:
                return
            self._count += 1
            number = self._count
            self._asked[number] = steady_now_ns()
        degrees = dict(zip(LETTERS, q_J.round(3).tolist(), strict=True))
        request = self._kind.Request(**degrees, param_value=self._words)
        future = self._client.call_async(request)
        future.add_done_callback(lambda done: self._on_answer(number, done))

    def close(self) -> None:
        self._node.destroy_client(self._client)

    def _on_answer(self, number: int, future: Future) -> None:
        with self._lock:
            self._asked.pop(number, None)
        response = future.result()
        if response is None:
            return
        bad = response.res != 0
        self._refused = f"{self._endpoint} answers {response.res}, not 0" if bad else ""

    def _drop_lost(self) -> None:
        """Calls that will have no answer any more make room: the driver may be back."""
        until_ns = steady_now_ns() - RETRY_NS
        with self._lock:
            self._asked = {k: at_ns for k, at_ns in self._asked.items() if at_ns > until_ns}


class ToolOutputLink:
    """A GripperLink by a digital output: open from half way on, closed below."""

    def __init__(self, node: Node, spec: RobotSpec, gripper: GripperSpec) -> None:
        self._node = node
        self._command = gripper.command
        self._kind = load_interface(gripper.command.type, where=f"{spec.path}: {gripper.name}")
        self._wish: float | None = None
        self._asked_ns = 0
        self._client: Any = None

    def start(self) -> None:
        self._client = self._node.create_client(self._kind, self._command.endpoint)

    def refresh(self) -> None:
        if self._wish is not None and steady_now_ns() - self._asked_ns > RETRY_NS:
            self.command(self._wish)

    def ready(self) -> Readiness:
        if self._client.service_is_ready():
            return READY
        return not_ready(f"no service {self._command.endpoint}: start the robot's driver")

    def update(self, unit: float) -> None:
        """The present opening is no matter."""

    def command(self, unit: float) -> None:
        self._wish, self._asked_ns = unit, steady_now_ns()
        level = round(self._command.from_unit(1.0 if unit >= 0.5 else 0.0))
        request = self._kind.Request(status=level, **self._command.arguments)
        self._client.call_async(request).add_done_callback(lambda done: self._on_answer(unit, done))

    def forget(self) -> None:
        self._wish = None

    def close(self) -> None:
        self._wish = None
        if self._client is not None:
            self._node.destroy_client(self._client)
            self._client = None

    def _on_answer(self, unit: float, future: Future) -> None:
        response = future.result()
        if response is not None and response.res == 0 and self._wish == unit:
            self._wish = None
