"""How smoothly chunks follow each other: real-time chunking against chunks played one by one.

Simulator, policy and controller are processes of their own and talk over DDS, in real time, the
controller at 100 Hz. On the same layouts the policy runs `synchronous`, when the rows of a chunk
that count as executed in calibration are played and the next chunk is asked for at rest, and
`real_time`, with the inference made slower by each of DELAYS_MS; with the longest of them also
`whole_chunks`, synchronous again, but each chunk played to its end.

Jerk is that of the commanded joint positions, as the controller reports them at each tick (third
divided difference, largest joint). Peaks are 99th percentiles over all episodes: border_jerk over
BORDER_S after chunks are taken and after their own rows begin, inside_jerk over the rest of the
motion. Not maxima, which grow with how long one looks: borders are five sixths of the time. The
largest values are told beside them.
"""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _one_node import process
from a1_msgs.msg import ActionChunk, ControllerState
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from a1_core.deviation import executed_rows
from a1_core.errors import A1Error
from a1_core.spec import load_spec
from a1_ros.times import stamp_to_ns
from a1_sim.operator_node import Operator
from a1_sim.plans import evaluation_plans
from a1_sim.records import EpisodePlan
from a1_sim.stage import spinning

DELAYS_MS = (0, 100, 300)
MODES = ("synchronous", "real_time", "whole_chunks")
RATE_HZ = 100.0
# A border is felt from when the chunk is taken, and from when its own rows begin, for this long.
BORDER_S = 0.2
PEAK = 99.0
READY_S = 300.0
# Nothing is lost while this process is busy for a while.
EVERY = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
POLICY = "_one_node:DelayedPolicyNode"


class Plan(NamedTuple):
    """When the controller went over to a chunk, when its own rows begin, when it rests (s)."""

    taken_s: float
    own_s: float
    rests_s: float


@dataclass(kw_only=True)
class Heard:
    """One episode, as the controller tells it."""

    time_s: list[float] = field(default_factory=list)
    mode: list[int] = field(default_factory=list)
    q_KJ: list[NDArray[np.float64]] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)


class Listener(Node):
    """Every controller state and plan; `cut` gives what was heard since the last one."""

    def __init__(self, arm: int) -> None:
        super().__init__("listener", start_parameter_services=False)
        self._arm = arm
        self._heard = Heard()
        self._committed_s: dict[int, float] = {}
        self.create_subscription(ControllerState, "a1/controller_state", self._on_state, EVERY)
        self.create_subscription(ActionChunk, "a1/chunk", self._on_chunk, EVERY)
        self.create_subscription(ActionChunk, "a1/plan", self._on_plan, EVERY)

    def cut(self) -> Heard:
        heard, self._heard = self._heard, Heard()
        return heard

    def _on_state(self, msg: ControllerState) -> None:
        self._heard.time_s.append(stamp_to_ns(msg.header.stamp) / 1e9)
        self._heard.mode.append(msg.mode)
        self._heard.q_KJ.append(np.array(msg.position[: self._arm]))

    def _on_chunk(self, msg: ActionChunk) -> None:
        begin_ns = stamp_to_ns(msg.header.stamp) + msg.committed_rows * stamp_to_ns(msg.period)
        self._committed_s[msg.seq] = begin_ns / 1e9

    def _on_plan(self, msg: ActionChunk) -> None:
        if msg.seq:
            taken_s = stamp_to_ns(msg.header.stamp) / 1e9
            rests_s = taken_s + (msg.horizon - 1) * stamp_to_ns(msg.period) / 1e9
            own_s = max(taken_s, self._committed_s.get(msg.seq, taken_s))
            self._heard.plans.append(Plan(taken_s=taken_s, own_s=own_s, rests_s=rests_s))


def jerk(time_K: NDArray[np.float64], q_KJ: NDArray[np.float64]) -> tuple[Any, Any]:
    """Times [K - 3] and the largest joint's jerk [K - 3] (rad/s3), by divided differences."""
    change = q_KJ
    for order in (1, 2, 3):
        change = order * np.diff(change, axis=0) / (time_K[order:] - time_K[:-order])[:, None]
    return (time_K[1:-2] + time_K[2:-1]) / 2.0, np.abs(change).max(axis=1)


@dataclass(frozen=True, kw_only=True)
class Motion:
    """One episode: chunks, rest (s) between the first one and the end, jerk (rad/s3) by tick."""

    chunks: int
    rest_s: float
    border_K: NDArray[np.float64]
    inside_K: NDArray[np.float64]


def look(heard: Heard) -> Motion:
    """The motion that was heard.

    The start from rest and what follows it are no border between two chunks, and count as neither.
    What was on its way when the episode before ended comes while the arm is disarmed, and is passed
    over.
    """
    time_K, kept = np.unique(np.array(heard.time_s), return_index=True)
    mode_K, q_KJ = np.array(heard.mode)[kept], np.array(heard.q_KJ)[kept]
    armed_K = mode_K != ControllerState.DISARMED
    armed_s = time_K[armed_K].min(initial=np.inf)
    plans = [plan for plan in heard.plans if plan.taken_s >= armed_s]
    if not plans:
        raise A1Error("an episode went by without a plan on a1/plan: the policy sent no chunk")
    time_K, mode_K, q_KJ = (array[armed_K] for array in (time_K, mode_K, q_KJ))
    first_s = plans[0].taken_s
    holds_K = (mode_K == ControllerState.HOLD) & (time_K > first_s + 2.0 / RATE_HZ)
    rest_s = float(np.diff(time_K, append=time_K[-1])[holds_K].sum())
    at_s, jerk_K = jerk(time_K, q_KJ)
    border_K, skipped_K = np.zeros(len(at_s), bool), at_s < first_s
    rests_s = 0.0
    for plan in plans:
        felt_K = np.zeros(len(at_s), bool)
        for begin_s in (plan.taken_s, plan.own_s):
            felt_K |= (at_s > begin_s - 2.0 / RATE_HZ) & (at_s < begin_s + BORDER_S)
        if plan.taken_s >= rests_s:
            skipped_K |= felt_K | ((at_s > rests_s) & (at_s < plan.taken_s))
        else:
            border_K |= felt_K
        rests_s = plan.rests_s

    return Motion(
        chunks=len(plans),
        rest_s=rest_s,
        border_K=jerk_K[border_K & ~skipped_K],
        inside_K=jerk_K[~border_K & ~skipped_K],
    )


def measure(spec: Path, checkpoint: Path, out: Path, count: int) -> dict[str, Any]:
    """The figures, and `episodes`: a record of each."""
    executed = executed_rows(load_spec(spec))
    common = {"robot": str(spec)}
    nodes = {
        "a1_sim.node:SimNode": {**common, "clock_period": 1.0 / RATE_HZ},
        "a1_controllers.node:ControllerNode": {
            **common,
            "use_sim_time": True,
            "hardware": False,
            "rate_hz": RATE_HZ,
        },
        POLICY: {
            **common,
            "use_sim_time": True,
            "checkpoint": str(checkpoint),
            "thumbnail_rate": 0.0,
            "mode": "full",
        },
    }
    records, motions = [], []
    with ExitStack() as stack:
        for number, (node, parameters) in enumerate(nodes.items()):
            stack.enter_context(process(node, parameters, out / f"{number}.log"))
        spin = stack.enter_context(spinning())
        operator = spin(Operator())
        operator.watch_controller()
        listener = spin(Listener(arm=7))
        operator.wait_ready(timeout_s=READY_S)
        operator.let_the_world_judge()
        for delay_ms, mode in _cases():
            real_time = mode == "real_time"
            operator.set_policy(
                execution="real_time" if real_time else "synchronous",
                executed_rows=executed if mode == "synchronous" else 0,
                added_delay=delay_ms / 1e3,
            )
            for plan in plans(count):
                listener.cut()
                record = operator.run(plan)
                motion = look(listener.cut())
                if real_time:
                    motions.append(motion)
                records.append(
                    {
                        "mode": mode,
                        "delay_ms": delay_ms,
                        "seed": plan.seed,
                        "success": record.success,
                        "seconds": round(record.elapsed_s, 2),
                        "clock_rate": round(record.clock_rate, 3),
                        "refused": record.refused,
                        "rest_s": round(motion.rest_s, 3),
                        "chunks": motion.chunks,
                        "border_jerk_max": round(motion.border_K.max(initial=0.0), 3),
                        "inside_jerk_max": round(motion.inside_K.max(initial=0.0), 3),
                    }
                )
    return {**rows(records, motions), "episodes": records}


def _cases() -> Iterator[tuple[int, str]]:
    for delay_ms, mode in itertools.product(DELAYS_MS, MODES):
        if mode != "whole_chunks" or delay_ms == max(DELAYS_MS):
            yield delay_ms, mode


def plans(count: int) -> list[EpisodePlan]:
    """The tasks that take many chunks."""
    return list(evaluation_plans("bowl", count))


def rows(records: list[dict[str, Any]], motions: list[Motion]) -> dict[str, float]:
    """The figures; `motions` are those of real time, times and successes means over layouts."""

    def mean(name: str, mode: str, delays: tuple[int, ...] = DELAYS_MS) -> float:
        chosen = [r[name] for r in records if r["mode"] == mode and r["delay_ms"] in delays]
        return float(np.mean(chosen))

    slowest = (max(DELAYS_MS),)
    border_K = np.concatenate([motion.border_K for motion in motions])
    inside_K = np.concatenate([motion.inside_K for motion in motions])
    border, inside = np.percentile(border_K, PEAK), np.percentile(inside_K, PEAK)
    real_time_s = mean("seconds", "real_time", slowest)
    figures = {
        "rest_between_chunks_s": mean("rest_s", "real_time"),
        "rest_between_whole_chunks_s": mean("rest_s", "whole_chunks", slowest),
        "border_jerk_ratio": border / inside,
        "border_jerk_rad_s3": border,
        "inside_jerk_rad_s3": inside,
        "border_jerk_max_rad_s3": border_K.max(),
        "inside_jerk_max_rad_s3": inside_K.max(),
        "share_of_time_at_borders": len(border_K) / (len(border_K) + len(inside_K)),
        "task_time_ratio": real_time_s / mean("seconds", "synchronous", slowest),
        "task_time_ratio_whole_chunks": real_time_s / mean("seconds", "whole_chunks", slowest),
        "success_change": mean("success", "real_time") - mean("success", "synchronous"),
        "clock_rate": float(np.mean([r["clock_rate"] for r in records])),
        "layouts": float(len(records) / len(list(_cases()))),
    }
    for delay_ms, mode in _cases():
        figures[f"seconds_{mode}_{delay_ms}_ms"] = mean("seconds", mode, (delay_ms,))
        figures[f"success_{mode}_{delay_ms}_ms"] = mean("success", mode, (delay_ms,))
    return {name: round(float(value), 4) for name, value in figures.items()}
