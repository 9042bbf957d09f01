"""Cameras that hang otherwise than the scene has them."""

import numpy as np
import pytest

from a1_core.errors import A1Error
from a1_world.cameras import Mount
from a1_world.world import World

SIZE = 64


def pictures(mounts=None) -> tuple[dict[str, np.ndarray], tuple[float, float]]:
    with World(SIZE, mounts=mounts) as world:
        world.reset(7)
        seen_at = world.project("front", world.cube_pose(0)[0], cube=0)
        return {c: world.render(c) for c in ("front", "wrist")}, seen_at


@pytest.fixture(scope="module")
def plain():
    return pictures()


def test_a_turn_moves_what_one_camera_sees_and_no_other(plain):
    images, (x, y) = pictures({"front": Mount(turn_rad=(0.0, 0.07, 0.0))})
    plain_images, (plain_x, plain_y) = plain
    # Turned to the left (about the axis that points up) it sees things farther to the right.
    shift = np.tan(0.07) / (2.0 * np.tan(np.radians(31.0) / 2.0))
    assert x - plain_x == pytest.approx(shift, abs=0.02)
    assert y == pytest.approx(plain_y, abs=0.02)
    np.testing.assert_array_equal(images["wrist"], plain_images["wrist"])
    assert np.abs(images["front"].astype(int) - plain_images["front"]).mean() > 2.0


def test_a_shift_is_along_the_cameras_own_axes(plain):
    _, (x, y) = pictures({"front": Mount(shift_m=(0.05, 0.0, 0.0))})
    assert x < plain[1][0] - 0.05
    assert y == pytest.approx(plain[1][1], abs=0.01)


def test_exposure_makes_pictures_brighter_and_other_worlds_stay_as_they_are(plain):
    images, where = pictures({"front": Mount(exposure=1.5)})
    wanted = np.clip(np.rint(plain[0]["front"] * 1.5), 0, 255)
    np.testing.assert_array_equal(images["front"], wanted)
    assert where == plain[1]
    np.testing.assert_array_equal(pictures()[0]["front"], plain[0]["front"])


@pytest.mark.parametrize(
    ("mounts", "text"),
    [
        (lambda: {"front": Mount(shift_m=(0.0, 0.0))}, "three numbers each"),
        (lambda: {"front": Mount(exposure=0.0)}, "exposure above 0"),
        (lambda: {"side": Mount()}, "camera 'side' is unknown"),
    ],
)
def test_mistakes_are_named(mounts, text):
    with pytest.raises(A1Error, match=text):
        World(SIZE, render=False, mounts=mounts())
