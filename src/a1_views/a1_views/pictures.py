"""What the cameras saw, out of a bag: stills of chosen moments, and a film of all of it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from a1_core.errors import ObservationRefused
from a1_data.decoding import Decoder, Undecodable
from a1_data.images import compressed_to_rgb, raw_to_rgb
from a1_data.streams import IMAGES
from a1_views.run import Run, messages
from a1_views.tick import NS_PER_S, stamp_ns

CONVERT = {IMAGES["raw"]: raw_to_rgb, IMAGES["compressed"]: compressed_to_rgb}
HEIGHT = 160
FILM_HZ = 10
FILM_RATE = 28
"""Constant rate factor of H.264: larger is smaller and worse."""
RGB = NDArray[np.uint8]


class Seen(NamedTuple):
    """One image of one camera, brought to HEIGHT."""

    camera: str
    at_ns: int
    rgb: RGB


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """Of one run.

    Attributes:
        cameras: their topics, in the order of the pictures' columns.
        stills: JPEG by the time that was asked for; missing where the bag has no image near it.
        film: MP4; empty where none was asked for or nothing was seen.
    """

    cameras: tuple[str, ...]
    stills: dict[int, bytes]
    film: bytes


def look_through(
    run: Run, moments_ns: Sequence[int], *, film: bool, near_s: float = 1.0
) -> Pictures:
    """The stills nearest to some moments, and the film, in one pass over the images."""
    best: dict[int, dict[str, Seen]] = {moment: {} for moment in moments_ns}
    cameras: dict[str, None] = {}
    making = _Film(run.begin_ns) if film else None
    for seen in _seen(run):
        cameras.setdefault(seen.camera)
        for moment, kept in best.items():
            off_ns = abs(seen.at_ns - moment)
            before = kept.get(seen.camera)
            if off_ns < near_s * NS_PER_S and (
                before is None or off_ns < abs(before.at_ns - moment)
            ):
                kept[seen.camera] = seen
        if making is not None and run.begin_ns <= seen.at_ns <= run.end_ns:
            making.take(seen)
    order = tuple(sorted(cameras))
    stills = {
        moment: _jpeg(_row([kept[name].rgb for name in order if name in kept]))
        for moment, kept in best.items()
        if kept
    }
    return Pictures(cameras=order, stills=stills, film=making.finish() if making else b"")


def _seen(run: Run) -> Iterator[Seen]:
    decoder = Decoder(run.files.findings)
    for raw in messages(run.files, run.contents, tuple(CONVERT)):
        try:
            msg = decoder.decode(raw)
            rgb = CONVERT[raw.channel.msgtype](msg)
        except (Undecodable, ObservationRefused):
            continue  # a1_data's bag_info says what is wrong with it.
        yield Seen(raw.channel.topic, stamp_ns(msg.header.stamp), _scaled(rgb))


def _scaled(rgb: RGB) -> RGB:
    """Brought to HEIGHT; the width is even, as the film wants it."""
    rows, columns = rgb.shape[:2]
    width = max(2, 2 * round(columns * HEIGHT / rows / 2))
    how = cv2.INTER_AREA if rows > HEIGHT else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (width, HEIGHT), interpolation=how), dtype=np.uint8)


def _row(images: Sequence[RGB]) -> RGB:
    return np.concatenate(images, axis=1)


def _jpeg(rgb: RGB, quality: int = 80) -> bytes:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    written, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert written
    return encoded.tobytes()


class _Film:
    """Cameras side by side, FILM_HZ times a second of the run at most."""

    def __init__(self, begin_ns: int) -> None:
        self._begin_ns = begin_ns
        self._newest: dict[str, RGB] = {}
        self._slot = -1
        self._buffer = io.BytesIO()
        self._container: Any = None
        self._stream: Any = None
        self._shape: tuple[int, ...] = ()

    def take(self, seen: Seen) -> None:
        """One image; a frame comes of it when the next slot of time has begun."""
        self._newest[seen.camera] = seen.rgb
        slot = (seen.at_ns - self._begin_ns) * FILM_HZ // NS_PER_S
        if slot <= self._slot:
            return
        if self._slot < 0 and slot < FILM_HZ // 2:
            return  # Let every camera come in, since all frames have one width.
        self._slot = slot
        self._write(_row([self._newest[name] for name in sorted(self._newest)]))

    def finish(self) -> bytes:
        """The whole file."""
        if self._container is None:
            return b""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._buffer.getvalue()

    def _write(self, rgb: RGB) -> None:
        if self._container is None:
            self._container = av.open(self._buffer, "w", format="mp4")
            self._stream = self._container.add_stream("libx264", rate=FILM_HZ)
            self._stream.height, self._stream.width = self._shape = rgb.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": str(FILM_RATE), "preset": "veryfast"}
        if rgb.shape[:2] != self._shape:
            return  # A camera that came in late, or changed its size.
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame.pts = self._slot
        frame.time_base = Fraction(1, FILM_HZ)
        self._container.mux(self._stream.encode(frame))
