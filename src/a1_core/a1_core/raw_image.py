"""Which raw images are accepted, and what makes one whole; the conversion itself is elsewhere."""

from __future__ import annotations

from a1_core.errors import ObservationRefused

CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
"""Accepted raw encodings and their bytes a pixel."""


def row_bytes(encoding: str, height: int, width: int, step: int, size: int) -> int:
    """Bytes of a row's pixels, its padding left out.

    Args:
        step: bytes from row to row.
        size: bytes of data.

    Raises:
        ObservationRefused: CAMERA_ENCODING for an encoding outside `CHANNELS`; CAMERA_SIZE when
            the data does not hold height * step bytes.
    """
    channels = CHANNELS.get(encoding)
    if channels is None:
        raise ObservationRefused(
            "CAMERA_ENCODING",
            f"encoding '{encoding}' is not accepted; publish one of {', '.join(CHANNELS)}",
        )
    row = width * channels
    if not width or not height or step < row or size < height * step:
        raise ObservationRefused(
            "CAMERA_SIZE",
            f"{width}x{height} {encoding} with step {step} does not fit {size} bytes of data",
        )
    return row
