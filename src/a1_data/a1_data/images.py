"""Recorded images as uint8 [h, w, 3] RGB: bit for bit what the live node makes of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.image import image_to_cvimage

from a1_core.errors import ObservationRefused
from a1_core.raw_image import row_bytes


def raw_to_rgb(msg: Any) -> NDArray[np.uint8]:
    """RGB of a sensor_msgs/msg/Image; for rgb8 a view on the message, not a copy.

    Raises ObservationRefused CAMERA_ENCODING or CAMERA_SIZE as `row_bytes` does.
    """
    row = row_bytes(msg.encoding, msg.height, msg.width, msg.step, len(msg.data))
    return np.asarray(image_to_cvimage(msg if msg.step == row else _packed(msg, row), "rgb8"))


def _packed(msg: Any, row: int) -> Any:
    """The same image without padding at the end of its rows."""
    padded = np.frombuffer(msg.data, np.uint8)[: msg.height * msg.step]
    return SimpleNamespace(
        height=msg.height,
        width=msg.width,
        encoding=msg.encoding,
        is_bigendian=msg.is_bigendian,
        data=np.ascontiguousarray(padded.reshape(msg.height, msg.step)[:, :row]),
    )


def compressed_to_rgb(msg: Any) -> NDArray[np.uint8]:
    """RGB of a sensor_msgs/msg/CompressedImage that holds JPEG or PNG, grey ones included.

    Raises ObservationRefused CAMERA_ENCODING when the data cannot be decoded.
    """
    data = np.frombuffer(msg.data, np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if bgr is None:
        raise ObservationRefused(
            "CAMERA_ENCODING",
            f"{data.size} bytes of '{msg.format}' cannot be decoded; publish JPEG or PNG",
        )
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
