"""Chunks of any robot."""

import numpy as np

from a1_core.chunk import ActionChunk, ActionSpace, DeltaBase, RotationKind, Source
from a1_core.spec import RobotSpec


def chunk_of(spec: RobotSpec, rows_HD: np.ndarray) -> ActionChunk:
    """Absolute joint rows, as a script sends them."""
    return ActionChunk(
        stamp_ns=0,
        session_id="",
        seq=1,
        source=Source.SCRIPT,
        robot=spec.robot,
        spec_digest=spec.digest,
        action_space=ActionSpace.JOINT_POSITION,
        delta_base=DeltaBase.OBSERVED,
        rotation=RotationKind.QUATERNION_XYZW,
        tip_frame="",
        base_frame=spec.base_frame,
        period_ns=spec.policy.period_ns,
        valid_for_ns=spec.policy.valid_for_ns,
        committed_rows=0,
        end_of_substep=0.0,
        exit_layer=0,
        checkpoint_digest="",
        thresholds_digest="",
        names=spec.action_names,
        actions_HD=rows_HD.astype(np.float32),
    )
