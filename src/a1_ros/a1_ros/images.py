"""Images between ROS messages and uint8 [h, w, 3] RGB arrays.

`cv_bridge` does the conversion where a ROS 2 installation brings it, `rosbags-image` where it does
not; which one is decided once, here. Accepted raw encodings: `a1_core.raw_image.CHANNELS`.
"""

import array
from importlib.util import find_spec

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from a1_core.errors import ObservationRefused
from a1_core.raw_image import row_bytes
from a1_ros.times import ns_to_stamp

if find_spec("cv_bridge") is not None:
    from cv_bridge import CvBridge

    _BRIDGE = CvBridge()

    def _convert(msg: Image) -> NDArray[np.uint8]:
        return np.asarray(_BRIDGE.imgmsg_to_cv2(msg, "rgb8"))
else:
    from rosbags.image import image_to_cvimage

    def _convert(msg: Image) -> NDArray[np.uint8]:
        return np.asarray(image_to_cvimage(msg, "rgb8"))


def raw_to_rgb(msg: Image) -> NDArray[np.uint8]:
    """RGB of a raw image; for rgb8 a view on the message, not a copy.

    Raises ObservationRefused CAMERA_ENCODING or CAMERA_SIZE as `row_bytes` does.
    """
    row = row_bytes(msg.encoding, msg.height, msg.width, msg.step, len(msg.data))
    return _convert(msg if msg.step == row else _packed(msg, row))


def _packed(msg: Image, row: int) -> Image:
    """The same image without padding at the end of its rows."""
    padded = np.frombuffer(msg.data, np.uint8)[: msg.height * msg.step]
    data = array.array("B")
    data.frombytes(padded.reshape(msg.height, msg.step)[:, :row].tobytes())
    return Image(
        header=msg.header,
        height=msg.height,
        width=msg.width,
        encoding=msg.encoding,
        is_bigendian=msg.is_bigendian,
        step=row,
        data=data,
    )


def compressed_to_rgb(msg: CompressedImage) -> NDArray[np.uint8]:
    """RGB of a JPEG or PNG image, grey ones included.

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


def to_image(rgb_HW3: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """rgb8 message of an RGB array [h, w, 3]; the pixels are copied once."""
    height, width = rgb_HW3.shape[:2]
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(rgb_HW3).reshape(-1).data)
    msg = Image(height=height, width=width, encoding="rgb8", step=width * 3, data=data)
    msg.header.stamp = ns_to_stamp(stamp_ns)
    msg.header.frame_id = frame_id
    return msg


def to_jpeg(
    rgb_HW3: NDArray[np.uint8], stamp_ns: int, frame_id: str, quality: int = 80
) -> CompressedImage:
    """JPEG message of an RGB array [h, w, 3]; quality 1 to 100."""
    bgr = cv2.cvtColor(rgb_HW3, cv2.COLOR_RGB2BGR)
    written, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert written
    data = array.array("B")
    data.frombytes(encoded.reshape(-1).data)
    msg = CompressedImage(format="jpeg", data=data)
    msg.header.stamp = ns_to_stamp(stamp_ns)
    msg.header.frame_id = frame_id
    return msg


def shrink(rgb_HW3: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """The image scaled down by area to `height` rows; a smaller one is left as it is."""
    rows, columns = rgb_HW3.shape[:2]
    if rows <= height:
        return rgb_HW3
    size = (max(1, round(columns * height / rows)), height)
    return np.asarray(cv2.resize(rgb_HW3, size, interpolation=cv2.INTER_AREA))
