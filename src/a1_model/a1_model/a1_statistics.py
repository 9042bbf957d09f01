"""Bounds of states and actions as the public A1 code keeps them: dataset_statistics.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import CheckpointError
from a1_core.normaliser import DEGENERATE, Normaliser
from a1_core.spec import RobotSpec
from a1_model.foreign import Fields
from a1_model.molmo_layout import unit_normaliser

NORMALISATIONS = ("q99", "bounds", "normal", "none")


def read_statistics(
    source: Path, spec: RobotSpec, normalisation: str, data_set: str | None
) -> tuple[Normaliser, bool]:
    """A data set's bounds for the columns of `spec`, and whether states are clipped to them.

    Args:
        normalisation: one of NORMALISATIONS; "none" reads no file.
        data_set: its name; None: the only one.

    Raises:
        CheckpointError: the file, the data set or a bound is missing, or for other dimensions.
    """
    if normalisation == "none":
        return unit_normaliser(spec.action_names), False
    path = source / "dataset_statistics.json"
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: {error}; without it convert with the normalisation none"
        ) from error
    fields = Fields(path, content)
    if data_set is None:
        if len(content) != 1:
            raise CheckpointError(f"{path}: holds {sorted(content)}; choose one of them")
        data_set = next(iter(content))
    chosen = fields.section(data_set)
    bounds: dict[str, NDArray[np.float64]] = {}
    for kind, keys in (("state", ("proprio", "state")), ("action", ("action", "actions"))):
        key = next((key for key in keys if chosen.value(key, None) is not None), keys[0])
        low_D, high_D = _bounds(chosen.section(key), spec.dim, normalisation)
        bounds |= {f"{kind}_low_D": low_D, f"{kind}_high_D": high_D}
    return Normaliser(names=spec.action_names, **bounds), normalisation != "normal"


def _bounds(
    fields: Fields, dim: int, normalisation: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds under which our affine map is theirs, down to the 1e-8 they add to every range."""

    def column(name: str, *default: Any) -> NDArray[np.float64]:
        given = fields.value(name, *default)
        try:
            values = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise fields.refusal(name, given, "these are no numbers") from error
        if values.shape != (dim,):
            raise fields.refusal(
                name, given, f"the robot has {dim} dimensions, in states and in actions"
            )
        if not np.isfinite(values).all():
            raise fields.refusal(name, given, "these are not all finite")
        return values

    ones = np.ones(dim)
    mask_D = column("mask", ones).astype(bool)
    if normalisation == "normal":
        mean_D, std_D = column("mean"), column("std") + 1e-8
        low_D, high_D = mean_D - std_D, mean_D + std_D
    else:
        names = ("q01", "q99") if normalisation == "q99" else ("min", "max")
        low_D, high_D = (column(name) for name in names)
        if (low_D > high_D).any():
            raise fields.refusal(names[1], high_D.tolist(), f"it is below {names[0]}")
        high_D = high_D + 1e-8
        # Ours leaves a range without information unscaled, theirs divides by the 1e-8.
        while (narrow_D := (high_D - low_D) / 2 < DEGENERATE / 2).any():
            high_D = np.where(narrow_D, np.nextafter(high_D, np.inf), high_D)
    return np.where(mask_D, low_D, -ones), np.where(mask_D, high_D, ones)
