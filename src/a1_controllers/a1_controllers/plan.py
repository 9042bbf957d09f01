"""What the motion in hand comes from, and how the policy is told of that motion."""

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
    """What is played: a chunk, or (chunk None) the way home."""

    chunk: ActionChunk | None
    accepted: Now


def told(
    spec: RobotSpec,
    plan: Plan | None,
    rows_ND: NDArray[np.floating],
    now: Now,
) -> ActionChunk:
    """The motion to come as a chunk.

    Its session and number are those of the chunk that is played; empty and 0 where none is.

    Args:
        plan: that is played; None while braking, or at rest.
        rows_ND: positions every TOLD_PERIOD_NS; grippers as asked for, not as they travel.
    """
    played = None if plan is None else plan.chunk
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
