"""All facts of one robot, read once from config/robots/<robot>.yaml and never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from a1_core.chunk import GRIPPER, ActionSpace, DeltaBase

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class GripperCommandSpec:
    """How the gripper is told; `closed` and `open` in units of the command."""

    interface: Literal["gripper_command", "parallel_gripper"]
    action: str
    closed: float
    open: float
    max_effort: float  # N
    source: str

    def from_unit(self, unit: float) -> float:
        """0 closed .. 1 open to units of the command; outside 0..1 counts as the end."""
        return self.closed + min(max(unit, 0.0), 1.0) * (self.open - self.closed)


@dataclass(frozen=True, kw_only=True)
class GripperSpec:
    """One gripper; `closed` and `open` in units of its joint state (rad or m)."""

    joint: str
    closed: float
    open: float
    source: str
    command: GripperCommandSpec

    def to_unit(self, position: float) -> float:
        """Joint state to 0 closed .. 1 open, clipped; NaN stays NaN."""
        unit = (position - self.closed) / (self.open - self.closed)
        return 0.0 if unit < 0.0 else 1.0 if unit > 1.0 else unit

    def from_unit(self, unit: float) -> float:
        """0 closed .. 1 open to units of the joint state."""
        return self.closed + unit * (self.open - self.closed)


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
class StateSpec:
    """One topic of joint states and the joints that are read from it."""

    topic: str
    joints: tuple[str, ...]
    rate_hz: float
    max_age_s: float
    qos: str
    source: str


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """Where arm commands go; `controller` is a node, its parameters must equal the required."""

    adapter: Literal["joint_trajectory"]
    topic: str
    controller: str
    required_parameters: Mapping[str, Any]
    error_state: Mapping[str, Any] | None
    source: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Limits:
    """The vendor's limits of the arm joints [J] (rad, rad/s, rad/s2, rad/s3); None is a GAP.

    `sources` maps each field to where its numbers come from.
    """

    position_lower: Floats | None
    position_upper: Floats | None
    velocity: Floats | None
    acceleration: Floats | None
    jerk: Floats | None
    sources: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Workspace:
    """Box of the tip in the base frame, m; [3] each."""

    lower: Floats
    upper: Floats
    source: str


@dataclass(frozen=True, kw_only=True, eq=False)
class OperatingLimits:
    """What this project keeps to, inside the vendor's limits; arm joints [J], no GAP.

    `step` is the largest change between two rows (rad), `gripper_velocity` in 1/s.
    """

    position_lower: Floats
    position_upper: Floats
    velocity: Floats
    acceleration: Floats
    jerk: Floats
    step: Floats
    workspace: Workspace
    gripper_velocity: float
    sources: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """Shape and meaning of the chunks this robot is driven with; times in s."""

    period_s: float
    horizon: int
    action_space: ActionSpace
    delta_base: DeltaBase
    max_open_loop_s: float
    valid_for_s: float
    source: str

    @property
    def period_ns(self) -> int:
        return round(self.period_s * 1e9)

    @property
    def valid_for_ns(self) -> int:
        return round(self.valid_for_s * 1e9)


@dataclass(frozen=True, kw_only=True, eq=False)
class RobotSpec:
    """One robot. `digest` is the SHA-256 (hex) of the facts, comments and sources left out."""

    robot: str
    variant: str
    base_frame: str
    tip_frame: str
    joint_names: tuple[str, ...]
    gripper: GripperSpec
    cameras: tuple[CameraSpec, ...]
    state_sources: tuple[StateSpec, ...]
    command: CommandSpec
    vendor_limits: Limits
    operating_limits: OperatingLimits
    home: Floats
    policy: PolicySpec
    digest: str
    path: Path

    @property
    def action_names(self) -> tuple[str, ...]:
        """Columns of actions and state: arm joints, then "gripper"."""
        return (*self.joint_names, GRIPPER)

    @property
    def dim(self) -> int:
        return len(self.joint_names) + 1

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in self.cameras)


def load_spec(path: str | Path) -> RobotSpec:
    """The robot described by a YAML file.

    Raises SpecError with file, field and mend for a missing or unknown key, a wrong type, a
    number that cannot be (limits upside down, operating outside the vendor's), or joints that no
    state source delivers.
    """
    from a1_core.spec_reader import read_spec

    return read_spec(Path(path))
