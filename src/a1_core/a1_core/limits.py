"""What a chunk, and every set-point made of it, must keep to before it reaches the robot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from a1_core.chunk import JOINT_SPACES, ActionChunk, absolute_rows
from a1_core.player import Setpoint
from a1_core.spec import RobotSpec
from a1_core.splice import POSITION_MARGIN, needed_slow_down
from a1_core.verdict import Verdict, VerdictCode

Floats = NDArray[np.floating]
ForwardKinematics = Callable[[NDArray[np.float64]], NDArray[np.float64]]

# A row this far outside the joint range is clamped (rad); further out the chunk is refused.
CLAMP_RAD = 0.05
# Rows that would have to be played more than this many times slower are refused.
MAX_SLOW_DOWN = 3.0
# No row closer to the commanded joints than this many steps: made for another place.
START_STEPS = 2.0
# Between rows that are inside the workspace the tip may bulge out this far (m).
BULGE_M = 0.02
RELATIVE_TOLERANCE = 1e-3
# A longer chunk is no chunk, and would keep the control loop waiting while it is judged.
MOST_ROWS = 256
LONGEST_S = 30.0

OK = Verdict(code=VerdictCode.ACCEPTED)


@dataclass(frozen=True, kw_only=True)
class Touch:
    """Two bodies of a robot that come too close on the way to `row`; `gap_m` below 0 is depth."""

    row: int
    bodies: tuple[str, str]
    gap_m: float

    def __str__(self) -> str:
        apart = f"{self.gap_m * 1e3:.0f} mm from" if self.gap_m > 0.0 else "into"
        return f"row {self.row}: {self.bodies[0]} comes {apart} {self.bodies[1]}"


class SelfCollisionCheck(Protocol):
    """Finds the first touch of the robot with itself; a1_world's SelfCollision is one."""

    def __call__(
        self, rows_NJ: NDArray[np.float64], start_J: NDArray[np.float64] | None = None
    ) -> Touch | None:
        """Arm joints [N, J] (rad) in order, and where they are before; what touches then may part.

        None where nothing touches.
        """


class PoseSolver(Protocol):
    """Joints for the poses of tips; a1_world's InverseKinematics is one."""

    def __call__(
        self, chunk: ActionChunk, observed_D: NDArray[np.float64]
    ) -> NDArray[np.float64] | Verdict:
        """Absolute joint rows [H, D] of a chunk in EE_POSE or EE_DELTA, or why there are none.

        Args:
            observed_D: state at the chunk's stamp.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class GateVerdict(Verdict):
    """A verdict with what is left to play when it is ACCEPTED.

    Attributes:
        rows_HD: float64 [<= H, D], inside the joint range, cut before the first row whose tip
            leaves the workspace.
        clamped: rows that were changed or cut.
        slow_down: how many times slower than asked the rows alone need to be played.
    """

    rows_HD: NDArray[np.float64]
    clamped: int = 0
    slow_down: float = 1.0


class SafetyGate:
    """Judges chunks when they come and set-points before they leave.

    Args:
        spec: of the robot; its operating_limits count.
        forward_kinematics: arm joints [J] (rad) to the arms' tips, each in its base frame [A, 3]
            (m; [3] for a single arm); None leaves the workspace unchecked.
        self_collision: None leaves it unchecked.
        pose_solver: None refuses end-effector chunks.
    """

    def __init__(
        self,
        spec: RobotSpec,
        forward_kinematics: ForwardKinematics | None,
        self_collision: SelfCollisionCheck | None = None,
        pose_solver: PoseSolver | None = None,
    ) -> None:
        self._spec = spec
        self._limits = spec.operating_limits
        self._joints = self._limits.joints
        self._tip = forward_kinematics
        self._self_collision = self_collision
        self._pose_solver = pose_solver
        boxes = [self._limits.workspaces[arm.name] for arm in spec.arms]
        self._box_lower_A3 = np.array([box.lower for box in boxes])
        self._box_upper_A3 = np.array([box.upper for box in boxes])
        self._lower = self._limits.position_lower + 2.0 * POSITION_MARGIN
        self._upper = self._limits.position_upper - 2.0 * POSITION_MARGIN

    def check_header(self, chunk: ActionChunk) -> Verdict:
        """WRONG_ROBOT, WRONG_SPEC, WRONG_SPACE, WRONG_SHAPE or NON_FINITE, else ACCEPTED.

        To be asked before `rows`.
        """
        spec = self._spec
        if chunk.robot != spec.robot:
            return _no(
                VerdictCode.WRONG_ROBOT, f"chunk is for '{chunk.robot}', this is '{spec.robot}'"
            )
        if chunk.spec_digest != spec.digest:
            return _no(
                VerdictCode.WRONG_SPEC,
                f"chunk was made for spec {chunk.spec_digest[:12]}, {spec.path} is "
                f"{spec.digest[:12]}: start both sides with the same file",
            )
        columns = spec.action_names
        if chunk.action_space not in JOINT_SPACES:
            wrong = self._wrong_frames(chunk)
            if wrong:
                return _no(VerdictCode.WRONG_SPACE, f"{chunk.action_space.name}: {wrong}")
            columns = spec.pose_names(chunk.rotation)
        if chunk.names != columns:
            return _no(
                VerdictCode.WRONG_SHAPE,
                f"columns are {list(chunk.names)}, the robot has {list(columns)}",
            )
        if chunk.horizon < 2:
            return _no(VerdictCode.WRONG_SHAPE, "one row is no motion; send at least 2")
        lasts_s = chunk.horizon * chunk.period_ns / 1e9
        if chunk.horizon > MOST_ROWS or lasts_s > LONGEST_S:
            return _no(
                VerdictCode.WRONG_SHAPE,
                f"{chunk.horizon} rows over {lasts_s:.3g} s; send at most {MOST_ROWS} rows over "
                f"{LONGEST_S:g} s",
            )
        if not np.isfinite(chunk.actions_HD).all():
            row, column = np.argwhere(~np.isfinite(chunk.actions_HD))[0]
            return _no(VerdictCode.NON_FINITE, f"row {row}, {chunk.names[column]} is not finite")
        return OK

    def rows(self, chunk: ActionChunk, observed_D: Floats) -> NDArray[np.float64] | Verdict:
        """Absolute joint rows [H, D] of a chunk whose header is right, or why there are none.

        Args:
            observed_D: state at the chunk's stamp.
        """
        if chunk.action_space in JOINT_SPACES:
            return absolute_rows(chunk, observed_D)
        assert self._pose_solver is not None
        return self._pose_solver(chunk, np.asarray(observed_D, dtype=np.float64))

    def _wrong_frames(self, chunk: ActionChunk) -> str:
        """Why poses of these frames cannot be moved to; empty where they can."""
        if self._pose_solver is None:
            return "there are no inverse kinematics for this robot; send joints"
        base, tip = self._spec.pose_frames
        if (chunk.base_frame, chunk.tip_frame) != (base, tip):
            return f"moves '{chunk.tip_frame}' in '{chunk.base_frame}'; name '{tip}' in '{base}'"
        return ""

    def check(
        self,
        chunk: ActionChunk,
        rows_HD: Floats,
        *,
        commanded_D: Floats | None = None,
    ) -> GateVerdict:
        """Header, then the absolute rows of the chunk.

        Small violations are mended (clamped, cut) and counted or left to the player to slow
        down; large ones refuse the chunk.

        Args:
            rows_HD: `rows` of the chunk [H, D].
            commanded_D: present command [D]; where given, a chunk must begin near it, and an arm
                that is outside its range or workspace may move back in.
        """
        own_HD = np.array(rows_HD, dtype=np.float64)
        verdict = self.check_header(chunk)
        wanted = (chunk.horizon, self._spec.dim)
        if verdict.accepted and own_HD.shape != wanted:
            verdict = _no(
                VerdictCode.WRONG_SHAPE, f"rows have shape {own_HD.shape}, {wanted} is wanted"
            )
        if verdict.accepted and not np.isfinite(own_HD).all():
            verdict = _no(VerdictCode.NON_FINITE, "rows are not finite: is the state?")
        if verdict.accepted:
            verdict = self._check_steps(own_HD, commanded_D)
        if not verdict.accepted:
            return GateVerdict(code=verdict.code, detail=verdict.detail, rows_HD=own_HD)
        return self._mend(own_HD, chunk.period_ns / 1e9, commanded_D)

    def touch(self, rows_HD: Floats, commanded_D: Floats | None = None) -> Touch | None:
        """Where the robot would first run into itself on its way through absolute rows [H, D].

        None where it does not, or where nothing was given to find out.
        """
        if self._self_collision is None:
            return None
        start_J = (
            None
            if commanded_D is None
            else np.asarray(commanded_D[: self._joints], dtype=np.float64)
        )
        return self._self_collision(
            np.asarray(rows_HD[:, : self._joints], dtype=np.float64), start_J
        )

    def check_setpoint(self, setpoint: Setpoint, previous: Setpoint | None) -> Verdict:
        """The last look at a set-point: finite, range, velocity, acceleration, jerk, workspace.

        `previous` is the set-point sent before, None for the first.
        """
        arm = slice(self._joints)
        q, qd, qdd = (part[arm] for part in (setpoint.q_D, setpoint.qd_D, setpoint.qdd_D))
        if not (
            np.isfinite(setpoint.q_D).all() and np.isfinite(qd).all() and np.isfinite(qdd).all()
        ):
            return _no(VerdictCode.NON_FINITE, "set-point is not finite")
        limits = self._limits
        bounds = [("velocity", qd, limits.velocity), ("acceleration", qdd, limits.acceleration)]
        before = q if previous is None else previous.q_D[arm]
        if previous is not None and setpoint.time_ns > previous.time_ns:
            dt_s = (setpoint.time_ns - previous.time_ns) / 1e9
            bounds.append(("jerk", (qdd - previous.qdd_D[arm]) / dt_s, limits.jerk))
            bounds.append(("step", (q - before) / dt_s, limits.velocity))
        for what, values, bound in bounds:
            share = np.abs(values) / bound
            if share.max() > 1.0 + RELATIVE_TOLERANCE:
                code = VerdictCode.STEP if what == "step" else VerdictCode.LIMIT
                return _no(code, f"{what} of {self._worst(share, 'times its limit')}")
        outside = self._outside(q, limits.position_lower, limits.position_upper)
        allowed = self._outside(before, limits.position_lower, limits.position_upper)
        if (outside > allowed + 1e-6).any():
            return _no(VerdictCode.LIMIT, f"position of {self._worst(outside, 'rad outside')}")
        if self._tip is not None:
            out_A = self._tips_outside(q)
            if (out_A > np.maximum(BULGE_M, self._tips_outside(before) + 1e-6)).any():
                return _no(
                    VerdictCode.WORKSPACE, f"tip is {out_A.max():.3f} m outside the workspace"
                )
        return OK

    def _check_steps(self, rows_HD: Floats, commanded_D: Floats | None) -> Verdict:
        step_J = self._limits.step
        steps_HJ = np.abs(np.diff(rows_HD[:, : self._joints], axis=0)) / step_J
        if steps_HJ.max() > 1.0:
            row = int(steps_HJ.max(axis=1).argmax())
            return _no(
                VerdictCode.STEP,
                f"from row {row} to {row + 1}: "
                + self._worst(steps_HJ[row], "times operating_limits.step"),
            )
        if commanded_D is None:
            return OK
        away_HJ = np.abs(rows_HD[:, : self._joints] - commanded_D[: self._joints]) / step_J
        nearest = away_HJ[away_HJ.max(axis=1).argmin()]
        if nearest.max() > START_STEPS:
            return _no(
                VerdictCode.STEP,
                "begins away from the arm: " + self._worst(nearest, "times operating_limits.step"),
            )
        return OK

    def _mend(
        self, rows_HD: NDArray[np.float64], period_s: float, commanded_D: Floats | None
    ) -> GateVerdict:
        lower, upper, arm = self._lower, self._upper, self._joints
        if commanded_D is not None:
            lower = np.minimum(lower, commanded_D[:arm])
            upper = np.maximum(upper, commanded_D[:arm])
        outside_HJ = self._outside(rows_HD[:, :arm], lower, upper)
        if outside_HJ.max() > CLAMP_RAD:
            row = int(outside_HJ.max(axis=1).argmax())
            detail = f"row {row}: " + self._worst(outside_HJ[row], "rad outside its range")
            return GateVerdict(code=VerdictCode.LIMIT, detail=detail, rows_HD=rows_HD)
        rows_HD[:, :arm] = np.clip(rows_HD[:, :arm], lower, upper)
        rows_HD[:, arm:] = np.clip(rows_HD[:, arm:], 0.0, 1.0)
        clamped = int((outside_HJ > POSITION_MARGIN).any(axis=1).sum())
        inside = self._inside_rows(rows_HD, commanded_D)
        if inside < 2:
            detail = f"row {inside}: tip is outside the workspace"
            return GateVerdict(code=VerdictCode.WORKSPACE, detail=detail, rows_HD=rows_HD)
        clamped += len(rows_HD) - inside
        rows_HD = rows_HD[:inside]
        touch = self.touch(rows_HD, commanded_D)
        if touch is not None:
            code = VerdictCode.SELF_COLLISION
            return GateVerdict(code=code, detail=str(touch), rows_HD=rows_HD)
        slow_down = needed_slow_down(rows_HD[:, :arm], period_s, self._limits)
        if slow_down > MAX_SLOW_DOWN:
            detail = f"needs to be played {slow_down:.1f} times slower, at most {MAX_SLOW_DOWN}"
            return GateVerdict(code=VerdictCode.LIMIT, detail=detail, rows_HD=rows_HD)
        return GateVerdict(
            code=VerdictCode.ACCEPTED, rows_HD=rows_HD, clamped=clamped, slow_down=slow_down
        )

    def _inside_rows(self, rows_HD: NDArray[np.float64], commanded_D: Floats | None) -> int:
        """Leading rows that are inside the workspace, or nearer to it than what was before."""
        if self._tip is None:
            return len(rows_HD)
        before_A = (
            np.zeros(len(self._box_lower_A3))
            if commanded_D is None
            else self._tips_outside(commanded_D[: self._joints])
        )
        for row, q in enumerate(rows_HD[:, : self._joints]):
            out_A = self._tips_outside(q)
            if (out_A > before_A + 1e-6).any():
                return row
            before_A = out_A
        return len(rows_HD)

    def _tips_outside(self, q_J: Floats) -> Floats:
        """Distance of every arm's tip to its workspace box (m) [A], 0 inside."""
        assert self._tip is not None
        tips_A3 = np.reshape(self._tip(np.asarray(q_J, dtype=np.float64)), (-1, 3))
        outside_A3 = self._outside(tips_A3, self._box_lower_A3, self._box_upper_A3)
        return np.asarray(np.linalg.norm(outside_A3, axis=1))

    @staticmethod
    def _outside(values: Floats, lower: Floats, upper: Floats) -> Floats:
        return np.maximum(np.maximum(lower - values, values - upper), 0.0)

    def _worst(self, values_J: Floats, unit: str) -> str:
        joint = int(np.argmax(values_J))
        return f"{self._spec.joint_names[joint]} is {float(values_J[joint]):.3g} {unit}"


def _no(code: VerdictCode, detail: str) -> Verdict:
    return Verdict(code=code, detail=detail)
