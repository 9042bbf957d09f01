"""The teleop node's parameters, and what is made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from a1_core.errors import A1Error
from a1_recorder.teleop.controls import TIP_AXES, Layout
from a1_ros.parameters import fixed

BUTTONS = (-1, 255)
STEER = ("tip", "joints", "leader")


SPECS = (
    fixed("robot", "", "File of the robot spec (config/robots/*.yaml)"),
    fixed("steer", "tip", "What the controls move", choices=STEER),
    fixed(
        "inverse_kinematics",
        "",
        "module:function that makes the arm's kinematics (tip_pose, step_towards), for steer tip; "
        "empty: the kinematics of the robot spec",
    ),
    fixed("rate_hz", 20.0, "Chunks a second while driving", range=(5.0, 50.0)),
    fixed("tip_speed", 0.15, "Tip at full deflection [m/s]", range=(0.001, 1.0)),
    fixed("tip_turn", 0.6, "Turn of the tip at full deflection [rad/s]", range=(0.001, 3.0)),
    fixed(
        "joint_share",
        0.2,
        "Share of the velocity limits that a joint has at full deflection",
        range=(0.001, 1.0),
    ),
    fixed(
        "velocity_share",
        0.5,
        "Share of the velocity limits that nothing asked for exceeds",
        range=(0.001, 1.0),
    ),
    fixed(
        "acceleration_share",
        0.35,
        "Share of the acceleration limits that starts and stops use",
        range=(0.01, 1.0),
    ),
    fixed("joy.topic", "joy", "sensor_msgs/Joy; empty: none"),
    fixed("joy.timeout", 0.3, "Silence that counts as letting go [s]", range=(0.05, 2.0)),
    fixed("joy.dead_zone", 0.1, "Deflections below count as none", range=(0.0, 0.9)),
    fixed("joy.deadman", 4, "Button to hold while driving; -1: none", range=BUTTONS),
    fixed("joy.take_over", 5, "Button to hold while correcting; -1: none", range=BUTTONS),
    fixed("joy.open", 6, "Button that opens the gripper; -1: none", range=BUTTONS),
    fixed("joy.close", 7, "Button that closes the gripper; -1: none", range=BUTTONS),
    fixed("joy.next_arm", 9, "Button that chooses the next arm; -1: none", range=BUTTONS),
    fixed(
        "joy.tip_axes",
        [1, 0, 4, 6, 7, 3],
        "Axes for x, y, z and the turns about them; -1: none",
    ),
    fixed("joy.tip_signs", [1.0] * TIP_AXES, "What those axes are multiplied by"),
    fixed("joy.joint_axes", [0, 1, 3, 4, 6, 7], "Axes for an arm's joints, in the spec's order"),
    fixed("keyboard", False, "Listen to `drive` on a1/keys; in simulation, on this machine only"),
    fixed(
        "leader.topic",
        "",
        "sensor_msgs/JointState of the leader arm, for steer leader; of two their topics with a "
        "space between",
    ),
    fixed("leader.joints", [""], "The leader's names of the arms' joints; empty: the spec's"),
    fixed("leader.signs", [1.0], "The leader's joints times this are the arm's; one: for all"),
    fixed("leader.offsets", [0.0], "Added to them [rad]; one: for all"),
    fixed("leader.relative", True, "Mirror its motion from where it was when driving began"),
    fixed(
        "leader.max_apart",
        0.2,
        "Farthest a joint may be off at the start where that is not relative [rad]",
        range=(0.0, 3.0),
    ),
    fixed("leader.timeout", 0.2, "Silence that stops the arm [s]", range=(0.02, 2.0)),
    fixed("leader.gripper", [""], "The leader's gripper joints, one an arm; empty: buttons"),
    fixed("leader.gripper_closed", [0.0], "Their positions when closed; one: for all"),
    fixed("leader.gripper_open", [1.0], "Their positions when open; one: for all"),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The parameters' values; units as in SPECS, a dot in a name is an underscore here."""

    robot: str
    steer: str
    inverse_kinematics: str
    rate_hz: float
    tip_speed: float
    tip_turn: float
    joint_share: float
    velocity_share: float
    acceleration_share: float
    joy_topic: str
    joy_timeout: float
    joy_dead_zone: float
    joy_deadman: int
    joy_take_over: int
    joy_open: int
    joy_close: int
    joy_next_arm: int
    joy_tip_axes: tuple[int, ...]
    joy_tip_signs: tuple[float, ...]
    joy_joint_axes: tuple[int, ...]
    keyboard: bool
    leader_topic: str
    leader_joints: tuple[str, ...]
    leader_signs: tuple[float, ...]
    leader_offsets: tuple[float, ...]
    leader_relative: bool
    leader_max_apart: float
    leader_timeout: float
    leader_gripper: tuple[str, ...]
    leader_gripper_closed: tuple[float, ...]
    leader_gripper_open: tuple[float, ...]

    @property
    def layout(self) -> Layout:
        """Of the joystick."""
        return Layout(
            deadman=self.joy_deadman,
            take_over=self.joy_take_over,
            open=self.joy_open,
            close=self.joy_close,
            tip_axes=self.joy_tip_axes,
            tip_signs=self.joy_tip_signs,
            joint_axes=self.joy_joint_axes,
            dead_zone=self.joy_dead_zone,
            next_arm=self.joy_next_arm,
        )


def settings_from(
    values: Mapping[str, Any], joint_names: tuple[str, ...], grippers: int
) -> Settings:
    """The settings of parameter values by name, for a robot with these joints and grippers.

    Raises A1Error for a list of the wrong length, and for a leader without a topic.
    """
    fields = {name.replace(".", "_"): value for name, value in values.items()}
    count = len(joint_names)
    for name, length in (("joy_tip_axes", TIP_AXES), ("joy_tip_signs", TIP_AXES)):
        fields[name] = _of_length(fields, name, length)
    fields["joy_joint_axes"] = tuple(fields["joy_joint_axes"])
    fields["leader_joints"] = _named(fields["leader_joints"]) or joint_names
    fields["leader_joints"] = _of_length(fields, "leader_joints", count)
    fields["leader_gripper"] = _named(fields["leader_gripper"])
    if fields["leader_gripper"]:
        fields["leader_gripper"] = _of_length(fields, "leader_gripper", grippers)
    mirrored = len(fields["leader_gripper"])
    for name, length in (
        ("leader_signs", count),
        ("leader_offsets", count),
        ("leader_gripper_closed", mirrored),
        ("leader_gripper_open", mirrored),
    ):
        if len(fields[name]) == 1:
            fields[name] = tuple(fields[name]) * length
        fields[name] = _of_length(fields, name, length)
    if fields["steer"] == "leader" and not fields["leader_topic"]:
        raise A1Error("parameter leader.topic is empty; steer leader needs its joint states")
    for gripper, closed, opened in zip(
        fields["leader_gripper"],
        fields["leader_gripper_closed"],
        fields["leader_gripper_open"],
        strict=True,
    ):
        if closed == opened:
            raise A1Error(
                f"parameters leader.gripper_closed and leader.gripper_open are both {opened} for "
                f"{gripper}; give two positions"
            )
    return Settings(**fields)


def _named(names: Sequence[str]) -> tuple[str, ...]:
    """An empty list is not known to ROS: it has one empty name."""
    return tuple(name for name in names if name)


def _of_length(fields: Mapping[str, Any], name: str, length: int) -> tuple[Any, ...]:
    values = tuple(fields[name])
    if len(values) != length:
        shown = name.replace("_", ".", 1)
        raise A1Error(f"parameter {shown} has {len(values)} entries; give {length}")
    return values
