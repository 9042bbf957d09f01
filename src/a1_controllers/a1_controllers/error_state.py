"""What the robot says of itself: topics whose field must hold a good value for it to move."""

from functools import partial
from typing import Any

from rclpy.node import Node

from a1_controllers.adapter import READY, Readiness, not_ready
from a1_core.spec import ErrorStateSpec, RobotSpec
from a1_ros.interfaces import load_interface
from a1_ros.qos import qos_from_spec


class ErrorStates:
    """Listens to every `error_state` of a spec."""

    def __init__(self, node: Node, spec: RobotSpec) -> None:
        self._node = node
        self._path = spec.path
        self._watched = [error for command in spec.commands for error in command.error_states]
        self._values: dict[int, Any] = {}
        self._subscriptions: list[Any] = []

    def start(self) -> None:
        """Listen; raises A1Error when a message package is missing."""
        for index, error in enumerate(self._watched):
            kind = load_interface(error.type, where=f"{self._path}: error_state {error.topic}")
            qos = qos_from_spec(error.qos, where=f"{self._path}: error_state {error.topic}")
            heard = partial(self._on_message, index)
            self._subscriptions.append(
                self._node.create_subscription(kind, error.topic, heard, qos)
            )

    def ready(self) -> Readiness:
        """Every topic has spoken, and well."""
        for index, error in enumerate(self._watched):
            if index not in self._values:
                return not_ready(f"nothing heard on {error.topic}: is the robot's driver up?")
        fault = self.fault()
        return not_ready(fault) if fault else READY

    def fault(self) -> str:
        """The first topic whose last value is not good."""
        for index, error in enumerate(self._watched):
            if index in self._values and self._values[index] not in error.good:
                return _said(error, self._values[index])
        return ""

    def close(self) -> None:
        """Take the subscriptions down."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def _on_message(self, index: int, msg: Any) -> None:
        self._values[index] = getattr(msg, self._watched[index].field)


def _said(error: ErrorStateSpec, value: Any) -> str:
    good = ", ".join(str(each) for each in error.good)
    return f"the robot says {error.field} {value} on {error.topic}; it moves with {good}"
