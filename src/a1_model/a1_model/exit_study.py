"""What calibration is made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ExitStudy:
    """Every exit of N observations, for calibration; K exits in ascending order.

    Attributes:
        normalised_KNHD: float32, what discrepancies are taken of and in the space in which they
            are: the normalised chunks, or the signal that stands for them.
        actions_KNHD: float32, robot units (the policy's action space): the chunk of a tick that
            leaves there.
        full_NHD: float32, robot units: the chunk of a full-depth tick on the same noise. It
            differs from the last of `actions_KNHD` only when exits start from each other.
        deltas_KN: float64; NaN at the first exit, which has no predecessor.
        end_KN: float32 probability that the substep ends within the next row.
    """

    normalised_KNHD: NDArray[np.float32]
    actions_KNHD: NDArray[np.float32]
    full_NHD: NDArray[np.float32]
    deltas_KN: NDArray[np.float64]
    end_KN: NDArray[np.float32]
