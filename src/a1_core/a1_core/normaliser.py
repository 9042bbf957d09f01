"""States and actions between robot units and [-1, 1]."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a1_core.arrays import frozen_array
from a1_core.errors import CheckpointError

BOUNDS = ("state_low_D", "state_high_D", "action_low_D", "action_high_D")
DEGENERATE = 1e-8  # a range below this (robot units) carries no information


@dataclass(frozen=True, kw_only=True, eq=False)
class Normaliser:
    """Affine maps that send [low, high] (q01, q99 of the data) to [-1, 1], without clipping.

    All bounds are float64 [D] in robot units, one action bound for all rows of a chunk. A column
    whose range is below DEGENERATE encodes to its distance from the middle, unscaled, so that it
    neither blows up nor loses its value.

    Raises CheckpointError for shapes, NaN or low > high.
    """

    names: tuple[str, ...]
    state_low_D: NDArray[np.float64]
    state_high_D: NDArray[np.float64]
    action_low_D: NDArray[np.float64]
    action_high_D: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in BOUNDS:
            array = frozen_array(getattr(self, name), np.float64)
            if array.shape != (len(self.names),) or not np.isfinite(array).all():
                raise CheckpointError(
                    f"normaliser.{name} is {array.tolist()}; give {len(self.names)} finite numbers"
                )
            object.__setattr__(self, name, array)
        for kind in ("state", "action"):
            low, high = getattr(self, f"{kind}_low_D"), getattr(self, f"{kind}_high_D")
            if (low > high).any():
                worst = self.names[int(np.argmax(low - high))]
                raise CheckpointError(
                    f"normaliser: {kind} low is above high at '{worst}'; exchange them"
                )

    def encode_state(self, state_D: NDArray[np.floating]) -> NDArray[np.float64]:
        """[..., D] robot units to about [-1, 1]."""
        return _encode(state_D, self.state_low_D, self.state_high_D)

    def encode_actions(self, actions_HD: NDArray[np.floating]) -> NDArray[np.float64]:
        """[..., H, D] robot units to about [-1, 1]."""
        return _encode(actions_HD, self.action_low_D, self.action_high_D)

    def decode_actions(self, actions_HD: NDArray[np.floating]) -> NDArray[np.float64]:
        """The inverse of `encode_actions`."""
        middle, half = _middle_half(self.action_low_D, self.action_high_D)
        return np.asarray(actions_HD, dtype=np.float64) * half + middle

    def to_arrays(self) -> dict[str, object]:
        """Plain lists for JSON; floats survive the round trip exactly."""
        bounds = {name: getattr(self, name).tolist() for name in BOUNDS}
        return {"names": list(self.names), **bounds}

    @classmethod
    def from_arrays(cls, content: Mapping[str, object]) -> Normaliser:
        """The inverse of `to_arrays`; raises CheckpointError for unknown or missing keys."""
        allowed = {"names", *BOUNDS}
        if set(content) != allowed:
            wrong = sorted(set(content) ^ allowed)
            raise CheckpointError(
                f"normaliser: unknown or missing keys {wrong}; give exactly {sorted(allowed)}"
            )
        names = content["names"]
        assert isinstance(names, list | tuple)
        return cls(
            names=tuple(str(name) for name in names),
            **{name: np.asarray(content[name], dtype=np.float64) for name in BOUNDS},
        )

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of names and bounds."""
        sha = hashlib.sha256("\0".join(self.names).encode())
        for name in BOUNDS:
            sha.update(getattr(self, name).astype("<f8").tobytes())
        return sha.hexdigest()


def _middle_half(
    low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    half = (high - low) / 2.0
    return (high + low) / 2.0, np.where(half < DEGENERATE / 2.0, 1.0, half)


def _encode(
    values: NDArray[np.floating], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    middle, half = _middle_half(low, high)
    return (np.asarray(values, dtype=np.float64) - middle) / half
