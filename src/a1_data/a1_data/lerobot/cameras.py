"""One camera of a data set that is written: its videos and its statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a1_data.lerobot import layout
from a1_data.lerobot.statistics import PictureStatistics, Statistics
from a1_data.lerobot.video import VideoWriter


class Camera:
    """One camera's statistics, and its videos where it has any."""

    def __init__(self, key: str, shape: tuple[int, ...], videos: VideoFiles | None) -> None:
        self.key = key
        self.shape = shape
        self.videos = videos
        self.total = PictureStatistics()
        self._episode = PictureStatistics()

    def add(self, rgb: NDArray[np.uint8]) -> None:
        """Take one picture."""
        self._episode.add(rgb)
        if self.videos is not None:
            self.videos.add(rgb)

    def end_episode(self, described: dict[str, Any], fps: int) -> Statistics:
        """Where its pictures lie goes into `described`; their statistics."""
        if self.videos is not None:
            described.update(self.videos.end_episode(fps))
        episode, self._episode = self._episode, PictureStatistics()
        self.total.merge(episode)
        return episode.statistics()

    def close(self) -> None:
        """Close the file in hand."""
        if self.videos is not None:
            self.videos.close()


class VideoFiles:
    """MP4 files of one camera, each of whole episodes."""

    def __init__(
        self, folder: Path, key: str, fps: int, shape: tuple[int, ...], file_mb: int
    ) -> None:
        self._folder, self._key, self._fps = folder, key, fps
        self._height, self._width = shape[:2]
        self._file_bytes = file_mb << 20
        self._place = (0, 0)
        self._writer: VideoWriter | None = None
        self._from = 0
        self.first = self._path

    def add(self, rgb: NDArray[np.uint8]) -> None:
        """Append one picture."""
        if self._writer is None:
            self._writer = VideoWriter(self._path, self._fps, self._height, self._width)
        self._writer.add(rgb)

    def end_episode(self, fps: int) -> dict[str, Any]:
        """Where the episode lies; the next one gets a file of its own if this one is full."""
        assert self._writer is not None
        prefix, frames = f"videos/{self._key}/", self._writer.frames
        place = {
            f"{prefix}chunk_index": self._place[0],
            f"{prefix}file_index": self._place[1],
            f"{prefix}from_timestamp": self._from / fps,
            f"{prefix}to_timestamp": frames / fps,
        }
        self._from = frames
        if self._writer.size >= self._file_bytes:
            self.close()
            self._place, self._from = layout.next_file(*self._place), 0
        return place

    def close(self) -> None:
        """Close the file in hand."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def _path(self) -> Path:
        chunk, file = self._place
        name = layout.VIDEO.format(video_key=self._key, chunk_index=chunk, file_index=file)
        return self._folder / name
