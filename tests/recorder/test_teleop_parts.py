"""Target, joystick, keyboard, leader and settings of the teleop node, each by itself."""

import numpy as np
import pytest
import yaml
from teleop_flight import CONFIG, LIMITS, SPEC

from a1_core.errors import A1Error
from a1_recorder.teleop.controls import Joystick, Layout
from a1_recorder.teleop.keyboard import NUDGE_S, Keys
from a1_recorder.teleop.leader import Leader
from a1_recorder.teleop.settings import Settings, fitted_settings
from a1_recorder.teleop.steering import load_arm
from a1_recorder.teleop.target import ROW_S, Target, Wish
from a1_ros.parameters import specs_of


def test_rows_end_at_rest_whatever_is_wished():
    target = Target(LIMITS, velocity_share=1.0, acceleration_share=0.35)
    target.start(SPEC.home, 0.5 * LIMITS.velocity)
    wish = Wish(feed_J=LIMITS.velocity * [1, -1, 1, -1, 1, -1, 1])
    rows_HJ = target.rows(wish, SPEC.home - 0.05, 0.3 * LIMITS.velocity)
    np.testing.assert_array_equal(rows_HJ[0], SPEC.home - 0.05)
    assert (np.abs(np.diff(rows_HJ, axis=0)) <= LIMITS.velocity * ROW_S * 1.001).all()
    assert (np.abs(np.diff(rows_HJ[-2:], axis=0)) <= 0.05 * ROW_S).all()
    bends = np.abs(np.diff(rows_HJ, n=2, axis=0))
    assert (bends <= 0.5 * LIMITS.acceleration * ROW_S**2 * 1.001).all()


LAYOUT = Layout(
    deadman=4, take_over=5, open=6, close=7, tip_axes=(1, 0, 4, -1, -1, 9),
    tip_signs=(1.0, -1.0, 1.0, 1.0, 1.0, 1.0), joint_axes=(0, 1), dead_zone=0.1,
)  # fmt: skip


def test_a_joystick_has_a_dead_zone_and_lets_go_when_it_is_silent():
    joystick = Joystick(LAYOUT, 7, 0.3)
    assert joystick.controls(0) is None
    joystick.take([0.55, 0.05, 0.0, 0.0, float("nan")], [0, 0, 0, 0, 1, 0, 1], 0)
    controls = joystick.controls(300_000_000)
    np.testing.assert_allclose(controls.tip_6, [0, -0.5, 0, 0, 0, 0])
    np.testing.assert_allclose(controls.joints_J, [0.5, 0, 0, 0, 0, 0, 0])
    assert (controls.deadman, controls.take_over, controls.gripper) == (True, False, 1.0)
    assert joystick.controls(300_000_001) is None


def test_a_tap_of_a_key_is_a_nudge_and_t_holds_on():
    keys = Keys()
    keys.press("w", 0.0)
    axes, buttons = keys.joy(0.0)
    assert (axes[0], buttons) == (1.0, [1, 0, 0, 0, 0])
    assert keys.joy(NUDGE_S) == ([0.0] * len(axes), [0, 0, 0, 0, 0])
    keys.press("t", 1.0)
    assert keys.joy(9.0)[1] == [0, 1, 0, 0, 0]
    keys.press("3", 9.0)
    keys.press("-", 9.0)
    assert keys.joy(9.0)[0][6 + 2] == -1.0


def test_a_leader_is_heard_by_name():
    leader = Leader(("b", "a"), grippers=["g"], closed=[1.0], open=[0.0], timeout_s=0.1)
    leader.take(["a", "b"], [1.0, 2.0], 0)
    assert leader.joints(0) is None
    assert "g not in" in leader.complaint
    leader.take(["a", "g", "b"], [1.0, 0.25, 2.0], 0)
    np.testing.assert_array_equal(leader.joints(0), [2.0, 1.0])
    assert leader.openings(0) == [0.75]
    leader.take(["a", "g", "b"], [1.0, 0.25, float("nan")], 50_000_000)
    assert leader.joints(100_000_001) is None


def test_the_file_names_every_parameter_with_its_default():
    content = yaml.safe_load((CONFIG / "teleop.yaml").read_text())["/**/teleop"]
    found = {}
    for name, value in content["ros__parameters"].items():
        nested = value if isinstance(value, dict) else None
        found |= {f"{name}.{k}": v for k, v in nested.items()} if nested else {name: value}
    assert found == {spec.name: spec.default for spec in specs_of(Settings)}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"joy.tip_axes": [0, 1]}, "joy.tip_axes has 2 entries; give 6"),
        ({"leader.signs": [1.0, -1.0]}, "leader.signs has 2 entries; give 7"),
        ({"steer": "leader"}, "leader.topic is empty"),
        ({"leader.gripper": ["g"], "leader.gripper_open": [0.0]}, "are both 0.0 for g"),
        ({"leader.gripper": ["g", "h"]}, "leader.gripper has 2 entries; give 1"),
    ],
)
def test_mistakes_are_named(changes, text):
    values = {spec.name: spec.default for spec in specs_of(Settings)} | changes
    with pytest.raises(A1Error, match=text):
        fitted_settings(values, SPEC.joint_names, 1)
    with pytest.raises(A1Error, match="nowhere"):
        load_arm("nowhere:f")
