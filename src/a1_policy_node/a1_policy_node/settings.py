"""The policy node's parameters, and which of them may change while it runs."""

from dataclasses import dataclass

from a1_core.prefix import SOFT_ROWS
from a1_ros.parameters import fixed, parameter, robot_parameter

MODES = ("adaptive", "fixed", "full")
EXECUTIONS = ("real_time", "asynchronous", "ensemble", "synchronous")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The parameters and their values."""

    robot: str = robot_parameter()
    checkpoint: str = fixed("", "Directory of the checkpoint")
    thresholds: str = parameter(
        "", "Thresholds file written by calibration; empty: none, so full depth"
    )
    mode: str = parameter(
        "adaptive",
        "How the exit is chosen: by thresholds, always the same one, or full depth",
        choices=MODES,
    )
    fixed_exit: int = parameter(
        0, "Block of mode fixed, one of the checkpoint's exits", range=(0, 1000)
    )
    deadline_ms: float = parameter(
        0.0, "Time budget of one inference [ms]; 0: none", range=(0.0, 60_000.0)
    )
    replan_period: float = parameter(
        0.3,
        "Least time between the observations of two chunks [s], node's clock",
        range=(0.01, 60.0),
    )
    execution: str = parameter(
        "asynchronous",
        "How chunks follow each other: real_time, made around the rows that are executed "
        "meanwhile; asynchronous, made freely; ensemble, averaged with those before; synchronous, "
        "made once the arm rests",
        choices=EXECUTIONS,
    )
    soft_rows: int = parameter(
        SOFT_ROWS,
        "Rows behind the committed ones over which real_time lets go of the old plan",
        range=(0, 1000),
    )
    warm_start: bool = parameter(
        False,
        "Begin a chunk's flow at the plan in execution, with noise added again, instead of at "
        "noise alone; needs the flow-matching head",
    )
    executed_rows: int = parameter(
        0,
        "First rows of a chunk that synchronous plays before it asks for the next one, at least 2, "
        "since row 0 is where the arm is; 0: all",
        range=(0, 1000),
    )
    ensemble_decay: float = parameter(
        0.01,
        "Weight of the i-th oldest prediction in an ensemble is exp(-decay * i)",
        range=(-10.0, 10.0),
    )
    lockstep: bool = fixed(False, "Acknowledge every camera tick to the lock-stepped simulator")
    threads: int = fixed(1, "CPU threads of the model", range=(1, 256))
    device: str = fixed("cpu", "Where the model runs, as torch calls it, e.g. cuda or cuda:1")
    compile: bool = fixed(
        False,
        "Compile the model's segments when it is loaded, which takes a minute; chunks "
        "stay equal up to rounding",
    )
    end_probability: float = parameter(
        0.5, "Score from which a chunk says that its sub-step is done", range=(0.0, 1.0)
    )
    end_votes: int = parameter(
        2,
        "Chunks in a row that must say so before the next sub-step begins, or the task succeeds; "
        "1: the first, however short its peak",
        range=(1, 1000),
    )
    blocked_after: float = parameter(
        3.0,
        "A task ends as BLOCKED when the controller refuses its chunks this long [s]; an "
        "instruction without end waits while the controller is only disarmed",
        range=(0.1, 3600.0),
    )
    audit_fraction: float = parameter(
        0.1,
        "Share of the chunks, one of a task at least, that are compared with full depth after "
        "they are out, where the thresholds carry a certificate; 0: no audit",
        range=(0.0, 1.0),
    )
    audit_alpha: float = fixed(
        0.05,
        "How likely a false alarm of the audit may be while one setting is in force",
        range=(1e-6, 0.5),
    )
    audit_folder: str = fixed(
        "", "Folder in which audits are kept over restarts; empty: they begin anew"
    )
    thumbnail_rate: float = fixed(1.0, "Rate of the thumbnails [Hz]; 0: none", range=(0.0, 30.0))

    @property
    def deadline_s(self) -> float | None:
        """Time budget of one inference; None: none."""
        return self.deadline_ms / 1e3 if self.deadline_ms > 0 else None
