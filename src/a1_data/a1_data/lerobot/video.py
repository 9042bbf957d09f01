"""Pictures in and out of the MP4 files of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from a1_core.errors import DatasetError

CODEC = "libx264"
OPTIONS: Mapping[str, str] = {"g": "2", "bf": "0", "crf": "18", "preset": "veryfast"}
"""Every second picture is a key frame, as LeRobot has it: any frame is two decodings away."""


class VideoWriter:
    """One MP4 file; frame k is shown at k / fps s.

    Attributes:
        frames: written so far.
    """

    def __init__(self, path: Path, fps: int, height: int, width: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.frames = 0
        self._fps = fps
        self._container = av.open(str(path), "w", options={"movflags": "faststart"})
        self._stream: Any = self._container.add_stream(CODEC, rate=fps, options=dict(OPTIONS))
        self._stream.height, self._stream.width = height, width
        # Half the colour resolution needs even sides.
        self._stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"

    def add(self, rgb: NDArray[np.uint8]) -> None:
        """Append one picture [height, width, 3]."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame.pts, frame.time_base = self.frames, Fraction(1, self._fps)
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    @property
    def size(self) -> int:
        """Bytes on disk so far, without what the encoder still holds."""
        return self.path.stat().st_size if self.path.exists() else 0

    def close(self) -> None:
        """Flush the encoder and close the file."""
        self._container.mux(self._stream.encode())
        self._container.close()


def video_facts(path: Path) -> dict[str, Any]:
    """What meta/info.json says of a video feature's files, read from one of them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return {
            "video.height": stream.height,
            "video.width": stream.width,
            "video.codec": stream.codec.canonical_name,
            "video.pix_fmt": stream.pix_fmt,
            "video.fps": int(stream.base_rate or 0),
            "video.channels": 3,
            "has_audio": False,
            "is_depth_map": False,
        }


def video_seconds(path: Path) -> float:
    """Length of a video; DatasetError where it cannot be opened."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.duration is not None and stream.time_base is not None:
                return float(stream.duration * stream.time_base)
            return float((container.duration or 0) / av.time_base)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise DatasetError(f"{path}: is no video that can be read ({error})") from None


def read_video(path: Path, from_s: float, frames: int, fps: int) -> Iterator[NDArray[np.uint8]]:
    """`frames` pictures [h, w, 3] from a time on, 1 / fps s apart.

    Raises DatasetError where the file is missing, damaged, or lacks one of them.
    """
    due = 0
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.time_base is None:
                raise DatasetError(f"{path}: its video has no time base; encode it anew")
            container.seek(int(from_s / stream.time_base), stream=stream, backward=True)
            for frame in container.decode(stream):
                place = round((frame.time - from_s) * fps)
                if place < due:
                    continue
                if place > due:
                    break
                yield frame.to_ndarray(format="rgb24")
                due += 1
                if due == frames:
                    return
    except (av.FFmpegError, OSError, IndexError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); copy the data set anew") from None
    raise DatasetError(
        f"{path}: has no frame at {from_s + due / fps:.3f} s, frame {due} of {frames} of its "
        "episode; leave the episode out, or encode the video anew"
    )
