"""The noise of a tick, decided by seed and stamp: replay and live agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WORD = 2**64


def tick_noise(seed: int, stamp_ns: int, draws: int, horizon: int, dim: int) -> NDArray[np.float32]:
    """Standard normal [draws, H, D] from Philox keyed by (seed, stamp).

    The first draw is the same however many are asked for.
    """
    bits = np.random.Philox(key=np.array([seed % _WORD, stamp_ns % _WORD], dtype=np.uint64))
    return np.random.Generator(bits).standard_normal((draws, horizon, dim), dtype=np.float32)
