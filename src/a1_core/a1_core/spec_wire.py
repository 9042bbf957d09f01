"""What a robot spec says of the wire: grippers, cameras, joint states, commands, errors, stops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

GripperInterface = Literal[
    "gripper_command",
    "parallel_gripper",
    "joint_state",
    "joint_single",
    "with_arm",
    "tool_output",
    "libfranka",
]
ArmAdapter = Literal[
    "joint_trajectory", "joint_state", "joint_group", "servo_j", "robot_cmd", "libfranka"
]


@dataclass(frozen=True, kw_only=True)
class GripperCommandSpec:
    """How the gripper is told; `closed` and `open` in units of the command, NaN for a GAP.

    Attributes:
        interface: which protocol; "with_arm" travels inside the arm's own message,
            "libfranka" over the arm's connection.
        endpoint: name of the action, topic or service; "" where the arm's is used.
        type: ROS type behind the endpoint; "" where the interface says it (the two actions).
        wire_names: names that the message carries; all get the same number.
        max_effort: N, 0 where the interface carries none.
        unit: of `closed` and `open`; "" where the spec does not say.
        arguments: constants that the message or request carries besides.
    """

    interface: GripperInterface
    endpoint: str
    type: str
    wire_names: tuple[str, ...]
    closed: float
    open: float
    max_effort: float
    unit: str
    arguments: Mapping[str, Any]
    source: str

    @property
    def action(self) -> str:
        """Name of the action server, for the interfaces that are actions."""
        return self.endpoint

    def from_unit(self, unit: float) -> float:
        """0 closed .. 1 open to units of the command; outside 0..1 counts as the end."""
        return self.closed + min(max(unit, 0.0), 1.0) * (self.open - self.closed)


@dataclass(frozen=True, kw_only=True)
class GripperSpec:
    """One gripper; `closed` and `open` in units of its joint state (rad, m, ...), NaN for a GAP.

    `name` is its column in actions and state: "gripper", or ending in "_gripper".
    """

    name: str
    joint: str
    closed: float
    open: float
    unit: str
    source: str
    command: GripperCommandSpec

    def to_unit(self, position: float) -> float:
        """Joint state to 0 closed .. 1 open, clipped; NaN stays NaN."""
        unit = (position - self.closed) / (self.open - self.closed)
        return 0.0 if unit < 0.0 else 1.0 if unit > 1.0 else unit

    def from_unit(self, unit: float) -> float:
        """0 closed .. 1 open to units of the joint state."""
        return self.closed + unit * (self.open - self.closed)

    @property
    def gaps(self) -> tuple[str, ...]:
        """Which of its numbers nobody has published."""
        numbers = {
            "closed": self.closed,
            "open": self.open,
            "command.closed": self.command.closed,
            "command.open": self.command.open,
        }
        return tuple(f"{self.name}.{key}" for key, value in numbers.items() if math.isnan(value))


@dataclass(frozen=True, kw_only=True)
class CameraSpec:
    """One camera; the first one of a spec is the reference that sets the tick.

    `width` and `height` (pixels) are None when any size is accepted. `qos` names a profile.
    """

    name: str
    topic: str
    type: Literal["raw", "compressed"]
    width: int | None
    height: int | None
    rate_hz: float
    max_age_s: float
    qos: str
    source: str


@dataclass(frozen=True, kw_only=True)
class MadeFrom:
    """What an adapter turns into a sensor_msgs/JointState where the robot publishes none.

    `type` is the vendor's message on `topic`; or, with topic None, "commanded" where the robot
    tells nothing at all and the last command stands for the state, or "libfranka" where it is read
    over the connection that commands it.
    """

    type: str
    topic: str | None


@dataclass(frozen=True, kw_only=True)
class StateSpec:
    """One topic of sensor_msgs/JointState and the joints that are read from it.

    Attributes:
        joints: names used everywhere else in this project.
        wire_names: the message's names for them, in the same order.
        by_place: the message's names mean nothing: its first positions are `joints`, in order.
        made_from: None where the robot itself publishes the topic.
    """

    topic: str
    joints: tuple[str, ...]
    wire_names: tuple[str, ...]
    by_place: bool
    made_from: MadeFrom | None
    rate_hz: float
    max_age_s: float
    qos: str
    source: str

    def places(self, names: Sequence[str], count: int) -> dict[str, int]:
        """Where each of `joints` stands in a message of `count` positions, as far as it does.

        Args:
            names: as on the wire; without meaning where joints are read by place.
        """
        if self.by_place:
            return {joint: place for place, joint in enumerate(self.joints) if place < count}
        place = {name: index for index, name in enumerate(names)}
        own = zip(self.wire_names, self.joints, strict=True)
        return {joint: place[name] for name, joint in own if place.get(name, count) < count}


@dataclass(frozen=True, kw_only=True)
class StreamSpec:
    """How single set-points are streamed to a robot that follows no trajectories.

    Attributes:
        rate_hz: set-points a second.
        max_gap_s: longest pause between two that the robot takes; None: no rule is known.
        max_step: farthest that one may lie from the measured joint (rad); None: no rule is known.
        unit: of the joint positions in the message.
        silence: what the arm does when nothing comes any more, as its vendor says; "GAP" where
            nobody does.
        arguments: constants that the message or request carries besides.
    """

    rate_hz: float
    max_gap_s: float | None
    max_step: float | None
    unit: Literal["rad", "deg"]
    silence: Literal["holds", "GAP"]
    arguments: Mapping[str, Any]
    source: str


@dataclass(frozen=True, kw_only=True)
class ErrorStateSpec:
    """A topic that says whether the robot can move: it can while `field` is one of `good`."""

    topic: str
    type: str
    field: str
    good: tuple[bool | int | str, ...]
    qos: str
    source: str


@dataclass(frozen=True, kw_only=True)
class StopSpec:
    """The vendor's own stop, beside braking along the last window; none has an empty name."""

    interface: Literal["service", "topic", "none"]
    name: str
    type: str
    request: Mapping[str, Any]
    source: str


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """Where commands for some arm joints go.

    Attributes:
        name: "arm" where the spec has one command.
        joints, wire_names: in the order of the message, by this project's and by its names.
        endpoint: topic, service where the adapter calls one, or the address of a robot that is
            spoken to without ROS.
        type, qos: of the endpoint; "" where the adapter says them (joint_trajectory).
        controller: ros2_control's node, whose parameters must equal `required_parameters`; ""
            where there is none.
        stream: None where messages carry their own timing.
        stop: None where the spec names none.
    """

    name: str
    adapter: ArmAdapter
    joints: tuple[str, ...]
    wire_names: tuple[str, ...]
    endpoint: str
    type: str
    qos: str
    controller: str
    required_parameters: Mapping[str, Any]
    stream: StreamSpec | None
    error_states: tuple[ErrorStateSpec, ...]
    stop: StopSpec | None
    source: str

    @property
    def topic(self) -> str:
        """Name of the topic, for the adapters that publish."""
        return self.endpoint
