"""All facts of one robot, as typed values; `a1_core.spec` reads them from its file.

What travels on topics, services and actions is described in `a1_core.spec_wire`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from a1_core.chunk import ActionSpace, DeltaBase, RotationKind
from a1_core.end_effector import POSE_SPACES, pose_names
from a1_core.errors import SpecError
from a1_core.kinematics import Chain, ChainKinematics
from a1_core.model_spec import ModelSpec
from a1_core.spec_wire import (
    CameraSpec,
    CommandSpec,
    GripperSpec,
    StateSpec,
)

Part = TypeVar("Part")

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ArmSpec:
    """One arm: its joints in column order, the frame its workspace is given in, and its tip.

    `chain` leads from the base frame to the tip; None is a GAP.
    """

    name: str
    joints: tuple[str, ...]
    base_frame: str
    tip_frame: str
    chain: Chain | None


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
    """Box of an arm's tip in that arm's base frame, m; [3] each, NaN for a GAP."""

    lower: Floats
    upper: Floats
    source: str


@dataclass(frozen=True, kw_only=True, eq=False)
class OperatingLimits:
    """What this project keeps to, inside the vendor's limits; arm joints [J], no GAP.

    `step` is the largest change between two rows (rad), `gripper_velocity` in 1/s, `workspaces`
    are by the name of the arm.
    """

    position_lower: Floats
    position_upper: Floats
    velocity: Floats
    acceleration: Floats
    jerk: Floats
    step: Floats
    workspaces: Mapping[str, Workspace]
    gripper_velocity: float
    sources: Mapping[str, str]

    @property
    def workspace(self) -> Workspace:
        """That of the only arm; SpecError for a robot of several."""
        return only(tuple(self.workspaces.values()), "operating_limits.workspace")

    @property
    def joints(self) -> int:
        """Number of arm joints: the first columns of actions and state; grippers follow."""
        return len(self.velocity)


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """Shape and meaning of the chunks this robot is driven with; times in s.

    `rotation` is the form of rotations in end-effector spaces; None in joint spaces.
    """

    period_s: float
    horizon: int
    action_space: ActionSpace
    delta_base: DeltaBase
    rotation: RotationKind | None
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
    """One robot, with one arm or several.

    Attributes:
        joint_names: of all arms, in column order; `urdf_names` are the same in /robot_description.
        home: [J] rad.
        model: MuJoCo's, for self-collision and simulation; None: no package has one.
        gaps: facts without which nothing may move; nobody published them, an operator finds out.
        digest: SHA-256 (hex) of the facts that chunks, checkpoints and thresholds are made for:
            without comments, sources, kinematics and model.
    """

    robot: str
    variant: str
    base_frame: str
    arms: tuple[ArmSpec, ...]
    joint_names: tuple[str, ...]
    urdf_names: tuple[str, ...]
    grippers: tuple[GripperSpec, ...]
    cameras: tuple[CameraSpec, ...]
    state_sources: tuple[StateSpec, ...]
    commands: tuple[CommandSpec, ...]
    vendor_limits: Limits
    operating_limits: OperatingLimits
    home: Floats
    policy: PolicySpec
    model: ModelSpec | None
    gaps: tuple[str, ...]
    digest: str
    path: Path

    @property
    def tip_frame(self) -> str:
        """That of the only arm; SpecError for a robot of several."""
        return only(self.arms, f"{self.path}: arms").tip_frame

    @property
    def gripper(self) -> GripperSpec:
        """The only gripper; SpecError for a robot of several."""
        return only(self.grippers, f"{self.path}: grippers")

    @property
    def command(self) -> CommandSpec:
        """The only command; SpecError for a robot of several."""
        return only(self.commands, f"{self.path}: commands")

    @property
    def action_names(self) -> tuple[str, ...]:
        """Columns of joint actions and state: the joints of all arms, then the grippers."""
        return (*self.joint_names, *(gripper.name for gripper in self.grippers))

    @property
    def policy_names(self) -> tuple[str, ...]:
        """Columns of the chunks in the policy's action space."""
        if self.policy.action_space not in POSE_SPACES:
            return self.action_names
        assert self.policy.rotation is not None
        return self.pose_names(self.policy.rotation)

    @property
    def pose_frames(self) -> tuple[str, str]:
        """Base and tip frame that end-effector chunks name; of several arms each has its own."""
        one = len(self.arms) == 1
        return (self.arms[0].base_frame, self.tip_frame) if one else (self.base_frame, "")

    def pose_names(self, rotation: RotationKind) -> tuple[str, ...]:
        """Columns of end-effector chunks: poses of the arms' tips, then the grippers."""
        arms = [arm.name for arm in self.arms]
        return pose_names(arms, [gripper.name for gripper in self.grippers], rotation)

    @property
    def dim(self) -> int:
        return len(self.joint_names) + len(self.grippers)

    @property
    def kinematics(self) -> ChainKinematics | None:
        """Where the arms' tips are for given joints; None where a chain is a GAP."""
        chains = [arm.chain for arm in self.arms if arm.chain is not None]
        return ChainKinematics(chains) if len(chains) == len(self.arms) else None

    def sources_on(self, topic: str) -> tuple[int, ...]:
        """Indices of the state sources that come on one topic (leading slash or not)."""
        wanted = topic.lstrip("/")
        return tuple(
            index
            for index, source in enumerate(self.state_sources)
            if source.topic.lstrip("/") == wanted
        )

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in self.cameras)


def only(parts: tuple[Part, ...], what: str) -> Part:
    """The one element; SpecError where there are several, for code that serves one."""
    if len(parts) != 1:
        raise SpecError(f"{what}: has {len(parts)}, and what was asked for serves robots with one")
    return parts[0]
