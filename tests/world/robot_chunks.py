"""Chunks of any robot."""

import numpy as np

from a1_core.chunk import ActionChunk, Source, joint_chunk
from a1_core.spec import RobotSpec


def chunk_of(spec: RobotSpec, rows_HD: np.ndarray) -> ActionChunk:
    """Absolute joint rows, as a script sends them."""
    return joint_chunk(
        spec,
        stamp_ns=0,
        session_id="",
        seq=1,
        source=Source.SCRIPT,
        actions_HD=rows_HD,
    )
