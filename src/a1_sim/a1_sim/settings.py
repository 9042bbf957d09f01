"""The simulator's parameters."""

from collections.abc import Mapping
from typing import Any

from a1_core.errors import A1Error
from a1_ros.parameters import ROBOT, Change, ParameterSpec
from a1_world.cameras import Mount
from a1_world.sample import CAMERAS


def _mount_specs(camera: str) -> tuple[ParameterSpec, ...]:
    name = f"camera.{camera}"
    return (
        ParameterSpec(
            name=f"{name}.shift",
            default=[0.0, 0.0, 0.0],
            description=f"How far off camera {camera} hangs: right, up, back in its own axes [m]",
            change=Change.UNCONFIGURED,
        ),
        ParameterSpec(
            name=f"{name}.turn",
            default=[0.0, 0.0, 0.0],
            description="How far it is turned about the same axes, one after the other [rad]",
            change=Change.UNCONFIGURED,
        ),
        ParameterSpec(
            name=f"{name}.exposure",
            default=1.0,
            description="What the brightness of its pictures is multiplied by",
            range=(0.05, 20.0),
            change=Change.UNCONFIGURED,
        ),
    )


SPECS = (
    ROBOT,
    ParameterSpec(
        name="lockstep",
        default=False,
        description="Wait for policy and controller at every tick instead of pacing by wall time",
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="lockstep_nodes",
        default=["policy", "controller"],
        description="Who has to acknowledge ticks",
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="lockstep_timeout",
        default=2.0,
        description="Wall time after which a missing acknowledgement is done without [s]",
        range=(0.05, 60.0),
    ),
    ParameterSpec(
        name="control_period",
        default=0.02,
        description="Time between the ticks of lockstep [s]",
        range=(0.004, 0.1),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="clock_period",
        default=0.008,
        description="Time between two /clock messages in real time [s]",
        range=(0.004, 0.05),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="speed",
        default=1.0,
        description="Simulated seconds a second without lockstep, for a machine that is too slow",
        range=(0.01, 1.0),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="camera_period",
        default=0.1,
        description="Time between two pictures of a camera [s]",
        range=(0.02, 10.0),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="update_rate",
        default=1000,
        description="Rate of the simulated trajectory controller [Hz]",
        range=(50, 1000),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="image_size",
        default=128,
        description="Side of the square pictures [px]",
        range=(32, 1024),
        change=Change.UNCONFIGURED,
    ),
    *(spec for camera in CAMERAS for spec in _mount_specs(camera)),
    ParameterSpec(
        name="seed",
        default=0,
        description="Seed of the layout and task that are there at start",
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="expert",
        default=False,
        description="Publish the scripted expert's chunks (source SCRIPT) while an episode runs",
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="expert_period",
        default=0.3,
        description="Time between two chunks of the expert [s], a multiple of camera_period",
        range=(0.05, 5.0),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="fault.cameras_frozen",
        default=[""],
        description="Cameras that repeat their last picture with new stamps",
    ),
    ParameterSpec(
        name="fault.cameras_silent",
        default=[""],
        description="Cameras that publish nothing",
    ),
    ParameterSpec(
        name="fault.joint_states_silent",
        default=False,
        description="No joint states are published",
    ),
    ParameterSpec(
        name="fault.clock_offset_s",
        default=0.0,
        description="Added to the clock that everybody reads; every change is a jump of it [s]",
        range=(0.0, 3600.0),
    ),
)


def mounts_from(values: Mapping[str, Any]) -> dict[str, Mount]:
    """How the cameras hang, by parameter values; A1Error names a camera whose values are off."""
    mounts = {}
    for camera in CAMERAS:
        told = {part: values[f"camera.{camera}.{part}"] for part in ("shift", "turn", "exposure")}
        try:
            mounts[camera] = Mount(
                shift_m=tuple(told["shift"]),
                turn_rad=tuple(told["turn"]),
                exposure=told["exposure"],
            )
        except A1Error as error:
            raise A1Error(f"parameters camera.{camera}: {error}") from None
    return mounts
