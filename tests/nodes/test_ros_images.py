"""Images between messages and arrays, for every encoding that is accepted."""

import array

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from a1_core.errors import ObservationRefused
from a1_core.raw_image import CHANNELS
from a1_data import images as recorded
from a1_ros.images import compressed_to_rgb, raw_to_rgb, shrink, to_image, to_jpeg

RGB = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
ALPHA = np.full((5, 7, 1), 9, np.uint8)
GREY = RGB[..., 0]
PIXELS = {
    "rgb8": RGB,
    "bgr8": RGB[..., ::-1],
    "rgba8": np.concatenate([RGB, ALPHA], axis=2),
    "bgra8": np.concatenate([RGB[..., ::-1], ALPHA], axis=2),
    "mono8": GREY[..., None],
}


def message(encoding: str, padding: int = 0) -> Image:
    pixels = np.ascontiguousarray(PIXELS[encoding])
    height, width, channels = pixels.shape
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, padding)), constant_values=77)
    return Image(
        height=height,
        width=width,
        encoding=encoding,
        step=width * channels + padding,
        data=array.array("B", rows.tobytes()),
    )


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", CHANNELS)
def test_every_accepted_encoding_becomes_rgb(encoding, padding):
    expected = np.repeat(GREY[..., None], 3, axis=2) if encoding == "mono8" else RGB
    rgb = raw_to_rgb(message(encoding, padding))
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, expected)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", CHANNELS)
def test_a_bag_gives_the_same_pixels(encoding, padding):
    msg = message(encoding, padding)
    np.testing.assert_array_equal(recorded.raw_to_rgb(msg), raw_to_rgb(msg))


def test_a_bag_gives_the_same_pixels_of_compressed_images():
    noise = np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)
    msg = to_jpeg(noise, 0, "camera")
    np.testing.assert_array_equal(recorded.compressed_to_rgb(msg), compressed_to_rgb(msg))


def test_rgb_round_trip_keeps_pixels_and_stamp():
    msg = to_image(RGB, 1_234_567_890_123, "camera")
    assert (msg.header.stamp.sec, msg.header.stamp.nanosec) == (1234, 567890123)
    np.testing.assert_array_equal(raw_to_rgb(msg), RGB)


def test_rgb_is_a_view_on_the_message():
    msg = to_image(RGB, 0, "camera")
    rgb = raw_to_rgb(msg)
    msg.data[0] = 200
    assert rgb[0, 0, 0] == 200


@pytest.mark.parametrize("encoding", ["16UC1", "bayer_rggb8", ""])
def test_other_encodings_are_refused_by_name(encoding):
    msg = message("rgb8")
    msg.encoding = encoding
    with pytest.raises(ObservationRefused, match=r"CAMERA_ENCODING.*publish one of rgb8"):
        raw_to_rgb(msg)


@pytest.mark.parametrize(("field", "value"), [("height", 6), ("width", 0), ("step", 20)])
def test_sizes_that_contradict_the_data_are_refused(field, value):
    msg = message("rgb8")
    setattr(msg, field, value)
    with pytest.raises(ObservationRefused, match="CAMERA_SIZE"):
        raw_to_rgb(msg)


def test_jpeg_comes_back_close():
    smooth = np.broadcast_to(np.linspace(0, 255, 32, dtype=np.uint8)[:, None, None], (32, 48, 3))
    back = compressed_to_rgb(to_jpeg(np.ascontiguousarray(smooth), 0, "camera", quality=95))
    assert np.abs(back.astype(int) - smooth).max() <= 8


def test_compressed_keeps_the_order_of_colours_and_takes_grey():
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    assert compressed_to_rgb(to_jpeg(red, 0, "c"))[4, 4, 0] > 200
    encoded = cv2.imencode(".png", np.full((8, 8), 90, np.uint8))[1]
    grey = CompressedImage(format="png", data=array.array("B", encoded.tobytes()))
    np.testing.assert_array_equal(compressed_to_rgb(grey), np.full((8, 8, 3), 90))


@pytest.mark.parametrize("data", [b"", b"not an image"])
def test_damaged_compressed_data_is_refused(data):
    with pytest.raises(ObservationRefused, match="CAMERA_ENCODING"):
        compressed_to_rgb(CompressedImage(format="jpeg", data=array.array("B", data)))


def test_shrink_keeps_the_shape_ratio_and_leaves_small_images():
    assert shrink(np.zeros((200, 300, 3), np.uint8), 100).shape == (100, 150, 3)
    assert shrink(RGB, 100) is RGB
