"""The teleop node's parameters, and what is made of them."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from a1_core.errors import A1Error
from a1_recorder.teleop.controls import TIP_AXES, Layout
from a1_ros.parameters import fixed, robot_parameter, settings_from

BUTTONS = (-1, 255)
STEER = ("tip", "joints", "leader")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The parameters and their values."""

    robot: str = robot_parameter()
    steer: str = fixed("tip", "What the controls move", choices=STEER)
    inverse_kinematics: str = fixed(
        "",
        "module:function that makes the arm's kinematics (tip_pose, step_towards), for steer tip; "
        "empty: the kinematics of the robot spec",
    )
    rate_hz: float = fixed(20.0, "Chunks a second while driving", range=(5.0, 50.0))
    tip_speed: float = fixed(0.15, "Tip at full deflection [m/s]", range=(0.001, 1.0))
    tip_turn: float = fixed(0.6, "Turn of the tip at full deflection [rad/s]", range=(0.001, 3.0))
    joint_share: float = fixed(
        0.2, "Share of the velocity limits that a joint has at full deflection", range=(0.001, 1.0)
    )
    velocity_share: float = fixed(
        0.5, "Share of the velocity limits that nothing asked for exceeds", range=(0.001, 1.0)
    )
    acceleration_share: float = fixed(
        0.35, "Share of the acceleration limits that starts and stops use", range=(0.01, 1.0)
    )
    joy_topic: str = fixed("joy", "sensor_msgs/Joy; empty: none", name="joy.topic")
    joy_timeout: float = fixed(
        0.3, "Silence that counts as letting go [s]", name="joy.timeout", range=(0.05, 2.0)
    )
    joy_dead_zone: float = fixed(
        0.1, "Deflections below count as none", name="joy.dead_zone", range=(0.0, 0.9)
    )
    joy_deadman: int = fixed(
        4, "Button to hold while driving; -1: none", name="joy.deadman", range=BUTTONS
    )
    joy_take_over: int = fixed(
        5, "Button to hold while correcting; -1: none", name="joy.take_over", range=BUTTONS
    )
    joy_open: int = fixed(
        6, "Button that opens the gripper; -1: none", name="joy.open", range=BUTTONS
    )
    joy_close: int = fixed(
        7, "Button that closes the gripper; -1: none", name="joy.close", range=BUTTONS
    )
    joy_next_arm: int = fixed(
        9, "Button that chooses the next arm; -1: none", name="joy.next_arm", range=BUTTONS
    )
    joy_tip_axes: tuple[int, ...] = fixed(
        [1, 0, 4, 6, 7, 3],
        "Axes for x, y, z and the turns about them; -1: none",
        name="joy.tip_axes",
    )
    joy_tip_signs: tuple[float, ...] = fixed(
        [1.0] * TIP_AXES, "What those axes are multiplied by", name="joy.tip_signs"
    )
    joy_joint_axes: tuple[int, ...] = fixed(
        [0, 1, 3, 4, 6, 7], "Axes for an arm's joints, in the spec's order", name="joy.joint_axes"
    )
    keyboard: bool = fixed(
        False, "Listen to `drive` on a1/keys; in simulation, on this machine only"
    )
    leader_topic: str = fixed(
        "",
        "sensor_msgs/JointState of the leader arm, for steer leader; of two their topics with a "
        "space between",
        name="leader.topic",
    )
    leader_joints: tuple[str, ...] = fixed(
        [""], "The leader's names of the arms' joints; empty: the spec's", name="leader.joints"
    )
    leader_signs: tuple[float, ...] = fixed(
        [1.0], "The leader's joints times this are the arm's; one: for all", name="leader.signs"
    )
    leader_offsets: tuple[float, ...] = fixed(
        [0.0], "Added to them [rad]; one: for all", name="leader.offsets"
    )
    leader_relative: bool = fixed(
        True, "Mirror its motion from where it was when driving began", name="leader.relative"
    )
    leader_max_apart: float = fixed(
        0.2,
        "Farthest a joint may be off at the start where that is not relative [rad]",
        name="leader.max_apart",
        range=(0.0, 3.0),
    )
    leader_timeout: float = fixed(
        0.2, "Silence that stops the arm [s]", name="leader.timeout", range=(0.02, 2.0)
    )
    leader_gripper: tuple[str, ...] = fixed(
        [""], "The leader's gripper joints, one an arm; empty: buttons", name="leader.gripper"
    )
    leader_gripper_closed: tuple[float, ...] = fixed(
        [0.0], "Their positions when closed; one: for all", name="leader.gripper_closed"
    )
    leader_gripper_open: tuple[float, ...] = fixed(
        [1.0], "Their positions when open; one: for all", name="leader.gripper_open"
    )

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


def fitted_settings(
    values: Mapping[str, Any], joint_names: tuple[str, ...], grippers: int
) -> Settings:
    """The settings of parameter values by name, for a robot with these joints and grippers.

    Raises A1Error for a list of the wrong length, and for a leader without a topic.
    """
    given, count = settings_from(Settings, values), len(joint_names)
    _check_length("joy.tip_axes", given.joy_tip_axes, TIP_AXES)
    _check_length("joy.tip_signs", given.joy_tip_signs, TIP_AXES)
    mirrored = _named(given.leader_gripper)
    if mirrored:
        _check_length("leader.gripper", mirrored, grippers)
    fitted = dataclasses.replace(
        given,
        leader_joints=_named(given.leader_joints) or joint_names,
        leader_signs=_for_each(given.leader_signs, count),
        leader_offsets=_for_each(given.leader_offsets, count),
        leader_gripper=mirrored,
        leader_gripper_closed=_for_each(given.leader_gripper_closed, len(mirrored)),
        leader_gripper_open=_for_each(given.leader_gripper_open, len(mirrored)),
    )
    _check_length("leader.joints", fitted.leader_joints, count)
    _check_length("leader.signs", fitted.leader_signs, count)
    _check_length("leader.offsets", fitted.leader_offsets, count)
    _check_length("leader.gripper_closed", fitted.leader_gripper_closed, len(mirrored))
    _check_length("leader.gripper_open", fitted.leader_gripper_open, len(mirrored))
    if given.steer == "leader" and not given.leader_topic:
        raise A1Error("parameter leader.topic is empty; steer leader needs its joint states")
    _check_openings(fitted)
    return fitted


def _check_openings(settings: Settings) -> None:
    ends = zip(settings.leader_gripper_closed, settings.leader_gripper_open, strict=True)
    for gripper, (closed, opened) in zip(settings.leader_gripper, ends, strict=True):
        if closed == opened:
            raise A1Error(
                f"parameters leader.gripper_closed and leader.gripper_open are both {opened} for "
                f"{gripper}; give two positions"
            )


def _named(names: Sequence[str]) -> tuple[str, ...]:
    """An empty list is not known to ROS: it has one empty name."""
    return tuple(name for name in names if name)


def _for_each(entries: tuple[float, ...], count: int) -> tuple[float, ...]:
    return entries * count if len(entries) == 1 else entries


def _check_length(name: str, entries: tuple[Any, ...], length: int) -> None:
    if len(entries) != length:
        raise A1Error(f"parameter {name} has {len(entries)} entries; give {length}")
