"""Read-only arrays for frozen values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def frozen_array(value: Any, dtype: DTypeLike) -> NDArray[Any]:
    """A contiguous read-only copy of `value`."""
    array = np.array(value, dtype=dtype, order="C", copy=True)
    array.setflags(write=False)
    return array
