"""Diagnostics at 1 Hz: levels, and messages that say what to do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from a1_ros.qos import RELIABLE

PERIOD_S = 1.0


class Level(Enum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = DiagnosticStatus.OK
    WARN = DiagnosticStatus.WARN
    ERROR = DiagnosticStatus.ERROR
    STALE = DiagnosticStatus.STALE


@dataclass(frozen=True, kw_only=True)
class Status:
    """One status; `message` says what is wrong and what to do, `values` hold the figures."""

    level: Level = Level.OK
    message: str = ""
    values: Mapping[str, object] = field(default_factory=dict)


class DiagnosticsPublisher:
    """Publishes what its sources say on /diagnostics, each second of the steady clock."""

    def __init__(self, node: Node, hardware_id: str) -> None:
        self._node = node
        self._hardware_id = hardware_id
        self._sources: dict[str, Callable[[], Status]] = {}
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", RELIABLE)
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(PERIOD_S, self.publish, clock=clock)

    def set_source(self, name: str, source: Callable[[], Status]) -> None:
        """Ask `source` each second for the status called `name`."""
        self._sources[name] = source

    def remove_source(self, name: str) -> None:
        """Forget a source; unknown names are fine."""
        self._sources.pop(name, None)

    def publish(self) -> None:
        """Publish now, between two seconds: for what cannot wait."""
        array = DiagnosticArray(status=[self._message(name) for name in sorted(self._sources)])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _message(self, name: str) -> DiagnosticStatus:
        status = self._sources[name]()
        return DiagnosticStatus(
            level=status.level.value,
            name=f"{self._node.get_fully_qualified_name()}: {name}",
            message=status.message,
            hardware_id=self._hardware_id,
            values=[KeyValue(key=key, value=str(value)) for key, value in status.values.items()],
        )
