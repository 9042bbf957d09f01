from dataclasses import replace

import numpy as np
import pytest

from a1_core.assembler import IMAGES_KEPT, Assembler
from a1_core.errors import ObservationRefused
from a1_core.spec import RobotSpec

MS = 1_000_000
ARM = [f"fr3_joint{i}" for i in range(1, 8)]
FINGER = "fr3_finger_joint1"


def _image(value: int) -> np.ndarray:
    return np.full((4, 6, 3), value, np.uint8)


def _joints(stamp_ns: int) -> np.ndarray:
    """Arm joints as a straight line over time."""
    return np.arange(1, 8) * stamp_ns / 1e9


class Robot:
    """Feeds an assembler with the streams of a robot."""

    def __init__(self, spec: RobotSpec) -> None:
        self.assembler = Assembler(spec)

    def arm(self, *stamps_ns: int) -> None:
        for stamp_ns in stamps_ns:
            self.assembler.push_state(stamp_ns, ARM, _joints(stamp_ns))

    def finger(self, *stamps_ns: int, at: float = 0.01) -> None:
        for stamp_ns in stamps_ns:
            self.assembler.push_state(stamp_ns, [FINGER, "fr3_finger_joint2"], [at, at])

    def front(self, *stamps_ns: int) -> None:
        for stamp_ns in stamps_ns:
            self.assembler.push_image("front", stamp_ns, _image(stamp_ns // MS % 251))

    def wrist(self, *stamps_ns: int) -> None:
        for stamp_ns in stamps_ns:
            self.assembler.push_image("wrist", stamp_ns, _image(stamp_ns // MS % 241))

    def refusal(self, tick_ns: int, now_ns: int) -> str:
        with pytest.raises(ObservationRefused) as caught:
            self.assembler.assemble(tick_ns, now_ns, "")
        return caught.value.code


@pytest.fixture
def robot(spec: RobotSpec) -> Robot:
    return Robot(spec)


@pytest.fixture
def running(robot: Robot) -> Robot:
    robot.arm(*range(900 * MS, 1011 * MS, 10 * MS))
    robot.finger(940 * MS, 1005 * MS)
    robot.front(900 * MS, 1000 * MS)
    robot.wrist(905 * MS, 1005 * MS)
    return robot


def test_everything_is_sampled_at_the_tick(running: Robot) -> None:
    observation = running.assembler.assemble(1000 * MS, 1015 * MS, "touch the red cube")
    assert observation.stamp_ns == 1000 * MS
    assert list(observation.images) == ["front", "wrist"]
    assert observation.images["front"][0, 0, 0] == 1000 % 251
    assert observation.images["wrist"][0, 0, 0] == 1005 % 241
    assert observation.state_D.dtype == np.float32
    np.testing.assert_allclose(observation.state_D, [*_joints(1000 * MS), 0.25], rtol=1e-6)
    assert observation.instruction == "touch the red cube"


def test_state_is_linear_between_messages(running: Robot) -> None:
    state_D = running.assembler.state_at(953 * MS)
    np.testing.assert_allclose(state_D[:7], _joints(953 * MS), rtol=1e-12)


def test_controller_and_policy_agree_on_the_base(running: Robot) -> None:
    observation = running.assembler.assemble(1000 * MS, 1015 * MS, "")
    np.testing.assert_array_equal(
        running.assembler.state_at(1000 * MS).astype(np.float32), observation.state_D
    )


def test_joints_are_found_by_name_in_any_order(spec: RobotSpec) -> None:
    names = ["extra", *reversed(ARM), FINGER]
    values = [99.0, *reversed(_joints(MS)), 0.04]
    assembler = Assembler(spec)
    assert assembler.push_state(MS, names, values)
    np.testing.assert_allclose(assembler.state_at(MS), [*_joints(MS), 1.0])


def test_strangers_joints_are_left_alone(robot: Robot) -> None:
    assert not robot.assembler.push_state(MS, ["wheel_left"], [1.0])


@pytest.mark.parametrize(
    ("names", "values", "code"),
    [
        (ARM[:6], [0.0] * 6, "JOINT_MISSING"),
        (ARM, [0.0] * 6, "JOINT_MISSING"),
        (ARM, [0.0] * 6 + [np.nan], "STATE_NON_FINITE"),
        ([FINGER], [np.inf], "STATE_NON_FINITE"),
    ],
)
def test_bad_states_never_get_in(robot: Robot, names: list, values: list, code: str) -> None:
    with pytest.raises(ObservationRefused) as caught:
        robot.assembler.push_state(MS, names, values)
    assert caught.value.code == code


def test_image_of_the_wrong_size(spec: RobotSpec) -> None:
    camera = replace(spec.cameras[0], width=6, height=4)
    assembler = Assembler(replace(spec, cameras=(camera, spec.cameras[1])))
    assert assembler.push_image("front", 1, _image(0))
    for wrong in (np.zeros((6, 4, 3), np.uint8), np.zeros((4, 6), np.uint8)):
        with pytest.raises(ObservationRefused) as caught:
            assembler.push_image("front", 2, wrong)
        assert caught.value.code == "CAMERA_SIZE"


def test_what_never_came_is_named(robot: Robot) -> None:
    assert robot.assembler.tick_ns() is None
    robot.front(1000 * MS)
    assert robot.assembler.tick_ns() == 1000 * MS
    assert robot.refusal(1000 * MS, 1000 * MS) == "CAMERA_MISSING"
    robot.wrist(1000 * MS)
    assert robot.refusal(1000 * MS, 1000 * MS) == "JOINT_MISSING"
    robot.arm(1000 * MS)
    assert robot.refusal(1000 * MS, 1000 * MS) == "JOINT_MISSING"
    robot.finger(1000 * MS)
    robot.assembler.assemble(1000 * MS, 1000 * MS, "")


def test_dead_camera(running: Robot) -> None:
    running.front(1600 * MS)
    running.arm(1600 * MS)
    running.finger(1600 * MS)
    assert running.refusal(1600 * MS, 1600 * MS) == "CAMERA_STALE"


def test_dead_arm_and_dead_gripper(running: Robot) -> None:
    assert running.refusal(1000 * MS, 1111 * MS) == "STATE_STALE"
    running.arm(1310 * MS)
    assert running.refusal(1000 * MS, 1306 * MS) == "STATE_STALE"


def test_skewed_cameras(running: Robot) -> None:
    running.front(1100 * MS)
    running.arm(1100 * MS)
    running.finger(1100 * MS)
    assert running.refusal(1100 * MS, 1105 * MS) == "CAMERA_SKEW"


def test_state_outside_the_buffer(running: Robot) -> None:
    with pytest.raises(ObservationRefused) as caught:
        running.assembler.state_at(100 * MS)
    assert caught.value.code == "STATE_STALE"


def test_tick_waits_for_every_stream(running: Robot) -> None:
    assert running.assembler.tick_ns() == 1000 * MS
    running.front(1100 * MS)
    assert running.assembler.tick_ns() == 1000 * MS
    running.wrist(1105 * MS)
    running.arm(1110 * MS)
    assert running.assembler.tick_ns() == 1000 * MS
    running.finger(1110 * MS)
    assert running.assembler.tick_ns() == 1100 * MS


def test_repeated_stamps_are_not_news(running: Robot) -> None:
    assert not running.assembler.push_image("front", 1000 * MS, _image(3))
    assert not running.assembler.push_state(900 * MS, ARM, np.zeros(7))


def _play(robot: Robot, *, frozen: bool, moving: bool, before_ms: int = 0) -> None:
    """A second and more of streams; the arm moves first for `before_ms` with live images."""
    total_ms = before_ms + 100 * IMAGES_KEPT
    for ms in range(1000, 1000 + total_ms, 10):
        live = ms < 1000 + before_ms
        q = _joints(ms * MS) if moving or live else np.ones(7)
        robot.assembler.push_state(ms * MS, ARM, q)
        robot.finger(ms * MS)
        if ms % 100 == 0:
            robot.front(ms * MS)
            value = ms // 100 if live or not frozen else 7
            robot.assembler.push_image("wrist", ms * MS, _image(value))


def test_frozen_camera_while_the_arm_moves(robot: Robot) -> None:
    _play(robot, frozen=True, moving=True)
    tick_ns = robot.assembler.tick_ns()
    assert tick_ns is not None
    assert robot.refusal(tick_ns, tick_ns + 5 * MS) == "CAMERA_FROZEN"


@pytest.mark.parametrize(("frozen", "moving"), [(True, False), (False, True)])
def test_resting_arm_or_live_camera_is_fine(robot: Robot, frozen: bool, moving: bool) -> None:
    _play(robot, frozen=frozen, moving=moving)
    tick_ns = robot.assembler.tick_ns()
    assert tick_ns is not None
    robot.assembler.assemble(tick_ns, tick_ns + 5 * MS, "")


def test_rest_after_motion_is_not_frozen(robot: Robot) -> None:
    _play(robot, frozen=True, moving=False, before_ms=1000)
    tick_ns = robot.assembler.tick_ns()
    assert tick_ns is not None
    robot.assembler.assemble(tick_ns, tick_ns + 5 * MS, "")


def test_clear_forgets(running: Robot) -> None:
    running.assembler.clear()
    assert running.assembler.tick_ns() is None
    running.front(10 * MS)
    assert running.assembler.tick_ns() == 10 * MS
