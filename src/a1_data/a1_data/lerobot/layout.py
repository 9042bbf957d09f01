"""Where things lie in a LeRobot v3.0 data set, and its meta/info.json.

Source: huggingface/lerobot@v0.6.1 src/lerobot/datasets/utils.py and utils/constants.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a1_core.errors import DatasetError

VERSION = "v3.0"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
OURS = "meta/a1.json"
"""What LeRobot has no place for; its loader ignores it."""
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FILES_PER_CHUNK = 1000
DATA_MB = 100
VIDEO_MB = 200

STATE = "observation.state"
ACTION = "action"
IMAGES = "observation.images."
COUNTERS: Mapping[str, str] = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
"""Columns that every data set has besides its features, one number a frame."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One entry of `features`.

    Attributes:
        dtype: "video", "image" (a picture in the table) or that of the numbers.
        shape: of one frame; pictures as [height, width, channels].
        names: of the columns, or of a picture's axes; empty where the data set has none.
    """

    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def is_picture(self) -> bool:
        return self.dtype in ("video", "image")


@dataclass(frozen=True, kw_only=True)
class Info:
    """What meta/info.json says, as far as it is read.

    Attributes:
        fps: frames a second of every episode.
        features: by name, in the file's order.
        data_path, video_path: templates below the data set's folder.
    """

    robot_type: str
    fps: int
    episodes: int
    frames: int
    tasks: int
    features: Mapping[str, Feature]
    data_path: str
    video_path: str

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of the features that are pictures."""
        return tuple(key for key, feature in self.features.items() if feature.is_picture)


def read_info(folder: Path) -> Info:
    """meta/info.json of a data set.

    Raises DatasetError where there is none, or one of another version of the format.
    """
    path = folder / INFO
    content = read_json(path)
    version = content.get("codebase_version")
    if version != VERSION:
        raise DatasetError(
            f"{path}: codebase_version is {version}, this reads {VERSION}; convert it with "
            "LeRobot: python -m lerobot.scripts.convert_dataset_v21_to_v30"
        )
    try:
        return Info(
            robot_type=str(content.get("robot_type") or ""),
            fps=_positive(path, content["fps"]),
            episodes=_count(path, content, "total_episodes"),
            frames=_count(path, content, "total_frames"),
            tasks=_count(path, content, "total_tasks"),
            features={key: _feature(value) for key, value in content["features"].items()},
            data_path=str(content["data_path"]),
            video_path=str(content.get("video_path") or ""),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path}: has no usable {error}; write the data set anew, or copy it whole"
        ) from None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; DatasetError where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(
            f"{path}: is not there; give the folder of a LeRobot {VERSION} data set"
        ) from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); copy the data set anew") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: holds {type(content).__name__}, not an object")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """As LeRobot writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False), encoding="utf-8")


def next_file(chunk: int, file: int) -> tuple[int, int]:
    """Chunk and number of the file after this one."""
    return (chunk + 1, 0) if file == FILES_PER_CHUNK - 1 else (chunk, file + 1)


def _positive(path: Path, fps: Any) -> int:
    if not isinstance(fps, int | float) or not 0 < fps < math.inf or fps != int(fps):
        raise DatasetError(f"{path}: fps is {fps}; give a whole number of frames a second")
    return int(fps)


def _count(path: Path, content: Mapping[str, Any], key: str) -> int:
    value = content[key]
    if not isinstance(value, int) or value < 0:
        raise DatasetError(f"{path}: {key} is {value!r}; write the data set anew")
    return value


def _feature(value: Mapping[str, Any]) -> Feature:
    return Feature(
        dtype=str(value["dtype"]),
        shape=tuple(int(size) for size in value["shape"]),
        names=_flat(value.get("names")),
    )


def _flat(names: Any) -> tuple[str, ...]:
    """Names as a list, by group ({"motors": [...]}) or with their places ({"x": 0}); or none."""
    if isinstance(names, Mapping):
        groups = [_flat(group) or (str(key),) for key, group in names.items()]
        return tuple(name for group in groups for name in group)
    if isinstance(names, list | tuple):
        return tuple(str(name) for name in names)
    return ()
