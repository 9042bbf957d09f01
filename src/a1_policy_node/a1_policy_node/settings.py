"""The policy node's parameters, and which of them may change while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from a1_ros.parameters import ROBOT, Change, ParameterSpec

MODES = ("adaptive", "fixed", "full")
EXECUTIONS = ("real_time", "asynchronous", "ensemble", "synchronous")

SPECS = (
    ROBOT,
    ParameterSpec(
        name="checkpoint",
        default="",
        description="Directory of the checkpoint",
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="thresholds",
        default="",
        description="Thresholds file written by calibration; empty: none, so full depth",
    ),
    ParameterSpec(
        name="mode",
        default="adaptive",
        description="How the exit is chosen: by thresholds, always the same one, or full depth",
        choices=MODES,
    ),
    ParameterSpec(
        name="fixed_exit",
        default=0,
        description="Block of mode fixed, one of the checkpoint's exits",
        range=(0, 1000),
    ),
    ParameterSpec(
        name="deadline_ms",
        default=0.0,
        description="Time budget of one inference [ms]; 0: none",
        range=(0.0, 60_000.0),
    ),
    ParameterSpec(
        name="replan_period",
        default=0.3,
        description="Least time between the observations of two chunks [s], node's clock",
        range=(0.01, 60.0),
    ),
    ParameterSpec(
        name="execution",
        default="asynchronous",
        description="How chunks follow each other: real_time, made around the rows that are "
        "executed meanwhile; asynchronous, made freely; ensemble, averaged with those before; "
        "synchronous, made once the arm rests",
        choices=EXECUTIONS,
    ),
    ParameterSpec(
        name="soft_rows",
        default=4,
        description="Rows behind the committed ones over which real_time lets go of the old plan",
        range=(0, 1000),
    ),
    ParameterSpec(
        name="ensemble_decay",
        default=0.01,
        description="Weight of the i-th oldest prediction in an ensemble is exp(-decay * i)",
        range=(-10.0, 10.0),
    ),
    ParameterSpec(
        name="lockstep",
        default=False,
        description="Acknowledge every camera tick to the lock-stepped simulator",
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="threads",
        default=1,
        description="CPU threads of the model",
        range=(1, 256),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="end_probability",
        default=0.5,
        description="End-of-substep probability from which a chunk votes to move on",
        range=(0.0, 1.0),
    ),
    ParameterSpec(
        name="end_votes",
        default=2,
        description="Chunks in a row that must vote to move on",
        range=(1, 1000),
    ),
    ParameterSpec(
        name="blocked_after",
        default=3.0,
        description="A task ends as BLOCKED when the controller refuses its chunks this long [s]",
        range=(0.1, 3600.0),
    ),
    ParameterSpec(
        name="audit_fraction",
        default=0.1,
        description="Share of the chunks that are compared with full depth after they are out, "
        "where the thresholds carry a certificate; 0: no audit",
        range=(0.0, 1.0),
    ),
    ParameterSpec(
        name="audit_alpha",
        default=0.05,
        description="How likely a false alarm of the audit may be while one setting is in force",
        range=(1e-6, 0.5),
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="audit_folder",
        default="",
        description="Folder in which audits are kept over restarts; empty: they begin anew",
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="forward_kinematics",
        default="",
        description="module:function that makes tip position [3] (m) from arm joints (rad), for "
        "the audit of certificates about the tool tip",
        change=Change.UNCONFIGURED,
    ),
    ParameterSpec(
        name="thumbnail_rate",
        default=1.0,
        description="Rate of the thumbnails [Hz]; 0: none",
        range=(0.0, 30.0),
        change=Change.UNCONFIGURED,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The parameters' values; names and units as in SPECS."""

    robot: str
    checkpoint: str
    thresholds: str
    mode: str
    fixed_exit: int
    deadline_ms: float
    replan_period: float
    execution: str
    soft_rows: int
    ensemble_decay: float
    lockstep: bool
    threads: int
    end_probability: float
    end_votes: int
    blocked_after: float
    audit_fraction: float
    audit_alpha: float
    audit_folder: str
    forward_kinematics: str
    thumbnail_rate: float

    @property
    def deadline_s(self) -> float | None:
        """Time budget of one inference; None: none."""
        return self.deadline_ms / 1e3 if self.deadline_ms > 0 else None


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Settings from the parameters' values by name."""
    return Settings(**values)
