"""How far what the policy said is from what was done: by row, by exit layer, by tick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a1_core.chunk import is_gripper
from a1_core.spec import RobotSpec
from a1_policy_node.open_loop import OpenLoop, absolute

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Errors:
    """Distances between rows and what was done; NaN where that is not known.

    Attributes:
        layers: exit layers [K], counted from 1.
        rows_s: when the rows are due after the observation [H].
        joint_KNH: mean over the arm's joints (rad) of every exit; gripper_KNH: of its opening.
        taken_NH, taken_gripper_NH: of what the setting would have sent.
        stay_NH: of a chunk that stays where the arm was observed, for comparison.
        taken_N: layer at which the setting left.
    """

    layers: tuple[int, ...]
    rows_s: Floats
    joint_KNH: Floats
    gripper_KNH: Floats
    taken_NH: Floats
    taken_gripper_NH: Floats
    stay_NH: Floats
    taken_N: NDArray[np.int64]


def errors_of(run: OpenLoop, spec: RobotSpec, exits: tuple[int, ...]) -> Errors:
    """The distances of a run; `exits` are the policy's block indices."""
    arm = np.array([not is_gripper(name) for name in spec.action_names])
    rows_KNHD = absolute(spec, run.actions_KNHD, run.state_ND)
    taken_NHD = absolute(spec, run.taken_NHD, run.state_ND)

    def joints(rows: Floats) -> Floats:
        return mean(np.abs(rows[..., arm] - run.done_NHD[..., arm]), -1)

    def grippers(rows: Floats) -> Floats:
        return mean(np.abs(rows[..., ~arm] - run.done_NHD[..., ~arm]), -1)

    return Errors(
        layers=tuple(block + 1 for block in exits),
        rows_s=spec.policy.period_s * np.arange(spec.policy.horizon, dtype=np.float64),
        joint_KNH=joints(rows_KNHD),
        gripper_KNH=grippers(rows_KNHD),
        taken_NH=joints(taken_NHD),
        taken_gripper_NH=grippers(taken_NHD),
        stay_NH=joints(np.broadcast_to(run.state_ND[:, None], run.done_NHD.shape)),
        taken_N=np.array([trace.exit_layer for trace in run.traces]),
    )


def mean(values: Floats, axis: int | tuple[int, ...]) -> Floats:
    """Mean of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=axis)
    count = known.sum(axis=axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def summary(errors: Errors) -> dict[str, Any]:
    """Means as plain values; null where nothing was known."""
    return {
        "ticks": len(errors.taken_N),
        "exit_layers": list(errors.layers),
        "row_due_s": [round(float(value), 6) for value in errors.rows_s],
        "joint_rad_by_exit_and_row": [_plain(row) for row in mean(errors.joint_KNH, 1)],
        "joint_rad_by_exit": _plain(mean(errors.joint_KNH, (1, 2))),
        "gripper_by_exit_and_row": [_plain(row) for row in mean(errors.gripper_KNH, 1)],
        "taken": {
            "joint_rad_by_row": _plain(mean(errors.taken_NH, 0)),
            "joint_rad": _plain(mean(errors.taken_NH, (0, 1))[None])[0],
            "gripper_by_row": _plain(mean(errors.taken_gripper_NH, 0)),
            "share_by_exit": [float((errors.taken_N == layer).mean()) for layer in errors.layers],
            "mean_layer": float(errors.taken_N.mean()),
        },
        "stay_joint_rad_by_row": _plain(mean(errors.stay_NH, 0)),
        "stay_joint_rad": _plain(mean(errors.stay_NH, (0, 1))[None])[0],
    }


def _plain(values: Floats) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
