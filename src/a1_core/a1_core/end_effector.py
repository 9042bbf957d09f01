"""How the poses of tips stand in the rows of a chunk."""

from __future__ import annotations

from collections.abc import Sequence

from a1_core.chunk import ActionSpace, RotationKind

POSE_SPACES = (ActionSpace.EE_POSE, ActionSpace.EE_DELTA)
POSITION_COLUMNS = ("x", "y", "z")
# ROT6D is the first two columns of the rotation matrix, the first one first.
ROTATION_COLUMNS = {
    RotationKind.QUATERNION_XYZW: ("qx", "qy", "qz", "qw"),
    RotationKind.ROTVEC: ("rx", "ry", "rz"),
    RotationKind.RPY: ("roll", "pitch", "yaw"),
    RotationKind.ROT6D: ("r11", "r21", "r31", "r12", "r22", "r32"),
}


def pose_names(
    arms: Sequence[str], grippers: Sequence[str], rotation: RotationKind
) -> tuple[str, ...]:
    """Columns of EE_POSE and EE_DELTA rows: position (m) and rotation of every arm, then grippers.

    Args:
        arms: their names, which stand before the columns' where there are several.
        grippers: names of their columns.
    """
    pose = (*POSITION_COLUMNS, *ROTATION_COLUMNS[rotation])
    if len(arms) == 1:
        return (*pose, *grippers)
    return (*(f"{arm}_{column}" for arm in arms for column in pose), *grippers)
