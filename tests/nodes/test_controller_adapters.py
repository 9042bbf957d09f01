"""A robot whose facts or message packages are not there is refused at configure, with a reason."""

from pathlib import Path

import pytest
import rclpy

from a1_controllers.adapters import make_robot, why_not
from a1_controllers.node import ControllerNode
from a1_core.errors import A1Error
from a1_core.spec import load_spec
from a1_ros.interfaces import load_interface

ROBOTS = Path(__file__).parents[2] / "config" / "robots"
SPECS = {path.stem: load_spec(path) for path in sorted(ROBOTS.glob("*.yaml"))}
GAPS = {"agibot", "agibot_a2", "arx5"}


@pytest.mark.parametrize("name", sorted(set(SPECS) - GAPS))
def test_every_robot_without_gaps_is_served_in_simulation(name):
    assert why_not(SPECS[name], hardware=False) == ""


@pytest.mark.parametrize("name", sorted(set(SPECS) - GAPS))
def test_hardware_needs_to_be_known_to_hold_when_commands_stop(name):
    streams = [c.stream for c in SPECS[name].commands if c.stream is not None]
    unknown = any(stream.silence == "GAP" for stream in streams)
    assert ("stream.silence" in why_not(SPECS[name], hardware=True)) == unknown
    assert unknown == (name == "dobot")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("agibot", "nobody published left_gripper.closed"),
        ("agibot_a2", "nobody published frames of left"),
        ("arx5", "nobody published gripper.closed"),
    ],
)
@pytest.mark.parametrize("hardware", [False, True])
def test_a_gap_is_refused(name, said, hardware):
    with pytest.raises(A1Error, match=said) as caught:
        make_robot(None, SPECS[name], hardware=hardware)
    assert "copy of the spec" in str(caught.value)


@pytest.mark.parametrize(
    ("type_name", "said"),
    [
        ("no_such_msgs/msg/Thing", "package no_such_msgs is not installed"),
        ("std_msgs/msg/Thing", "has no msg/Thing"),
        ("std_msgs.msg.String", "write PACKAGE/msg/NAME"),
    ],
)
def test_what_to_install_is_said(type_name, said):
    with pytest.raises(A1Error, match=said) as caught:
        load_interface(type_name, where="robot.yaml: command arm")
    assert str(caught.value).startswith("robot.yaml: command arm")


def test_configuring_says_so_and_stays_unconfigured():
    context = rclpy.Context()
    rclpy.init(context=context)
    node = ControllerNode(
        context=context,
        cli_args=["--ros-args", "-p", f"robot:={ROBOTS / 'dobot.yaml'}", "-p", "hardware:=true"],
    )
    try:
        with pytest.raises(A1Error, match=r"dobot\.yaml: nobody published what the arm does"):
            node.on_configured()
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
