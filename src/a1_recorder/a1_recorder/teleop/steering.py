"""What the controls mean for the joints: the tip's velocity, the joints' own, or a leader arm."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from a1_core.errors import A1Error
from a1_core.spec import OperatingLimits, Workspace
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


class Steering(Protocol):
    """One way to drive."""

    def start(self, q_J: Floats) -> None:
        """Begin at these joints (rad); A1Error says why it cannot."""

    def wish(self, q_J: Floats, controls: Controls, dt_s: float) -> Wish:
        """What shall happen in the next `dt_s`, the target being at `q_J`."""

    def gripper(self, controls: Controls) -> float | None:
        """Opening to go to (0 closed .. 1 open); None: as it is."""

    def lost(self) -> str:
        """What it needs and no longer hears; empty where all is well."""


class ArmModel(Protocol):
    """Kinematics of the arm in its base frame (m, rad); a1_world's ArmKinematics is one."""

    def tip_pose(self, q: Floats) -> tuple[Floats, Floats]:
        """Position [3] and rotation matrix [3, 3] of the tip."""

    def step_towards(
        self, q: Floats, position: Floats, rotation: Floats, posture_gain: float
    ) -> tuple[Floats, float]:
        """Joints a step nearer to a tip pose, and the error before it."""


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
    """Every axis turns a joint.

    Args:
        share: of the velocity limits that a full deflection is.
    """

    def __init__(self, limits: OperatingLimits, share: float) -> None:
        self._speed_J = share * limits.velocity

    def start(self, q_J: Floats) -> None:
        """Nothing to remember."""

    def wish(self, q_J: Floats, controls: Controls, dt_s: float) -> Wish:
        return Wish(feed_J=self._speed_J * controls.joints_J)

    def gripper(self, controls: Controls) -> float | None:
        return controls.gripper

    def lost(self) -> str:
        return ""


class TipSteering:
    """The axes move and turn the tip along and about the base frame's axes.

    The pose asked for is kept from tick to tick, so that what the joints' limits took away is made
    up for; it never runs far ahead, nor out of the workspace. At the edge of its reach the arm
    stops.

    Args:
        workspace: box of the tip (m, base frame).
        speed_m_s, turn_rad_s: of a full deflection.
    """

    def __init__(
        self, arm: ArmModel, workspace: Workspace, *, speed_m_s: float, turn_rad_s: float
    ) -> None:
        self._arm = arm
        self._lower = workspace.lower + WALL_M
        self._upper = workspace.upper - WALL_M
        self._scale_6 = np.repeat([speed_m_s, turn_rad_s], 3)
        self._twist_6 = np.zeros(6)
        self._goal_J: Floats | None = None

    def start(self, q_J: Floats) -> None:
        """The pose of these joints is the one to go on from."""
        self._position, matrix = self._arm.tip_pose(q_J)
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
        self._move(self._twist_6 * dt_s, q_J)
        goal_J = before_J
        for _ in range(SOLVING_STEPS):
            goal_J, missed_m = self._arm.step_towards(
                goal_J, self._position, self._rotation.as_matrix(), POSTURE_GAIN
            )
        if missed_m > REACH_M:
            self._position, self._rotation = pose
            self._twist_6 = np.zeros(6)
            return Wish(feed_J=np.zeros_like(q_J), goal_J=before_J)
        self._goal_J = goal_J
        return Wish(feed_J=(goal_J - before_J) / dt_s, goal_J=goal_J)

    def gripper(self, controls: Controls) -> float | None:
        return controls.gripper

    def lost(self) -> str:
        return ""

    def _move(self, change_6: Floats, q_J: Floats) -> None:
        here, matrix = self._arm.tip_pose(q_J)
        frame = Rotation.from_matrix(matrix)
        lower, upper = np.minimum(self._lower, here), np.maximum(self._upper, here)
        asked = np.clip(self._position + change_6[:3], lower, upper)
        self._position = here + _at_most(asked - here, TIP_LEAD_M)
        turned = (Rotation.from_rotvec(change_6[3:]) * self._rotation * frame.inv()).as_rotvec()
        self._rotation = Rotation.from_rotvec(_at_most(turned, TIP_LEAD_RAD)) * frame


def _at_most(vector: Floats, length: float) -> Floats:
    return vector / max(1.0, float(np.linalg.norm(vector)) / length)


class LeaderSteering:
    """The arm mirrors a leader arm's joints.

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
        self._opening: float | None = None

    def hear(self, leader_J: Floats | None, opening: float | None) -> None:
        """The leader's joints now (rad) and its opening (0..1); None where it is silent."""
        self._leader_J = None if leader_J is None else self._signs_J * leader_J + self._offsets_J
        self._opening = opening

    def start(self, q_J: Floats) -> None:
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

    def gripper(self, controls: Controls) -> float | None:
        return self._opening if self._opening is not None else controls.gripper

    def lost(self) -> str:
        return "the leader arm is silent" if self._leader_J is None else ""
