"""The recorder's parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from a1_recorder.bag_writer import COMPRESSIONS
from a1_ros.parameters import Change, ParameterSpec

SPECS = (
    ParameterSpec(
        name="robot",
        default="",
        description="File of the robot spec (config/robots/*.yaml)",
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="folder",
        default="recordings",
        description="Folder of the bags, on this machine",
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="operator",
        default="",
        description="Who records; goes into every bag",
    ),
    ParameterSpec(
        name="instruction",
        default="",
        description="What to do in the next episode, where StartRecording does not say it",
    ),
    ParameterSpec(
        name="driver",
        default="teleop",
        description="Who or what drives, where StartRecording does not say it",
    ),
    ParameterSpec(
        name="extra_topics",
        default=[""],
        description="Topics to record besides those of the robot and of A1",
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="compression",
        default="zstd",
        description="Compression within the MCAP file",
        choices=tuple(COMPRESSIONS),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="chunk_kb",
        default=1024,
        description="A chunk of the file is written when it is so long [kB]",
        range=(16, 65536),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="flush_period",
        default=0.25,
        description="A chunk is written after this time at the latest [s]: what a kill can cost",
        range=(0.05, 1.0),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="queue_mb",
        default=256,
        description="Memory for messages that wait for the disk [MB]; more are dropped",
        range=(1, 65536),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="reserve_mb",
        default=500,
        description="Recording stops when no more is left on the disk [MB]",
        range=(0, 10_000_000),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="pedal.topic",
        default="joy",
        description="sensor_msgs/Joy of a foot pedal or joystick; empty: none",
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="pedal.start_stop",
        default=0,
        description="Its button that starts and stops; -1: none",
        range=(-1, 255),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="pedal.success",
        default=1,
        description="Its button that stops and labels a success; -1: none",
        range=(-1, 255),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="pedal.failure",
        default=2,
        description="Its button that stops and labels a failure; -1: none",
        range=(-1, 255),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="pedal.discard",
        default=3,
        description="Its button that throws the episode away; -1: none",
        range=(-1, 255),
        change=Change.UNCONFIGURED,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The parameters' values; units as in SPECS, a dot in a name is an underscore here."""

    robot: str
    folder: str
    operator: str
    instruction: str
    driver: str
    extra_topics: tuple[str, ...]
    compression: str
    chunk_kb: int
    flush_period: float
    queue_mb: int
    reserve_mb: int
    pedal_topic: str
    pedal_start_stop: int
    pedal_success: int
    pedal_failure: int
    pedal_discard: int


def settings_from(values: Mapping[str, Any]) -> Settings:
    """The settings of parameter values by name."""
    fields = {name.replace(".", "_"): value for name, value in values.items()}
    return Settings(**{**fields, "extra_topics": tuple(fields["extra_topics"])})
