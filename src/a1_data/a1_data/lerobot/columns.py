"""Which columns and cameras of a data set are those of a robot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import DatasetError
from a1_core.spec import RobotSpec
from a1_data.lerobot.dataset import Dataset, Rows
from a1_data.lerobot.layout import ACTION, IMAGES, INFO, STATE


@dataclass(frozen=True, kw_only=True)
class Naming:
    """What a data set calls things that the robot's spec calls otherwise.

    Attributes:
        columns: its names in the order of the spec's columns; empty where they are the spec's.
        cameras: its features by the spec's cameras; those left out are observation.images.NAME.
        degrees: joints are in degrees, not rad; grippers are not.
        gripper: its numbers for closed and open.
    """

    columns: tuple[str, ...] = ()
    cameras: Mapping[str, str] | None = None
    degrees: bool = False
    gripper: tuple[float, float] = (0.0, 1.0)


class Columns:
    """A data set's numbers and pictures as the robot has them.

    Attributes:
        cameras: features by the names of the spec's cameras, in the spec's order.

    Raises DatasetError that names both sides where a joint or a camera is not there.
    """

    def __init__(self, dataset: Dataset, spec: RobotSpec, naming: Naming | None = None) -> None:
        self._naming = naming = naming or Naming()
        self._grippers = len(spec.grippers)
        wanted = naming.columns or spec.action_names
        if len(wanted) != spec.dim:
            raise DatasetError(
                f"columns: {len(wanted)} names ({', '.join(wanted)}) for the {spec.dim} columns of "
                f"{spec.robot}: {', '.join(spec.action_names)}; give one for each"
            )
        self._places = {key: _places(dataset, key, wanted, spec.robot) for key in (STATE, ACTION)}
        named = {name: IMAGES + name for name in spec.camera_names} | dict(naming.cameras or {})
        _check_cameras(dataset, spec, named)
        self.cameras = {name: named[name] for name in spec.camera_names}

    def robot_rows(self, rows: Rows) -> Rows:
        """The same rows with the spec's columns: rad, m, grippers 0 closed to 1 open."""
        return Rows(
            state_TD=self._robot_matrix(rows.state_TD[:, self._places[STATE]]),
            action_TD=self._robot_matrix(rows.action_TD[:, self._places[ACTION]]),
            tasks=rows.tasks,
            timestamp_T=rows.timestamp_T,
        )

    def _robot_matrix(self, values_TD: NDArray[np.float32]) -> NDArray[np.float32]:
        joints = values_TD.shape[1] - self._grippers
        converted = values_TD.copy()
        if self._naming.degrees:
            converted[:, :joints] = np.deg2rad(converted[:, :joints])
        closed, opened = self._naming.gripper
        if (closed, opened) != (0.0, 1.0):
            share = (converted[:, joints:] - closed) / (opened - closed)
            converted[:, joints:] = np.clip(share, 0.0, 1.0)
        return converted


def _places(dataset: Dataset, key: str, wanted: Sequence[str], robot: str) -> list[int]:
    names = dataset.names(key)
    missing = [name for name in wanted if name not in names]
    if missing:
        raise DatasetError(
            f"{dataset.path / INFO}: '{key}' has no column {', '.join(missing)} of {robot}, but "
            f"{', '.join(names)}; name its columns in the robot's order (--columns), or use a "
            "data set of this robot"
        )
    return [names.index(name) for name in wanted]


def _check_cameras(dataset: Dataset, spec: RobotSpec, named: Mapping[str, str]) -> None:
    unknown = set(named) - set(spec.camera_names)
    if unknown:
        raise DatasetError(
            f"cameras: {spec.robot} has no {', '.join(sorted(unknown))}, but "
            f"{', '.join(spec.camera_names)}"
        )
    for camera in spec.cameras:
        feature = dataset.info.features.get(named[camera.name])
        if feature is None or not feature.is_picture:
            raise DatasetError(
                f"{dataset.path / INFO}: features has no pictures '{named[camera.name]}' for "
                f"camera {camera.name} of {spec.robot}, but "
                f"{', '.join(dataset.info.pictures) or 'none'}; say which is which (--camera "
                f"{camera.name}=NAME)"
            )
        axes = feature.names or ("height", "width", "channels")
        sizes = dict(zip(axes, feature.shape, strict=False))
        height, width = sizes.get("height"), sizes.get("width")
        if camera.height not in (None, height) or camera.width not in (None, width):
            raise DatasetError(
                f"{dataset.path / INFO}: '{named[camera.name]}' is {width}x{height}, camera "
                f"{camera.name} of {spec.path} {camera.width}x{camera.height}; set the spec's "
                "width and height to null"
            )
