"""Joints for the poses of tips: rows of end-effector chunks, solved within the operating limits.

Rows become joints before anything is blended, so rotations are composed and never averaged.
"""

from __future__ import annotations

import mink
import mujoco
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from a1_core.chunk import ActionChunk, ActionSpace, DeltaBase, RotationKind
from a1_core.end_effector import POSITION_COLUMNS, ROTATION_COLUMNS
from a1_core.errors import SpecError
from a1_core.spec import ArmSpec, RobotSpec
from a1_core.splice import POSITION_MARGIN
from a1_core.verdict import Verdict, VerdictCode

Floats = NDArray[np.float64]

SOLVER = "daqp"
# Of the rotation's error against the position's (m a rad), and of the steps against both.
ROTATION_WEIGHT_M = 0.3
DAMPING = 1e-6
# A row is solved in so few steps when the one before it was; past the most it is out of reach.
MOST_STEPS = 30
EXACT_M, EXACT_RAD = 1e-6, 1e-5
REACHED_M, REACHED_RAD = 5e-4, 2e-3
# Numbers that are farther from a unit quaternion, or from two unit columns, are no rotation.
UNIT_SLACK = 0.1


class InverseKinematics:
    """Callable: a chunk of EE_POSE or EE_DELTA to absolute joint rows.

    Poses are those of the arms' tip frames in their arms' base frames. Offsets are along and about
    the axes of the base frame: to the pose at the chunk's stamp, or to that of the row before.

    Args:
        robot: its spec; SpecError where its kinematics are a GAP.
    """

    def __init__(self, robot: RobotSpec) -> None:
        if robot.kinematics is None:
            raise SpecError(
                f"{robot.path}: kinematics are GAP: write the chain of frames into a copy of the "
                "spec"
            )
        self._arms = [arm.name for arm in robot.arms]
        self._joints = len(robot.joint_names)
        self._configuration = mink.Configuration(_chains(robot).compile())
        model = self._configuration.model
        self._lower, self._upper = model.jnt_range.T
        self._limits = [mink.ConfigurationLimit(model, gain=1.0)]
        self._tips = [
            mink.FrameTask(
                frame_name=name,
                frame_type="site",
                position_cost=1.0,
                orientation_cost=ROTATION_WEIGHT_M,
            )
            for name in self._arms
        ]

    def __call__(self, chunk: ActionChunk, observed_D: Floats) -> Floats | Verdict:
        """Rows [H, D]: arm joints (rad), then the chunk's openings; or why there are none.

        Args:
            chunk: whose header is right and whose numbers are finite.
            observed_D: state at the chunk's stamp; the first row is solved from there.
        """
        rows_HD = chunk.actions_HD.astype(np.float64)
        width = len(POSITION_COLUMNS) + len(ROTATION_COLUMNS[chunk.rotation])
        self._place(np.clip(observed_D[: self._joints], self._lower, self._upper))
        targets = []
        for index, task in enumerate(self._tips):
            poses_HP = rows_HD[:, index * width : (index + 1) * width]
            turns = rotations(poses_HP[:, len(POSITION_COLUMNS) :], chunk.rotation)
            if isinstance(turns, Verdict):
                return turns
            here = self._pose(task)
            targets.append(absolute_poses(chunk, poses_HP[:, :3], turns, here))
        found_HJ = np.empty((len(rows_HD), self._joints))
        for row in range(len(rows_HD)):
            for task, (places, turns) in zip(self._tips, targets, strict=True):
                task.set_target(_se3(places[row], turns[row]))
            refusal = self._solve(row)
            if refusal is not None:
                return refusal
            found_HJ[row] = self._configuration.q
        return np.hstack([found_HJ, rows_HD[:, width * len(self._arms) :]])

    def _solve(self, row: int) -> Verdict | None:
        for _ in range(MOST_STEPS):
            apart_A2 = self._apart()
            if (apart_A2 <= (EXACT_M, EXACT_RAD)).all():
                return None
            try:
                step_J = mink.solve_ik(
                    self._configuration,
                    self._tips,
                    1.0,
                    solver=SOLVER,
                    damping=DAMPING,
                    limits=self._limits,
                )
            except mink.NoSolutionFound:
                break
            if np.abs(step_J).max() < EXACT_RAD:
                break
            self._place(np.clip(self._configuration.q + step_J, self._lower, self._upper))
        apart_A2 = self._apart()
        if (apart_A2 <= (REACHED_M, REACHED_RAD)).all():
            return None
        arm = int((apart_A2 / (REACHED_M, REACHED_RAD)).max(axis=1).argmax())
        away_m, off_rad = apart_A2[arm]
        return Verdict(
            code=VerdictCode.LIMIT,
            detail=f"row {row}: no joints within the operating limits bring the tip of "
            f"{self._arms[arm]} there; the nearest leave {away_m * 1e3:.0f} mm and {off_rad:.2f} "
            "rad",
        )

    def _place(self, q_J: Floats) -> None:
        self._configuration.update(q_J)

    def _apart(self) -> Floats:
        """Distance (m) and angle (rad) of every arm's tip from its target [A, 2]."""
        errors_A6 = np.array([task.compute_error(self._configuration) for task in self._tips])
        return np.stack(
            [np.linalg.norm(errors_A6[:, :3], axis=1), np.linalg.norm(errors_A6[:, 3:], axis=1)],
            axis=1,
        )

    def _pose(self, task: mink.FrameTask) -> tuple[Floats, Rotation]:
        pose = self._configuration.get_transform_frame_to_world(task.frame_name, "site")
        return pose.translation(), Rotation.from_matrix(pose.rotation().as_matrix())


def absolute_poses(
    chunk: ActionChunk, places_H3: Floats, turns: Rotation, here: tuple[Floats, Rotation]
) -> tuple[Floats, Rotation]:
    """Positions [H, 3] (m) and rotations of one arm's tip in its base frame.

    Args:
        places_H3, turns: as the chunk says them.
        here: pose of the tip at the chunk's stamp, which offsets are added to.
    """
    if chunk.action_space is ActionSpace.EE_POSE:
        return places_H3, turns
    place_3, turn = here
    if chunk.delta_base is DeltaBase.OBSERVED:
        return place_3 + places_H3, turns * turn
    summed = []
    for offset in turns:
        turn = offset * turn
        summed.append(turn)
    return place_3 + np.cumsum(places_H3, axis=0), Rotation.concatenate(summed)


def rotations(numbers_HR: Floats, kind: RotationKind) -> Rotation | Verdict:
    """What the numbers of H rows say, or a verdict on the first that says no rotation."""
    if kind is RotationKind.ROTVEC:
        return Rotation.from_rotvec(numbers_HR)
    if kind is RotationKind.RPY:
        return Rotation.from_euler("xyz", numbers_HR)
    if kind is RotationKind.QUATERNION_XYZW:
        lengths_H = np.linalg.norm(numbers_HR, axis=1)
        return _no_rotation(np.abs(lengths_H - 1.0), kind) or Rotation.from_quat(numbers_HR)
    columns_H23 = numbers_HR.reshape(-1, 2, 3)
    lengths_H2 = np.linalg.norm(columns_H23, axis=2)
    skew_H = np.abs((columns_H23[:, 0] * columns_H23[:, 1]).sum(axis=1))
    off_H = np.maximum(np.abs(lengths_H2 - 1.0).max(axis=1), skew_H)
    return _no_rotation(off_H, kind) or Rotation.from_matrix(_orthogonal(columns_H23))


def _orthogonal(columns_H23: Floats) -> Floats:
    """Rotation matrices [H, 3, 3] by Gram and Schmidt."""
    first = columns_H23[:, 0] / np.linalg.norm(columns_H23[:, 0], axis=1, keepdims=True)
    along = (first * columns_H23[:, 1]).sum(axis=1, keepdims=True)
    second = columns_H23[:, 1] - along * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=2)


def _no_rotation(off_H: Floats, kind: RotationKind) -> Verdict | None:
    row = int(off_H.argmax())
    if off_H[row] <= UNIT_SLACK:
        return None
    what = "a unit quaternion" if kind is RotationKind.QUATERNION_XYZW else "two unit columns"
    return Verdict(
        code=VerdictCode.WRONG_SHAPE,
        detail=f"row {row}: {', '.join(ROTATION_COLUMNS[kind])} is {off_H[row]:.2g} from {what}",
    )


def _se3(place_3: Floats, turn: Rotation) -> mink.SE3:
    xyzw = turn.as_quat()
    return mink.SE3(wxyz_xyz=np.concatenate([np.roll(xyzw, 1), place_3]))


def _chains(robot: RobotSpec) -> mujoco.MjSpec:
    """All arms' chains, each from its own base frame, with sites at the tips called as the arms."""
    spec, first = mujoco.MjSpec(), 0
    spec.compiler.degree = False
    for arm in robot.arms:
        _add_chain(spec, robot, arm, first)
        first += len(arm.joints)
    return spec


def _add_chain(spec: mujoco.MjSpec, robot: RobotSpec, arm: ArmSpec, first: int) -> None:
    assert arm.chain is not None
    limits = robot.operating_limits
    lower = limits.position_lower + 2.0 * POSITION_MARGIN
    upper = limits.position_upper - 2.0 * POSITION_MARGIN
    body = spec.worldbody
    for index, (origin, axis) in enumerate(
        zip(arm.chain.origins_N6[:-1], arm.chain.axes_J3, strict=True)
    ):
        body = body.add_body(
            pos=origin[:3],
            quat=_wxyz(origin[3:]),
            mass=1.0,
            inertia=[1.0, 1.0, 1.0],
            explicitinertial=True,
        )
        body.add_joint(
            name=arm.joints[index],
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=axis,
            range=[lower[first + index], upper[first + index]],
            limited=mujoco.mjtLimited.mjLIMITED_TRUE,
        )
    tip = arm.chain.origins_N6[-1]
    body.add_site(name=arm.name, pos=tip[:3], quat=_wxyz(tip[3:]))


def _wxyz(rpy: Floats) -> Floats:
    return np.roll(Rotation.from_euler("xyz", rpy).as_quat(), 1)
