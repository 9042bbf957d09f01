"""Writes a LeRobot v3.0 data set: a draft folder that gets its name when it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from a1_core.errors import DatasetError
from a1_data.lerobot import layout
from a1_data.lerobot.cameras import Camera, VideoFiles
from a1_data.lerobot.layout import ACTION, COUNTERS, IMAGES, STATE
from a1_data.lerobot.sheets import Sheets, write_tasks
from a1_data.lerobot.statistics import Statistics, joined, number_statistics
from a1_data.lerobot.video import video_facts

DRAFT = ".draft"
VECTORS = (STATE, ACTION)


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One row of an episode.

    Attributes:
        images: uint8 [h, w, 3] RGB by camera; every frame has the same cameras and sizes.
        state_D, action_D: float32, columns as the writer's `names`: rad, m; grippers 0 closed to
            1 open. The action is what was commanded at this moment, absolute.
        task: what to do, in words.
    """

    images: Mapping[str, NDArray[np.uint8]]
    state_D: NDArray[np.float32]
    action_D: NDArray[np.float32]
    task: str


class DatasetWriter:
    """One data set; a context that removes the draft when it is left by an error.

    Args:
        path: its folder, which must not be there.
        robot: goes into info.json as `robot_type`.
        names: columns of states and actions.
        pictures: "video" encodes MP4 files (H.264, loses a little); "image" keeps PNG in the
            tables, bit for bit and large.
        told: what meta/a1.json says of the whole, JSON values.
        data_mb, video_mb: a file is followed by the next one when it is that large.

    Raises DatasetError where the folder is there already.
    """

    def __init__(
        self,
        path: Path,
        *,
        robot: str,
        fps: int,
        names: Sequence[str],
        pictures: Literal["video", "image"] = "video",
        told: Mapping[str, Any] | None = None,
        data_mb: int = layout.DATA_MB,
        video_mb: int = layout.VIDEO_MB,
    ) -> None:
        if path.exists():
            raise DatasetError(f"{path}: is there already; choose another folder, or remove it")
        self._path = path
        self._draft = path.with_name(path.name + DRAFT)
        shutil.rmtree(self._draft, ignore_errors=True)
        self._draft.mkdir(parents=True)
        self._robot, self._fps, self._names = robot, fps, tuple(names)
        self._pictures, self._told = pictures, dict(told or {})
        self._data_mb, self._video_mb = data_mb, video_mb
        self._data = Sheets(self._draft, layout.DATA, data_mb)
        self._cameras: dict[str, Camera] = {}
        self._tasks: dict[str, int] = {}
        self._vectors: dict[str, list[NDArray[np.generic]]] = {}
        self._episodes: list[dict[str, Any]] = []
        self._notes: list[dict[str, Any]] = []
        self._frames = 0

    @property
    def episodes(self) -> int:
        """Written so far."""
        return len(self._episodes)

    def add_episode(
        self, frames: Iterable[Frame], note: Mapping[str, Any] | None = None
    ) -> dict[str, Statistics]:
        """Append one episode and return its statistics; `note` goes into meta/a1.json.

        Raises DatasetError for an episode without frames, or a frame that is not like the others
        or not finite.
        """
        number, data_place = len(self._episodes), self._data.turn()
        rows = _Rows()
        for frame in frames:
            self._check(frame, number, len(rows.tasks))
            self._take_pictures(frame, rows)
            rows.take(frame)
        if not rows.tasks:
            raise DatasetError(f"{self._path}: episode {number} has no frames; leave it out")
        for task in rows.tasks:
            self._tasks.setdefault(task, len(self._tasks))
        columns = self._columns(rows, number)
        self._data.write(_table(columns, len(self._names), rows.pictures))
        statistics = {key: number_statistics(values) for key, values in columns.items()}
        for key, values in columns.items():
            self._vectors.setdefault(key, []).append(values)
        described: dict[str, Any] = {
            "episode_index": number,
            "tasks": list(dict.fromkeys(rows.tasks)),
            "length": len(rows.tasks),
            "data/chunk_index": data_place[0],
            "data/file_index": data_place[1],
            "dataset_from_index": self._frames,
            "dataset_to_index": self._frames + len(rows.tasks),
        }
        for camera in self._cameras.values():
            statistics[camera.key] = camera.end_episode(described, self._fps)
        self._frames += len(rows.tasks)
        self._episodes.append(described | _flat_statistics(statistics))
        self._notes.append(dict(note or {}))
        return statistics

    def finish(self) -> Path:
        """Close every file, write meta/ and give the folder its name.

        Raises DatasetError where no episode was added.
        """
        if not self._episodes:
            raise DatasetError(f"{self._path}: no episode is left to write; see what was dropped")
        self._data.close()
        for camera in self._cameras.values():
            camera.close()
        self._write_episodes()
        write_tasks(self._draft, self._tasks)
        layout.write_json(self._draft / layout.INFO, self._info())
        layout.write_json(self._draft / layout.STATS, self._statistics())
        ours = {**self._told, "episodes": self._notes}
        layout.write_json(self._draft / layout.OURS, ours)
        self._draft.rename(self._path)
        return self._path

    def discard(self) -> None:
        """Remove what was written."""
        self._data.close()
        for camera in self._cameras.values():
            camera.close()
        shutil.rmtree(self._draft, ignore_errors=True)

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._draft.exists():
            self.discard()

    def _check(self, frame: Frame, episode: int, place: int) -> None:
        where = f"{self._path}: episode {episode}, frame {place}"
        for name, values in (("state_D", frame.state_D), ("action_D", frame.action_D)):
            if values.shape != (len(self._names),) or not np.isfinite(values).all():
                raise DatasetError(
                    f"{where}: {name} is {values.tolist()}; give {len(self._names)} finite numbers"
                )
        if not self._cameras:
            for name, rgb in frame.images.items():
                self._cameras[name] = self._camera(name, rgb)
        shapes = {name: rgb.shape for name, rgb in frame.images.items()}
        wanted = {name: camera.shape for name, camera in self._cameras.items()}
        if shapes != wanted:
            raise DatasetError(f"{where}: images are {shapes}, those before it {wanted}")

    def _camera(self, name: str, rgb: NDArray[np.uint8]) -> Camera:
        key = IMAGES + name
        videos = None
        if self._pictures == "video":
            videos = VideoFiles(self._draft, key, self._fps, rgb.shape, self._video_mb)
        return Camera(key, rgb.shape, videos)

    def _take_pictures(self, frame: Frame, rows: _Rows) -> None:
        for name, camera in self._cameras.items():
            rgb = frame.images[name]
            camera.add(rgb)
            if camera.videos is None:
                rows.pictures.setdefault(camera.key, []).append(_png(rgb))

    def _columns(self, rows: _Rows, number: int) -> dict[str, NDArray[np.generic]]:
        count = np.arange(len(rows.tasks), dtype=np.int64)
        return {
            STATE: np.stack(rows.states),
            ACTION: np.stack(rows.actions),
            "timestamp": (count / self._fps).astype(np.float32),
            "frame_index": count,
            "episode_index": np.full_like(count, number),
            "index": count + self._frames,
            "task_index": np.array([self._tasks[task] for task in rows.tasks], np.int64),
        }

    def _write_episodes(self) -> None:
        sheets = Sheets(self._draft, layout.EPISODES, self._data_mb)
        for episode in self._episodes:
            chunk, file = sheets.turn()
            place = {"meta/episodes/chunk_index": chunk, "meta/episodes/file_index": file}
            sheets.write(pa.table({key: [value] for key, value in (episode | place).items()}))
        sheets.close()

    def _statistics(self) -> dict[str, Any]:
        found = {key: joined(parts) for key, parts in self._vectors.items()}
        found |= {camera.key: camera.total.statistics() for camera in self._cameras.values()}
        return {key: {n: v.tolist() for n, v in values.items()} for key, values in found.items()}

    def _info(self) -> dict[str, Any]:
        features: dict[str, Any] = {
            key: {"dtype": "float32", "shape": [len(self._names)], "names": list(self._names)}
            for key in VECTORS
        }
        for camera in self._cameras.values():
            features[camera.key] = {
                "dtype": self._pictures,
                "shape": list(camera.shape),
                "names": ["height", "width", "channels"],
            }
            if camera.videos is not None:
                features[camera.key]["info"] = video_facts(camera.videos.first)
        for key, dtype in COUNTERS.items():
            features[key] = {"dtype": dtype, "shape": [1], "names": None}
        return {
            "codebase_version": layout.VERSION,
            "robot_type": self._robot,
            "total_episodes": len(self._episodes),
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": layout.FILES_PER_CHUNK,
            "data_files_size_in_mb": self._data_mb,
            "video_files_size_in_mb": self._video_mb,
            "fps": self._fps,
            "splits": {"train": f"0:{len(self._episodes)}"},
            "data_path": layout.DATA,
            "video_path": layout.VIDEO if self._pictures == "video" else None,
            "features": features,
        }


class _Rows:
    """What an episode in hand has so far; videos are on their way to disk."""

    def __init__(self) -> None:
        self.states: list[NDArray[np.float32]] = []
        self.actions: list[NDArray[np.float32]] = []
        self.tasks: list[str] = []
        self.pictures: dict[str, list[bytes]] = {}

    def take(self, frame: Frame) -> None:
        self.states.append(frame.state_D.astype(np.float32))
        self.actions.append(frame.action_D.astype(np.float32))
        self.tasks.append(frame.task)


def _table(
    columns: Mapping[str, NDArray[np.generic]], dim: int, pictures: Mapping[str, list[bytes]]
) -> pa.Table:
    arrays: dict[str, pa.Array] = {}
    for key, values in columns.items():
        if key in VECTORS:
            flat = pa.array(values.reshape(-1), pa.float32())
            arrays[key] = pa.FixedSizeListArray.from_arrays(flat, dim)
        else:
            arrays[key] = pa.array(values)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for key, encoded in pictures.items():
        named = [{"bytes": data, "path": f"{n:06d}.png"} for n, data in enumerate(encoded)]
        arrays[key] = pa.array(named, kind)
    return pa.table(arrays)


def _png(rgb: NDArray[np.uint8]) -> bytes:
    encoded: bytes = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
    return encoded


def _flat_statistics(statistics: Mapping[str, Statistics]) -> dict[str, Any]:
    return dict(_named(statistics))


def _named(statistics: Mapping[str, Statistics]) -> Iterator[tuple[str, Any]]:
    for key, values in statistics.items():
        for name, value in values.items():
            yield f"stats/{key}/{name}", value.tolist()
