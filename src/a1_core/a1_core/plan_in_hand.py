"""The plan in execution, as the controller tells it to whoever sends it chunks.

With every change of its plan the controller says what it will do from then on: rows slowed for the
limits, the fade from the plan before and a braking are in it. From that come the rows that will
have been executed when the next chunk arrives, on that chunk's own row times; and how long chunks
have taken to arrive, the measured delay.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a1_core.chunk import ActionChunk, ActionSpace, is_gripper
from a1_core.errors import A1Error
from a1_core.motion import STILL
from a1_core.spec import RobotSpec

# The delay that is reckoned with is the longest of the last ones measured.
REMEMBERED_DELAYS = 10
REMEMBERED_CHUNKS = 8


def rows_at(
    rows_HD: NDArray[np.floating], phase_N: NDArray[np.floating], grippers_D: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Positions [N, D] at these row phases: joints between rows linearly, grippers by steps.

    Before the first row that one holds, behind the last one the last.
    """
    last = len(rows_HD) - 1
    phase_N = np.clip(phase_N, 0.0, last)
    # Rounding of times makes a phase a hair less than the row that it is.
    begun_N = (phase_N + 1e-9).astype(np.intp)
    row_N = np.minimum(begun_N, max(last - 1, 0))
    share_N1 = (phase_N - row_N)[:, None]
    after_N = np.minimum(row_N + 1, last)
    at_ND = (1.0 - share_N1) * rows_HD[row_N] + share_N1 * rows_HD[after_N]
    at_ND[:, grippers_D] = rows_HD[begun_N][:, grippers_D]
    return at_ND


@dataclass(frozen=True, kw_only=True, eq=False)
class ToldPlan:
    """What the controller plays: row r holds at stamp_ns + r * period_ns.

    Attributes:
        seq: chunk it comes from; 0 where it comes from none (braking, going home).
        rows_HD: absolute positions [H, D] (rad; grippers 0..1); the last one is kept.
    """

    seq: int
    stamp_ns: int
    period_ns: int
    names: tuple[str, ...]
    rows_HD: NDArray[np.float64]

    @classmethod
    def of(cls, chunk: ActionChunk, spec: RobotSpec) -> ToldPlan:
        """What `a1/plan` says; its rows are absolute.

        Raises A1Error for a plan of another robot or spec and for one that is no motion of joints.
        """
        wrong = {
            f"robot is '{chunk.robot}', not '{spec.robot}'": chunk.robot != spec.robot,
            "spec_digest is another; start both nodes with the same spec": chunk.spec_digest
            != spec.digest,
            f"action_space is {chunk.action_space.name}, not JOINT_POSITION": chunk.action_space
            is not ActionSpace.JOINT_POSITION,
            f"names are {list(chunk.names)}, not {list(spec.action_names)}": chunk.names
            != spec.action_names,
            f"period is {chunk.period_ns} ns": chunk.period_ns <= 0,
            "a row is not finite": not np.isfinite(chunk.actions_HD).all(),
        }
        found = [what for what, is_so in wrong.items() if is_so]
        if found:
            raise A1Error(f"plan of chunk {chunk.seq}: {found[0]}")
        return cls(
            seq=chunk.seq,
            stamp_ns=chunk.stamp_ns,
            period_ns=chunk.period_ns,
            names=chunk.names,
            rows_HD=chunk.actions_HD.astype(np.float64),
        )

    @property
    def end_ns(self) -> int:
        """When it is at rest."""
        return self.stamp_ns + self.period_ns * (len(self.rows_HD) - 1)

    @property
    def rests_ns(self) -> int:
        """When the last of it has moved; what comes then until its end is standing still."""
        moves_H = (np.abs(self.rows_HD - self.rows_HD[-1]) > STILL).any(axis=1)
        moved = np.flatnonzero(moves_H)
        return self.stamp_ns + self.period_ns * (int(moved[-1]) + 1 if len(moved) else 0)

    def rows_at(self, time_H: NDArray[np.int64]) -> NDArray[np.float64]:
        """Positions [H, D] at these times (ns)."""
        grippers_D = np.array([is_gripper(name) for name in self.names])
        return rows_at(self.rows_HD, (time_H - self.stamp_ns) / self.period_ns, grippers_D)


class PlanInHand:
    """Hears of plans and remembers when the chunks they come from were observed."""

    def __init__(self) -> None:
        self._plan: ToldPlan | None = None
        self._observed_ns: dict[int, int] = {}
        self._delays_ns: deque[int] = deque(maxlen=REMEMBERED_DELAYS)

    def note_sent(self, seq: int, stamp_ns: int) -> None:
        """Chunk `seq`, made from the observation of `stamp_ns`, goes out."""
        self._observed_ns[seq] = stamp_ns
        self._observed_ns.pop(seq - REMEMBERED_CHUNKS, None)

    def forget_sent(self) -> None:
        """Another session begins: its numbers count anew. The plan goes on, so do the delays."""
        self._observed_ns.clear()

    def note_plan(self, plan: ToldPlan, *, ours: bool) -> None:
        """The controller has gone over to a plan, made of a chunk of this session or not."""
        self._plan = plan
        observed_ns = self._observed_ns.pop(plan.seq, None) if ours else None
        if observed_ns is not None:
            self._delays_ns.append(max(0, plan.stamp_ns - observed_ns))

    def at(self, stamp_ns: int) -> ToldPlan | None:
        """The plan that moves the arm at that time; None at rest."""
        plan = self._plan
        return plan if plan is not None and stamp_ns < plan.end_ns else None

    def delay_ns(self, expected_ns: int) -> int:
        """The longest of the last delays; `expected_ns` until one was measured."""
        return max(self._delays_ns, default=expected_ns)
