"""Reads a LeRobot v3.0 data set: what it holds, the numbers of an episode, its pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from a1_core.errors import DatasetError
from a1_data.lerobot import layout
from a1_data.lerobot.drivers import Drivers, names_of
from a1_data.lerobot.layout import ACTION, STATE, Info, read_info, read_json
from a1_data.lerobot.video import read_video

READ_TABLES = 2
"""Data files whose numbers are kept in memory."""


@dataclass(frozen=True, kw_only=True)
class VideoPart:
    """Where an episode lies in a video file, in s."""

    path: Path
    from_s: float
    to_s: float


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One episode, as the data set's meta/ tells of it.

    Attributes:
        index: its number.
        begin, end: rows of the whole data set, from `begin` to before `end`.
        tasks: what it was about, in words.
        data: its parquet file.
        videos: by name of the feature.
        outcome: "success", "failure" or empty; only where this project wrote the data set.
        begin_ns: stamp of its first frame; 0 where nobody knows.
        drivers: who drove, by stretches of frames; empty where nobody knows.
    """

    index: int
    begin: int
    end: int
    tasks: tuple[str, ...]
    data: Path
    videos: Mapping[str, VideoPart]
    outcome: str
    begin_ns: int
    drivers: Drivers = ()

    @property
    def length(self) -> int:
        """Frames."""
        return self.end - self.begin

    @property
    def frame_drivers(self) -> tuple[str, ...]:
        """Who drove, frame by frame; see `drivers`."""
        return names_of(self.drivers, self.length)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """The numbers of one episode: float32 [T, D] with the data set's own columns, tasks [T],
    timestamps [T] in s from its first frame.
    """

    state_TD: NDArray[np.float32]
    action_TD: NDArray[np.float32]
    tasks: tuple[str, ...]
    timestamp_T: NDArray[np.float64]


class Dataset:
    """A data set on disk.

    Attributes:
        path: its folder.
        info: meta/info.json.
        tasks: by number.
        episodes: all of them, in order.
        told: meta/a1.json, empty where another program wrote the data set.

    Raises DatasetError where meta/ is not there, of another version, or contradicts itself.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.info: Info = read_info(self.path)
        for key in (STATE, ACTION):
            self._vector(key)
        self.tasks: Mapping[int, str] = _read_tasks(self.path)
        ours = self.path / layout.OURS
        self.told: Mapping[str, Any] = read_json(ours) if ours.exists() else {}
        self.episodes: tuple[Episode, ...] = tuple(self._episodes())
        if len(self.episodes) != self.info.episodes:
            raise DatasetError(
                f"{self.path / layout.INFO}: total_episodes is {self.info.episodes}, but "
                f"meta/episodes holds {len(self.episodes)}; copy the data set whole"
            )
        self._table = lru_cache(READ_TABLES)(_read_numbers)

    def names(self, key: str) -> tuple[str, ...]:
        """Names of the columns of a feature; numbers as names where it has none."""
        feature = self._vector(key)
        return feature.names or tuple(str(place) for place in range(feature.shape[0]))

    def rows(self, episode: Episode) -> Rows:
        """The numbers of an episode.

        Raises DatasetError where its file is missing or lacks rows, columns or tasks.
        """
        table = self._table(episode.data)
        numbers = _column(table, "episode_index", episode.data).to_numpy()
        chosen = np.flatnonzero(numbers == episode.index)
        if len(chosen) != episode.length:
            raise DatasetError(
                f"{episode.data}: holds {len(chosen)} rows of episode {episode.index}, "
                f"meta/episodes says {episode.length}; copy the data set whole"
            )
        part = table.take(pa.array(chosen))
        numbers_T = _column(part, "task_index", episode.data).to_pylist()
        unknown = set(numbers_T) - set(self.tasks)
        if unknown:
            raise DatasetError(
                f"{episode.data}: task_index {min(unknown)} is not in {layout.TASKS}; "
                "copy the data set whole"
            )
        return Rows(
            state_TD=self._matrix(part, STATE, episode),
            action_TD=self._matrix(part, ACTION, episode),
            tasks=tuple(self.tasks[number] for number in numbers_T),
            timestamp_T=_column(part, "timestamp", episode.data).to_numpy().astype(np.float64),
        )

    def pictures(self, episode: Episode, key: str) -> Iterator[NDArray[np.uint8]]:
        """The pictures [h, w, 3] of one camera, frame by frame, RGB.

        Raises DatasetError where one is missing or cannot be decoded.
        """
        if self.info.features[key].dtype == "video":
            part = episode.videos[key]
            return read_video(part.path, part.from_s, episode.length, self.info.fps)
        return _decoded(episode, key)

    def images(
        self, episode: Episode, cameras: Mapping[str, str]
    ) -> Iterator[dict[str, NDArray[np.uint8]]]:
        """Frame by frame the pictures of several cameras; `cameras` maps names to features."""
        streams = [self.pictures(episode, key) for key in cameras.values()]
        for pictures in zip(*streams, strict=True):
            yield dict(zip(cameras, pictures, strict=True))

    def _vector(self, key: str) -> layout.Feature:
        feature = self.info.features.get(key)
        if feature is None or len(feature.shape) != 1 or feature.is_picture:
            raise DatasetError(
                f"{self.path / layout.INFO}: features has no vector '{key}', but "
                f"{', '.join(self.info.features)}; use a data set that has it"
            )
        return feature

    def _matrix(self, part: pa.Table, key: str, episode: Episode) -> NDArray[np.float32]:
        flat = _column(part, key, episode.data).combine_chunks()
        width = self._vector(key).shape[0]
        values = flat.flatten() if pa.types.is_nested(flat.type) else flat
        array = values.to_numpy(zero_copy_only=False).astype(np.float32)
        if array.size != len(part) * width:
            raise DatasetError(
                f"{episode.data}: '{key}' of episode {episode.index} holds {array.size} numbers, "
                f"info.json says {len(part)} x {width}; copy the data set whole"
            )
        return array.reshape(len(part), width)

    def _episodes(self) -> Iterator[Episode]:
        notes = self.told.get("episodes", [])
        for row in _episode_rows(self.path):
            try:
                index = int(row["episode_index"])
                note = notes[index] if index < len(notes) else {}
                yield Episode(
                    index=index,
                    begin=int(row["dataset_from_index"]),
                    end=int(row["dataset_to_index"]),
                    tasks=tuple(row["tasks"]),
                    data=self._file(row, "data", self.info.data_path),
                    videos={key: self._part(row, key) for key in self._video_keys()},
                    outcome=str(note.get("outcome", "")),
                    begin_ns=int(note.get("begin_ns", 0)),
                    drivers=tuple((int(at), str(who)) for at, who in note.get("drivers", ())),
                )
            except (KeyError, TypeError, ValueError) as error:
                raise DatasetError(
                    f"{self.path}/meta/episodes: a row has no usable {error}; copy the data set "
                    "whole, or write it anew"
                ) from None

    def _video_keys(self) -> list[str]:
        return [key for key in self.info.pictures if self.info.features[key].dtype == "video"]

    def _part(self, row: Mapping[str, Any], key: str) -> VideoPart:
        return VideoPart(
            path=self._file(row, f"videos/{key}", self.info.video_path, video_key=key),
            from_s=float(row[f"videos/{key}/from_timestamp"]),
            to_s=float(row[f"videos/{key}/to_timestamp"]),
        )

    def _file(self, row: Mapping[str, Any], where: str, template: str, **names: str) -> Path:
        chunk, file = int(row[f"{where}/chunk_index"]), int(row[f"{where}/file_index"])
        return self.path / template.format(chunk_index=chunk, file_index=file, **names)


def _decoded(episode: Episode, key: str) -> Iterator[NDArray[np.uint8]]:
    columns = _read(episode.data, ["episode_index", key])
    of_episode = np.flatnonzero(columns["episode_index"].to_numpy() == episode.index)
    for place, picture in enumerate(columns[key].take(pa.array(of_episode)).to_pylist()):
        data = np.frombuffer((picture or {}).get("bytes") or b"", np.uint8)
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if bgr is None:
            raise DatasetError(
                f"{episode.data}: '{key}' of episode {episode.index}, frame {place}, cannot be "
                "decoded; leave the episode out"
            )
        yield np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def _read_tasks(folder: Path) -> dict[int, str]:
    table = _read(folder / layout.TASKS)
    # An index of pandas without a name of its own is stored under the second of these.
    name = next((n for n in ("task", "__index_level_0__") if n in table.column_names), None)
    if name is None or "task_index" not in table.column_names:
        raise DatasetError(
            f"{folder / layout.TASKS}: has columns {table.column_names}; wants task and task_index"
        )
    numbers = table["task_index"].to_pylist()
    return dict(zip(map(int, numbers), map(str, table[name].to_pylist()), strict=True))


def _episode_rows(folder: Path) -> Iterator[dict[str, Any]]:
    files = sorted((folder / "meta/episodes").glob("*/*.parquet"))
    if not files:
        raise DatasetError(f"{folder}/meta/episodes: is empty; copy the data set whole")
    for file in files:
        with _readable(file):
            names = pq.read_schema(file).names
        table = _read(file, [name for name in names if not name.startswith("stats/")])
        yield from table.to_pylist()


def _read_numbers(path: Path) -> pa.Table:
    return _read(path, [STATE, ACTION, "timestamp", "episode_index", "task_index"])


def _read(path: Path, columns: list[str] | None = None) -> pa.Table:
    with _readable(path):
        return pq.read_table(path, columns=columns, partitioning=None)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever is wrong with a file is told with its name."""
    try:
        yield
    except FileNotFoundError:
        raise DatasetError(f"{path}: is not there; copy the data set whole") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); copy the data set anew") from None


def _column(table: pa.Table, name: str, path: Path) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise DatasetError(f"{path}: has no column '{name}'; copy the data set anew")
    return table[name]
