"""What every policy offers: an observation in, a chunk of actions and a trace out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import A1Error
from a1_core.exit_rule import Thresholds
from a1_core.observation import Observation
from a1_core.prefix import Prefix

ExitMode = Literal["adaptive", "fixed", "full"]


class ExitReason(IntEnum):
    """Why inference left where it did; values are the wire's (ExitState.reason)."""

    CONVERGED = 0
    LAST_EXIT = 1
    DEADLINE = 2
    FIXED = 3
    FULL = 4


@dataclass(frozen=True, kw_only=True)
class ExitSetting:
    """How exits are chosen: by thresholds, at one block (index from 0), or at full depth."""

    mode: ExitMode
    fixed_exit: int | None = None
    thresholds: Thresholds | None = None

    def __post_init__(self) -> None:
        if self.mode not in ("adaptive", "fixed", "full"):
            raise A1Error(f"exit mode is '{self.mode}'; use adaptive, fixed or full")
        if self.mode == "adaptive" and self.thresholds is None:
            raise A1Error("exit mode adaptive needs thresholds: calibrate, or use fixed or full")
        if self.mode == "fixed" and self.fixed_exit is None:
            raise A1Error("exit mode fixed needs fixed_exit, a block index from 0")


@dataclass(frozen=True, kw_only=True)
class ExitTrace:
    """Where one inference left the network and what it cost.

    `exit_layer` counts from 1, `exit_index` from 0 into the list of exits. Fractions are of full
    depth, [0, 1]. `discrepancy` and `threshold` are NaN where there was none. The three tuples run
    over the exits evaluated (indices into the list of exits).
    """

    exit_layer: int
    num_layers: int
    exit_index: int
    depth_fraction: float
    flops_fraction: float
    discrepancy: float
    threshold: float
    reason: ExitReason
    preprocess_ms: float
    vision_ms: float
    backbone_ms: float
    head_ms: float
    total_ms: float
    exits_evaluated: tuple[int, ...]
    discrepancies: tuple[float, ...]
    thresholds: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class PolicyOutput:
    """actions_HD: float32 [H, D], robot units, the policy's action space; gripper 0..1 absolute.

    end_of_substep: score [0, 1] that the sub-step is done, or will be before the next row is due.
    """

    actions_HD: NDArray[np.float32]
    end_of_substep: float
    trace: ExitTrace


class Policy(Protocol):
    """Anything that can act. Not safe for use by several threads at once."""

    def reset(self) -> None:
        """Forget everything about the episode."""

    def act(
        self,
        observation: Observation,
        *,
        setting: ExitSetting,
        deadline_s: float | None = None,
        prefix: Prefix | None = None,
    ) -> PolicyOutput:
        """One chunk for one observation; with `deadline_s` (seconds from the call) the best
        chunk that was ready by then, with `prefix` one that goes on from its rows.

        The audit calls again for observations of before, at full depth and between others: no
        call may change what a later one gives, but `reset`.
        """
