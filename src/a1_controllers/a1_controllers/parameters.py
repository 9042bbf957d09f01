"""The node's parameters, and the settings made of them."""

from dataclasses import fields
from typing import Any

from a1_controllers.settings import ControllerSettings
from a1_ros.parameters import Change, Parameters, ParameterSpec

FIXED = Change.UNCONFIGURED


def _fixed(name: str, default: Any, description: str, **kwargs: Any) -> ParameterSpec:
    return ParameterSpec(
        name=name, default=default, description=description, change=FIXED, **kwargs
    )


SPECS = (
    _fixed("robot", "", "File of the robot spec"),
    _fixed(
        "robot_address",
        "",
        "Address of a robot that is spoken to without ROS; empty: the one in its spec",
    ),
    _fixed("lockstep", False, "Acknowledge every tick to a lock-stepped simulator"),
    _fixed(
        "self_collision",
        True,
        "Refuse chunks that lead the robot into itself, where the spec names its MuJoCo model",
    ),
    _fixed("rate_hz", 50.0, "Control ticks a second", range=(50.0, 200.0)),
    _fixed("hardware", True, "false: a simulated arm, which goes on by itself after a hold"),
    _fixed("shadow", False, "Judge chunks and move nothing"),
    ParameterSpec(
        name="confirmed_limits",
        default="",
        description="First 12 digits of the robot spec's digest: the operator has read its "
        "operating limits; needed to arm hardware",
    ),
    _fixed(
        "window_s", 0.1, "Motion in each message before its braking tail [s]", range=(0.05, 1.0)
    ),
    _fixed("point_spacing_s", 0.02, "Time between points of a message [s]", range=(0.005, 0.1)),
    _fixed("hold_timeout_s", 30.0, "Hold before a real arm disarms [s]", range=(1.0, 600.0)),
    _fixed("max_clock_jump_s", 0.25, "Clock jump that brakes the arm [s]", range=(0.01, 10.0)),
    _fixed(
        "max_clock_offset_s",
        0.1,
        "Largest age of joint state stamps on arrival that allows arming [s]",
        range=(0.001, 10.0),
    ),
    _fixed(
        "max_following_error_rad",
        0.3,
        "Distance of an arm joint from its command that is a fault [rad]",
        range=(0.01, 3.0),
    ),
    _fixed(
        "max_arming_speed_rad_s",
        0.05,
        "Fastest joint that still counts as rest when arming [rad/s]",
        range=(0.001, 1.0),
    ),
    _fixed("gripper_deadband", 0.15, "Smallest change worth a gripper goal", range=(0.01, 1.0)),
    _fixed(
        "realtime_priority",
        0,
        "Real-time priority of ticks and streams (SCHED_FIFO); 0: none",
        range=(0, 99),
    ),
    _fixed("gripper_interval_s", 0.25, "Least time between gripper goals [s]", range=(0.0, 5.0)),
)


def settings_from(parameters: Parameters) -> ControllerSettings:
    """The settings that the parameters hold now."""
    return ControllerSettings(
        **{field.name: parameters[field.name] for field in fields(ControllerSettings)}
    )
