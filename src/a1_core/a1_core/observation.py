"""What a policy sees at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import A1Error


@dataclass(frozen=True, kw_only=True, eq=False)
class Observation:
    """Images and state at one tick.

    Attributes:
        stamp_ns: tick time: the header stamp of the reference camera.
        images: camera name to uint8 [h, w, 3] RGB, in the model's order.
        state_D: float32 [D], robot units (rad, m); gripper 0 closed .. 1 open.
        instruction: what to do, in words.
    """

    stamp_ns: int
    images: Mapping[str, NDArray[np.uint8]]
    state_D: NDArray[np.float32]
    instruction: str

    def __post_init__(self) -> None:
        for camera, image in self.images.items():
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise A1Error(
                    f"Observation.images['{camera}'] is {image.dtype} {image.shape}; "
                    "give uint8 [h, w, 3] RGB"
                )
        if self.state_D.ndim != 1 or self.state_D.dtype != np.float32:
            raise A1Error(
                f"Observation.state_D is {self.state_D.dtype} {self.state_D.shape}; "
                "give float32 [D]"
            )
