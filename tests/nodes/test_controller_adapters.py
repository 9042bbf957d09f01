"""A robot whose adapter, gripper or facts are not there is refused at configure, with a reason."""

from pathlib import Path

import pytest
import rclpy

from a1_controllers.adapters import ADAPTERS, GRIPPERS, make_adapter, why_not
from a1_controllers.node import ControllerNode
from a1_core.errors import A1Error
from a1_core.spec import load_spec

ROBOTS = Path(__file__).parents[2] / "config" / "robots"
SPECS = {path.stem: load_spec(path) for path in sorted(ROBOTS.glob("*.yaml"))}


def test_the_franka_and_the_single_openarm_are_served():
    assert [name for name in ("franka", "openarm_single") if why_not(SPECS[name])] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("agibot", "nobody published left_gripper.closed"),
        ("agibot_a2", "nobody published frames of left"),
        ("arx5", "nobody published gripper.closed"),
    ],
)
def test_a_gap_is_refused(name, said):
    with pytest.raises(A1Error, match=said) as caught:
        make_adapter(None, SPECS[name])
    assert "copy of the spec" in str(caught.value)


@pytest.mark.parametrize("name", sorted(SPECS))
def test_what_is_not_there_is_named(name):
    spec = SPECS[name]
    there = (
        not spec.gaps
        and len(spec.commands) == 1
        and spec.commands[0].adapter in ADAPTERS
        and spec.grippers[0].command.interface in GRIPPERS
    )
    assert bool(why_not(spec)) != there


def test_configuring_says_so_and_stays_unconfigured():
    context = rclpy.Context()
    rclpy.init(context=context)
    node = ControllerNode(
        context=context,
        cli_args=["--ros-args", "-p", f"robot:={ROBOTS / 'dobot.yaml'}", "-p", "hardware:=true"],
    )
    try:
        with pytest.raises(A1Error, match=r"dobot\.yaml: adapter 'servo_j' .* is not part"):
            node.on_configured()
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
