"""A chunk of future actions, and its rows as absolute positions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import A1Error

if TYPE_CHECKING:
    from a1_core.spec import RobotSpec

GRIPPER = "gripper"
# Over what is left of a chunk that is cut short the arm comes to rest.
REST_NS = 100_000_000


class ActionSpace(IntEnum):
    """What the numbers of a row mean; values are the wire's."""

    JOINT_POSITION = 0
    JOINT_DELTA = 1
    EE_POSE = 2
    EE_DELTA = 3


JOINT_SPACES = (ActionSpace.JOINT_POSITION, ActionSpace.JOINT_DELTA)


class DeltaBase(IntEnum):
    """What deltas are added to: the state at the chunk's stamp, or the row before."""

    OBSERVED = 0
    PREVIOUS_ROW = 1


class Source(IntEnum):
    """Who made a chunk; values are the wire's."""

    POLICY = 0
    TELEOP = 1
    TAKEOVER = 2
    SCRIPT = 3


class RotationKind(IntEnum):
    """Form of rotations in EE spaces; values are the wire's."""

    QUATERNION_XYZW = 0
    ROTVEC = 1
    RPY = 2
    ROT6D = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class ActionChunk:
    """H rows of D numbers; row r is due at stamp_ns + r * period_ns.

    `stamp_ns` is the time of the observation. Gripper columns (named "gripper" or ending so) are
    absolute, 0 closed .. 1 open, in every action space. `exit_layer` counts from 1 (0: no layers).
    `committed_rows` leading rows are copied from the plan in execution. Units: rad, m.

    Raises A1Error when the shape, a duration or the committed rows cannot be right. Values are
    NOT checked here: a chunk from the wire with NaN must get a verdict, not an exception.
    """

    stamp_ns: int
    session_id: str
    seq: int
    source: Source
    robot: str
    spec_digest: str
    action_space: ActionSpace
    delta_base: DeltaBase
    rotation: RotationKind
    tip_frame: str
    base_frame: str
    period_ns: int
    valid_for_ns: int
    committed_rows: int
    end_of_substep: float
    exit_layer: int
    checkpoint_digest: str
    thresholds_digest: str
    names: tuple[str, ...]
    actions_HD: NDArray[np.float32]

    def __post_init__(self) -> None:
        shape = self.actions_HD.shape
        if len(shape) != 2 or shape[0] < 1 or shape[1] != len(self.names):
            raise A1Error(
                f"ActionChunk.actions_HD has shape {shape}; give [H >= 1, {len(self.names)}], one "
                "column for each of names"
            )
        if self.period_ns <= 0 or self.valid_for_ns <= 0:
            raise A1Error(
                f"ActionChunk.period_ns {self.period_ns} and valid_for_ns {self.valid_for_ns} "
                "must be positive"
            )
        if not 0 <= self.committed_rows <= shape[0]:
            raise A1Error(
                f"ActionChunk.committed_rows is {self.committed_rows}; give 0..{shape[0]}"
            )

    @property
    def horizon(self) -> int:
        return int(self.actions_HD.shape[0])


def cut_short(chunk: ActionChunk, now_ns: int) -> ActionChunk:
    """The chunk up to the row that is due REST_NS from `now_ns` on, or the one after it.

    What is kept is the way to rest: a chunk that ended before it arrived would be refused, and the
    plan in hand would be played to its end instead. Committed rows stay.
    """
    last = -(-max(0, now_ns - chunk.stamp_ns + REST_NS) // chunk.period_ns)
    kept = max(last + 1, chunk.committed_rows, 2)
    return replace(chunk, actions_HD=chunk.actions_HD[:kept])


def is_gripper(name: str) -> bool:
    """Whether a column holds a gripper opening (0..1) and not a joint."""
    return name == GRIPPER or name.endswith("_" + GRIPPER)


def absolute_rows(chunk: ActionChunk, base_state_D: NDArray[np.floating]) -> NDArray[np.float64]:
    """Joint rows of a chunk as positions, float64 [H, D] (rad; gripper 0..1).

    Args:
        chunk: in JOINT_POSITION or JOINT_DELTA.
        base_state_D: state at chunk.stamp_ns, same columns as chunk.names.

    Raises A1Error for an EE space: those rows need inverse kinematics first.
    """
    rows_HD = chunk.actions_HD.astype(np.float64)
    if chunk.action_space is ActionSpace.JOINT_POSITION:
        return rows_HD
    if chunk.action_space is not ActionSpace.JOINT_DELTA:
        raise A1Error(
            f"ActionChunk.action_space {chunk.action_space.name} has no joint rows; use "
            "JOINT_POSITION or JOINT_DELTA"
        )
    base_D = np.asarray(base_state_D, dtype=np.float64)
    if base_D.shape != (rows_HD.shape[1],):
        raise A1Error(f"base_state_D has shape {base_D.shape}; give ({rows_HD.shape[1]},)")
    joints = np.array([not is_gripper(name) for name in chunk.names])
    deltas_HJ = rows_HD[:, joints]
    if chunk.delta_base is DeltaBase.PREVIOUS_ROW:
        deltas_HJ = np.cumsum(deltas_HJ, axis=0)
    rows_HD[:, joints] = base_D[joints] + deltas_HJ
    return rows_HD


def joint_chunk(
    spec: RobotSpec,
    *,
    stamp_ns: int,
    session_id: str,
    seq: int,
    source: Source,
    actions_HD: NDArray[np.floating],
    action_space: ActionSpace = ActionSpace.JOINT_POSITION,
    period_ns: int = 0,
) -> ActionChunk:
    """Joint rows that no network made, for a robot: its names, digest and times.

    Args:
        actions_HD: [H, D], columns as `spec.action_names`; offsets are from the observed joints.
        period_ns: 0: that of the robot's policy.
    """
    return ActionChunk(
        stamp_ns=stamp_ns,
        session_id=session_id,
        seq=seq,
        source=source,
        robot=spec.robot,
        spec_digest=spec.digest,
        action_space=action_space,
        delta_base=DeltaBase.OBSERVED,
        rotation=RotationKind.QUATERNION_XYZW,
        tip_frame="",
        base_frame=spec.base_frame,
        period_ns=period_ns or spec.policy.period_ns,
        valid_for_ns=spec.policy.valid_for_ns,
        committed_rows=0,
        end_of_substep=0.0,
        exit_layer=0,
        checkpoint_digest="",
        thresholds_digest="",
        names=spec.action_names,
        actions_HD=actions_HD.astype(np.float32),
    )


def rows_in_space(
    rows_HD: NDArray[np.floating],
    base_state_D: NDArray[np.floating],
    *,
    action_space: ActionSpace,
    delta_base: DeltaBase,
    names: tuple[str, ...],
) -> NDArray[np.float64]:
    """The inverse of `absolute_rows`: positions [H, D] as a chunk of that space says them.

    Raises A1Error for an EE space.
    """
    if action_space not in JOINT_SPACES:
        raise A1Error(
            f"rows_in_space: {action_space.name} has no joint rows; use JOINT_POSITION or "
            "JOINT_DELTA"
        )
    said_HD = np.array(rows_HD, dtype=np.float64)
    if action_space is ActionSpace.JOINT_POSITION:
        return said_HD
    joints = np.array([not is_gripper(name) for name in names])
    base_1J = np.asarray(base_state_D, dtype=np.float64)[None, joints]
    if delta_base is DeltaBase.PREVIOUS_ROW:
        said_HD[:, joints] = np.diff(said_HD[:, joints], axis=0, prepend=base_1J)
    else:
        said_HD[:, joints] -= base_1J
    return said_HD
