"""All facts of one robot, read once from config/robots/<robot>.yaml and never guessed."""

from __future__ import annotations

from pathlib import Path

from a1_core.kinematics import Chain
from a1_core.model_spec import Finger, ModelSpec
from a1_core.robot_spec import (
    ArmSpec,
    Limits,
    OperatingLimits,
    PolicySpec,
    RobotSpec,
    Workspace,
)
from a1_core.spec_reader import read_spec
from a1_core.spec_wire import (
    CameraSpec,
    CommandSpec,
    ErrorStateSpec,
    GripperCommandSpec,
    GripperSpec,
    MadeFrom,
    StateSpec,
    StopSpec,
    StreamSpec,
)

__all__ = [
    "ArmSpec",
    "CameraSpec",
    "Chain",
    "CommandSpec",
    "ErrorStateSpec",
    "Finger",
    "GripperCommandSpec",
    "GripperSpec",
    "Limits",
    "MadeFrom",
    "ModelSpec",
    "OperatingLimits",
    "PolicySpec",
    "RobotSpec",
    "StateSpec",
    "StopSpec",
    "StreamSpec",
    "Workspace",
    "load_spec",
]


def load_spec(path: str | Path) -> RobotSpec:
    """The robot described by a YAML file.

    Raises SpecError with file, field and mend for a missing or unknown key, a wrong type, a
    number that cannot be (limits upside down, operating outside the vendor's), or joints that no
    state source delivers.
    """
    return read_spec(Path(path))
