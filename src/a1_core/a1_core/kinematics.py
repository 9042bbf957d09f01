"""Where each arm's tip is for given joints, from the chain of frames in the robot's spec."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """The frames from an arm's base to its tip, as a URDF writes them.

    Attributes:
        origins_N6: x, y, z (m), roll, pitch, yaw (rad, about fixed axes) of every joint's frame in
            the frame before it; the last row is the tip's. N = joints of the arm + 1.
        axes_J3: unit axis of every joint in its own frame.
        source: where the numbers come from.
    """

    origins_N6: Floats
    axes_J3: Floats
    source: str


class ChainKinematics:
    """Callable: arm joints [..., J] of all arms (rad) to tip positions [..., A, 3], each in its
    arm's base frame (m).

    Args:
        chains: one for every arm, in the order of `RobotSpec.arms`.

    Attributes:
        digest: SHA-256 (hex) of the chains' numbers.
    """

    def __init__(self, chains: Sequence[Chain]) -> None:
        numbers = [part for chain in chains for part in (chain.origins_N6, chain.axes_J3)]
        self.digest = hashlib.sha256(b"".join(part.tobytes() for part in numbers)).hexdigest()
        self._chains = [
            (
                [(_rotation(origin[3:]), origin[:3]) for origin in chain.origins_N6],
                [(_cross(axis).T, np.outer(axis, axis)) for axis in chain.axes_J3],
            )
            for chain in chains
        ]

    def __call__(self, q_XJ: NDArray[np.floating]) -> Floats:
        tips, first = [], 0
        for origins, axes in self._chains:
            angles = np.asarray(q_XJ[..., first : first + len(axes)], np.float64)
            first += len(axes)
            tips.append(_tip(origins, axes, angles))
        return np.stack(tips, axis=-2)


def _tip(
    origins: Sequence[tuple[Floats, Floats]], axes: Sequence[tuple[Floats, Floats]], q_XJ: Floats
) -> Floats:
    # From the tip backwards only a point has to be turned, never a matrix. Points are rows.
    point = origins[-1][1]
    cos_XJ, sin_XJ = np.cos(q_XJ), np.sin(q_XJ)
    for joint in reversed(range(len(axes))):
        (rotation, place), (cross_t, along) = origins[joint], axes[joint]
        cos, sin = cos_XJ[..., joint, None], sin_XJ[..., joint, None]
        turned = cos * point + sin * (point @ cross_t) + (1.0 - cos) * (point @ along)
        point = turned @ rotation.T + place
    return point


def _rotation(rpy: Floats) -> Floats:
    (cr, cp, cy), (sr, sp, sy) = np.cos(rpy), np.sin(rpy)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def _cross(axis: Floats) -> Floats:
    x, y, z = axis
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
