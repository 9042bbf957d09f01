"""The recorder's parameters."""

from dataclasses import dataclass

from a1_recorder.bag_writer import COMPRESSIONS
from a1_ros.parameters import fixed, parameter, robot_parameter


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The parameters and their values."""

    robot: str = robot_parameter()
    folder: str = fixed("recordings", "Folder of the bags, on this machine")
    operator: str = parameter("", "Who records; goes into every bag")
    instruction: str = parameter(
        "", "What to do in the next episode, where StartRecording does not say it"
    )
    driver: str = parameter("teleop", "Who or what drives, where StartRecording does not say it")
    extra_topics: tuple[str, ...] = fixed(
        [""], "Topics to record besides those of the robot and of A1"
    )
    compression: str = fixed(
        "zstd", "Compression within the MCAP file", choices=tuple(COMPRESSIONS)
    )
    chunk_kb: int = fixed(
        1024, "A chunk of the file is written when it is so long [kB]", range=(16, 65536)
    )
    flush_period: float = fixed(
        0.25,
        "A chunk is written after this time at the latest [s]: what a kill can cost",
        range=(0.05, 1.0),
    )
    queue_mb: int = fixed(
        256, "Memory for messages that wait for the disk [MB]; more are dropped", range=(1, 65536)
    )
    reserve_mb: int = fixed(
        500, "Recording stops when no more is left on the disk [MB]", range=(0, 10_000_000)
    )
    pedal_topic: str = fixed(
        "joy", "sensor_msgs/Joy of a foot pedal or joystick; empty: none", name="pedal.topic"
    )
    pedal_start_stop: int = fixed(
        0, "Its button that starts and stops; -1: none", name="pedal.start_stop", range=(-1, 255)
    )
    pedal_success: int = fixed(
        1,
        "Its button that stops and labels a success; -1: none",
        name="pedal.success",
        range=(-1, 255),
    )
    pedal_failure: int = fixed(
        2,
        "Its button that stops and labels a failure; -1: none",
        name="pedal.failure",
        range=(-1, 255),
    )
    pedal_discard: int = fixed(
        3,
        "Its button that throws the episode away; -1: none",
        name="pedal.discard",
        range=(-1, 255),
    )
