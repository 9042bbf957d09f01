"""The simulator's parameters."""

from a1_ros.parameters import ROBOT, Change, ParameterSpec

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
