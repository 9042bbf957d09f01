"""The rows in hand, and how the policy is told of the motion that they lead to."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from a1_controllers.settings import Now
from a1_core.chunk import ActionChunk, Source, joint_chunk
from a1_core.spec import RobotSpec

# Between the rows of a plan that is told; a line between them is within a milliradian of it.
TOLD_PERIOD_NS = 25_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """The rows in hand: of a chunk, or (chunk None) the way home."""

    rows_HD: NDArray[np.float64]
    chunk: ActionChunk | None
    accepted: Now


def told(
    spec: RobotSpec,
    plan: Plan | None,
    rows_ND: NDArray[np.floating],
    row_N: NDArray[np.intp],
    now: Now,
) -> ActionChunk:
    """The motion to come as a chunk; grippers as the plan asks, not as they travel.

    Its session and number are those of the chunk that is played; empty and 0 where none is.

    Args:
        plan: that is played; None while braking, or at rest.
        rows_ND, row_N: positions every TOLD_PERIOD_NS, and the plan's row that each belongs to.
    """
    played = None if plan is None else plan.chunk
    rows_ND = np.array(rows_ND)
    if plan is not None and played is not None:
        joints = len(spec.joint_names)
        asked_N = np.minimum(row_N, len(plan.rows_HD) - 1)
        rows_ND[:, joints:] = plan.rows_HD[asked_N, joints:]
    chunk = joint_chunk(
        spec,
        stamp_ns=now.node_ns,
        session_id="" if played is None else played.session_id,
        seq=0 if played is None else played.seq,
        source=Source.SCRIPT if played is None else played.source,
        actions_HD=rows_ND,
        period_ns=TOLD_PERIOD_NS,
    )
    chunk = replace(chunk, valid_for_ns=TOLD_PERIOD_NS * len(rows_ND), committed_rows=len(rows_ND))
    if played is None:
        return chunk
    return replace(
        chunk,
        end_of_substep=played.end_of_substep,
        exit_layer=played.exit_layer,
        checkpoint_digest=played.checkpoint_digest,
        thresholds_digest=played.thresholds_digest,
    )
