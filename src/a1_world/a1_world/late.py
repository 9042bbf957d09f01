"""Chunks that arrive some time after what they were observed from, as on a robot in real time."""

from __future__ import annotations

import numpy as np

from a1_core.observation import Observation
from a1_core.plan_in_hand import ToldPlan
from a1_core.prefix import SOFT_ROWS, Prefix, make_prefix
from a1_core.spec import RobotSpec
from a1_core.times import NS_PER_S
from a1_world.drive import Driver


class LateChunks:
    """Drives a world by chunks that are `latency_s` late: the plan before goes on until then.

    Without latency nothing is committed: every chunk replaces the one before.

    Args:
        driver: of the world.
        spec: whose policy's rows the chunks have.
        latency_s: simulated time from an observation until its chunk begins to be played.
    """

    def __init__(self, driver: Driver, spec: RobotSpec, latency_s: float) -> None:
        self._driver, self._spec = driver, spec
        self._latency_s = latency_s
        self._plan: ToldPlan | None = None
        self._instruction = ""

    def prefix(self, observation: Observation) -> Prefix | None:
        """What the chunk made from `observation` goes on from; None where it is free.

        Under another instruction only committed rows are kept, as the policy node does.
        """
        if self._plan is None or self._latency_s == 0.0:
            return None
        return make_prefix(
            self._plan,
            self._spec,
            stamp_ns=observation.stamp_ns,
            state_D=observation.state_D,
            delay_ns=round(self._latency_s * NS_PER_S),
            soft_rows=SOFT_ROWS if observation.instruction == self._instruction else 0,
        )

    def play(self, rows_HD: np.ndarray, observation: Observation, replan_s: float) -> None:
        """On from `observation` for the longer of `replan_s` and the latency, success or not.

        Args:
            rows_HD: absolute [H, 8], row r due r * 0.1 s after the observation; followed when the
                latency is over, the first of all at once.
        """
        began_ns, policy = observation.stamp_ns, self._spec.policy
        late_s = 0.0
        if self._plan is not None and self._latency_s > 0.0:
            late_s = self._latency_s
            since_s = (began_ns - self._plan.stamp_ns) / NS_PER_S
            self._driver.play(self._plan.rows_HD, late_s, begin_s=since_s, stop_when_over=False)
        rest_s = max(replan_s - late_s, 0.0)
        self._driver.play(rows_HD, rest_s, begin_s=late_s, stop_when_over=False)
        self._instruction = observation.instruction
        self._plan = ToldPlan(
            seq=0,
            stamp_ns=began_ns,
            period_ns=policy.period_ns,
            names=self._spec.action_names,
            rows_HD=np.asarray(rows_HD, np.float64),
        )
