"""What the controls mean for the joints: the tip's velocity, the joints' own, or a leader arm.

Of a robot with several arms sticks drive one at a time, a leader all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from a1_core.errors import A1Error
from a1_core.spec import OperatingLimits, RobotSpec, Workspace
from a1_recorder.teleop.chain_arm import ChainArm
from a1_recorder.teleop.controls import Controls
from a1_recorder.teleop.target import Wish

Floats = NDArray[np.float64]

SOLVING_STEPS = 4
# A redundant arm drifts towards its posture at so small a share of the way a step.
POSTURE_GAIN = 0.002
# From rest to full deflection's speed, and back (s): the joints can follow that.
RAMP_S = 0.3
# How far the pose that is asked for may run ahead of the target (m, rad).
TIP_LEAD_M, TIP_LEAD_RAD = 0.03, 0.15
# Kept from the walls of the workspace (m).
WALL_M = 0.01
# A pose that the joints miss by more (m, rotations weighted as the kinematics does) is no way on.
REACH_M = 4e-3


@dataclass(frozen=True, kw_only=True)
class ArmPart:
    """What of a robot is one arm: its columns of joints, and which gripper; None: it has none."""

    name: str
    joints: slice
    gripper: int | None


def parts_of(spec: RobotSpec) -> tuple[ArmPart, ...]:
    """The arms of a robot; A1Error where nobody can tell whose the grippers are."""
    grippers, arms = len(spec.grippers), len(spec.arms)
    if grippers not in (0, arms):
        raise A1Error(
            f"{spec.path}: has {arms} arms and {grippers} grippers; to drive it each arm needs one "
            "gripper, or none has any"
        )
    parts, first = [], 0
    for number, arm in enumerate(spec.arms):
        columns = slice(first, first + len(arm.joints))
        parts.append(ArmPart(name=arm.name, joints=columns, gripper=number if grippers else None))
        first = columns.stop
    return tuple(parts)


class Steering(Protocol):
    """One way to drive."""

    def start(self, q_J: Floats, arm: int) -> None:
        """Begin at these joints (rad) with one of the arms; A1Error says why it cannot."""

    def wish(self, q_J: Floats, controls: Controls, dt_s: float) -> Wish:
        """What shall happen in the next `dt_s`, the target being at `q_J`."""

    def openings(self, controls: Controls, now_G: Floats) -> Floats:
        """Where the grippers shall go (0 closed .. 1 open), who were asked to be at `now_G`."""

    def lost(self) -> str:
        """What it needs and no longer hears; empty where all is well."""


class ArmModel(Protocol):
    """Kinematics of an arm in its base frame (m, rad)."""

    def tip_pose(self, q: Floats) -> tuple[Floats, Floats]:
        """Position [3] and rotation matrix [3, 3] of the tip."""

    def step_towards(
        self, q: Floats, position: Floats, rotation: Floats, posture_gain: float
    ) -> tuple[Floats, float]:
        """Joints a step nearer to a tip pose, and the error before it."""


def load_arms(name: str, spec: RobotSpec) -> list[ArmModel]:
    """Kinematics of every arm: what `module:function` makes, or, of the empty name, the spec's.

    A1Error when the name leads nowhere, when it is given for a robot of several arms, or when the
    spec has a GAP in place of kinematics.
    """
    if name and len(spec.arms) == 1:
        return [load_arm(name)]
    if name:
        raise A1Error(
            f"parameter inverse_kinematics '{name}' makes one arm, {spec.path} has "
            f"{len(spec.arms)}; leave it empty, for the kinematics of the spec"
        )
    return [_chain_arm(spec, number) for number in range(len(spec.arms))]


def _chain_arm(spec: RobotSpec, number: int) -> ChainArm:
    arm, part = spec.arms[number], parts_of(spec)[number]
    if arm.chain is None:
        raise A1Error(
            f"{spec.path}: kinematics of {arm.name} is a GAP; fill it in, set inverse_kinematics, "
            "or steer joints or a leader"
        )
    limits = spec.operating_limits
    return ChainArm(
        arm.chain,
        lower_J=limits.position_lower[part.joints],
        upper_J=limits.position_upper[part.joints],
        posture_J=spec.home[part.joints],
    )


def load_arm(name: str) -> ArmModel:
    """What `module:function` makes; A1Error when the name leads nowhere."""
    module, _, function = name.partition(":")
    try:
        return getattr(import_module(module), function)()
    except (ImportError, AttributeError, ValueError) as error:
        raise A1Error(
            f"parameter inverse_kinematics '{name}' cannot be loaded ({error}): install its "
            "package, name another module:function, or steer joints or a leader"
        ) from error


class JointSteering:
    """Every axis turns a joint of one arm.

    Args:
        parts: of the robot.
        share: of the velocity limits that a full deflection is.
    """

    def __init__(self, parts: Sequence[ArmPart], limits: OperatingLimits, share: float) -> None:
        self._parts = parts
        self._part = parts[0]
        self._speed_J = share * limits.velocity

    def start(self, q_J: Floats, arm: int) -> None:
        self._part = self._parts[arm]

    def wish(self, q_J: Floats, controls: Controls, dt_s: float) -> Wish:
        joints = self._part.joints
        feed_J = np.zeros_like(q_J)
        feed_J[joints] = controls.joints_J[: joints.stop - joints.start]
        return Wish(feed_J=self._speed_J * feed_J)

    def openings(self, controls: Controls, now_G: Floats) -> Floats:
        return _asked(self._part, controls, now_G)

    def lost(self) -> str:
        return ""


def _asked(part: ArmPart, controls: Controls, now_G: Floats) -> Floats:
    """The openings with that of one arm as its buttons say."""
    openings_G = now_G.copy()
    if controls.gripper is not None and part.gripper is not None:
        openings_G[part.gripper] = controls.gripper
    return openings_G


class TipSteering:
    """The axes move and turn one arm's tip along and about the axes of its base frame.

    The pose asked for is kept from tick to tick, so that what the joints' limits took away is made
    up for; it never runs far ahead, nor out of the workspace. At the edge of its reach the arm
    stops.

    Args:
        parts: of the robot.
        arms: kinematics of each. workspaces: boxes of their tips (m, base frame of the arm).
        speed_m_s, turn_rad_s: of a full deflection.
    """

    def __init__(
        self,
        parts: Sequence[ArmPart],
        arms: Sequence[ArmModel],
        workspaces: Sequence[Workspace],
        *,
        speed_m_s: float,
        turn_rad_s: float,
    ) -> None:
        self._parts, self._arms, self._workspaces = parts, arms, workspaces
        self._scale_6 = np.repeat([speed_m_s, turn_rad_s], 3)
        self._twist_6 = np.zeros(6)
        self._goal_J: Floats | None = None

    def start(self, q_J: Floats, arm: int) -> None:
        """The pose of these joints is the one to go on from."""
        self._part, self._arm = self._parts[arm], self._arms[arm]
        workspace = self._workspaces[arm]
        self._lower, self._upper = workspace.lower + WALL_M, workspace.upper - WALL_M
        self._position, matrix = self._arm.tip_pose(q_J[self._part.joints])
        self._rotation = Rotation.from_matrix(matrix)
        self._goal_J = np.array(q_J)
        self._twist_6 = np.zeros(6)

    def wish(self, q_J: Floats, controls: Controls, dt_s: float) -> Wish:
        most_6 = self._scale_6 * dt_s / RAMP_S
        change_6 = self._scale_6 * controls.tip_6 - self._twist_6
        self._twist_6 = self._twist_6 + np.clip(change_6, -most_6, most_6)
        assert self._goal_J is not None
        if not self._twist_6.any():
            return Wish(feed_J=np.zeros_like(q_J), goal_J=self._goal_J)
        before_J, pose = self._goal_J, (self._position, self._rotation)
        joints = self._part.joints
        self._move(self._twist_6 * dt_s, q_J[joints])
        goal_J = before_J.copy()
        for _ in range(SOLVING_STEPS):
            goal_J[joints], missed_m = self._arm.step_towards(
                goal_J[joints], self._position, self._rotation.as_matrix(), POSTURE_GAIN
            )
        if missed_m > REACH_M:
            self._position, self._rotation = pose
            self._twist_6 = np.zeros(6)
            return Wish(feed_J=np.zeros_like(q_J), goal_J=before_J)
        self._goal_J = goal_J
        return Wish(feed_J=(goal_J - before_J) / dt_s, goal_J=goal_J)

    def openings(self, controls: Controls, now_G: Floats) -> Floats:
        return _asked(self._part, controls, now_G)

    def lost(self) -> str:
        return ""

    def _move(self, change_6: Floats, q: Floats) -> None:
        here, matrix = self._arm.tip_pose(q)
        frame = Rotation.from_matrix(matrix)
        lower, upper = np.minimum(self._lower, here), np.maximum(self._upper, here)
        asked = np.clip(self._position + change_6[:3], lower, upper)
        self._position = here + _at_most(asked - here, TIP_LEAD_M)
        turned = (Rotation.from_rotvec(change_6[3:]) * self._rotation * frame.inv()).as_rotvec()
        self._rotation = Rotation.from_rotvec(_at_most(turned, TIP_LEAD_RAD)) * frame


def _at_most(vector: Floats, length: float) -> Floats:
    return vector / max(1.0, float(np.linalg.norm(vector)) / length)


class LeaderSteering:
    """The arms mirror the joints of a leader arm, or of one each.

    Args:
        signs_J, offsets_J: the leader's joints times `signs`, plus `offsets` (rad), are the arm's.
        relative: mirror the leader's motion from where both were when it began; otherwise its
            joints themselves, which then have to agree.
        max_apart: farthest a joint may be off at the start where it is not relative (rad).
    """

    def __init__(
        self,
        names: tuple[str, ...],
        *,
        signs_J: Floats,
        offsets_J: Floats,
        relative: bool,
        max_apart: float,
    ) -> None:
        self._names = names
        self._signs_J, self._offsets_J = signs_J, offsets_J
        self._relative, self._max_apart = relative, max_apart
        self._shift_J = np.zeros_like(signs_J)
        self._leader_J: Floats | None = None
        self._openings_G: Floats | None = None

    def hear(self, leader_J: Floats | None, openings_G: Floats | None) -> None:
        """The leader's joints now (rad) and its openings (0..1); None where it is silent."""
        self._leader_J = None if leader_J is None else self._signs_J * leader_J + self._offsets_J
        self._openings_G = openings_G

    def start(self, q_J: Floats, arm: int) -> None:
        """Agree with the leader, or remember how far apart they are."""
        if self._leader_J is None:
            raise A1Error("the leader arm is silent; start its driver, or mend leader.topic")
        apart_J = q_J - self._leader_J
        worst = int(np.abs(apart_J).argmax())
        if not self._relative and abs(apart_J[worst]) > self._max_apart:
            raise A1Error(
                f"the leader's {self._names[worst]} is {-apart_J[worst]:+.2f} rad from the arm's "
                f"(at most {self._max_apart} rad): move the leader there, or set leader.relative"
            )
        self._shift_J = apart_J if self._relative else np.zeros_like(apart_J)

    def wish(self, q_J: Floats, controls: Controls, dt_s: float) -> Wish:
        assert self._leader_J is not None
        still_J = np.zeros_like(q_J)
        return Wish(feed_J=still_J, goal_J=self._leader_J + self._shift_J)

    def openings(self, controls: Controls, now_G: Floats) -> Floats:
        if self._openings_G is not None:
            return self._openings_G
        return now_G if controls.gripper is None else np.full_like(now_G, controls.gripper)

    def lost(self) -> str:
        return "the leader arm is silent" if self._leader_J is None else ""
