"""How smoothly chunks follow each other: real-time chunking against chunks played one by one.

Simulator, policy and controller are processes of their own and talk over DDS, in real time, the
controller at 100 Hz. On the same layouts the policy runs `synchronous`, when each chunk is played
to its end and the next is asked for at rest, and `real_time`, with the inference made slower by
each of DELAYS_MS. Jerk is that of the commanded joint positions, as the controller reports them at
each tick (third divided difference, largest joint).
"""

import itertools
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

from a1_core.errors import A1Error
from a1_ros.times import stamp_to_ns
from a1_sim.operator_node import Operator
from a1_sim.plans import evaluation_plans
from a1_sim.records import EpisodePlan
from a1_sim.stage import spinning

DELAYS_MS = (0, 100, 300)
MODES = ("synchronous", "real_time")
RATE_HZ = 100.0
# A border is felt from when the chunk is taken, and from when its own rows begin, for this long.
BORDER_S = 0.2
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


def look(heard: Heard) -> dict[str, float]:
    """Rest (s) between the first chunk and the end, and peaks of jerk at borders and inside.

    The start from rest and what follows it are no border between two chunks, and count as neither.
    """
    if not heard.plans:
        raise A1Error("an episode went by without a plan on a1/plan: the policy sent no chunk")
    time_K, kept = np.unique(np.array(heard.time_s), return_index=True)
    mode_K, q_KJ = np.array(heard.mode)[kept], np.array(heard.q_KJ)[kept]
    first_s = heard.plans[0].taken_s
    holds_K = (mode_K == ControllerState.HOLD) & (time_K > first_s + 2.0 / RATE_HZ)
    rest_s = float(np.diff(time_K, append=time_K[-1])[holds_K].sum())
    at_s, jerk_K = jerk(time_K, q_KJ)
    border_K, skipped_K = np.zeros(len(at_s), bool), at_s < first_s
    rests_s = 0.0
    for plan in heard.plans:
        felt_K = np.zeros(len(at_s), bool)
        for begin_s in (plan.taken_s, plan.own_s):
            felt_K |= (at_s > begin_s - 2.0 / RATE_HZ) & (at_s < begin_s + BORDER_S)
        if plan.taken_s >= rests_s:
            skipped_K |= felt_K | ((at_s > rests_s) & (at_s < plan.taken_s))
        else:
            border_K |= felt_K
        rests_s = plan.rests_s

    def peak(mask_K: NDArray[np.bool_]) -> float:
        return float(jerk_K[mask_K & ~skipped_K].max(initial=0.0))

    return {
        "rest_s": rest_s,
        "border_jerk": peak(border_K),
        "inside_jerk": peak(~border_K),
        "chunks": float(len(heard.plans)),
    }


def episodes(spec: Path, checkpoint: Path, out: Path, count: int) -> list[dict[str, Any]]:
    """A record of every episode: mode, added delay, layout, success, time, rest, jerk."""
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
    records = []
    with ExitStack() as stack:
        for number, (node, parameters) in enumerate(nodes.items()):
            stack.enter_context(process(node, parameters, out / f"{number}.log"))
        spin = stack.enter_context(spinning())
        operator = spin(Operator())
        operator.watch_controller()
        listener = spin(Listener(arm=7))
        operator.wait_ready(timeout_s=READY_S)
        operator.let_the_world_judge()
        for delay_ms, mode in itertools.product(DELAYS_MS, MODES):
            operator.set_policy(execution=mode, added_delay=delay_ms / 1e3)
            for plan in plans(count):
                listener.cut()
                record = operator.run(plan)
                seen = look(listener.cut())
                records.append(
                    {
                        "mode": mode,
                        "delay_ms": delay_ms,
                        "seed": plan.seed,
                        "success": record.success,
                        "seconds": round(record.elapsed_s, 2),
                        "clock_rate": round(record.clock_rate, 3),
                        "refused": record.refused,
                        **{name: round(value, 3) for name, value in seen.items()},
                    }
                )
    return records


def plans(count: int) -> list[EpisodePlan]:
    """The tasks that take many chunks."""
    return list(evaluation_plans("bowl", count))


def rows(records: list[dict[str, Any]]) -> dict[str, float]:
    """The figures; peaks are means over episodes, times and successes over all of them."""

    def mean(name: str, mode: str, delays: tuple[int, ...] = DELAYS_MS) -> float:
        chosen = [r[name] for r in records if r["mode"] == mode and r["delay_ms"] in delays]
        return float(np.mean(chosen))

    slowest = (max(DELAYS_MS),)
    peaks = [mean(name, "real_time") for name in ("border_jerk", "inside_jerk")]
    figures = {
        "rest_between_chunks_s": mean("rest_s", "real_time"),
        "rest_between_synchronous_chunks_s": mean("rest_s", "synchronous"),
        "border_jerk_ratio": peaks[0] / peaks[1],
        "border_jerk_rad_s3": peaks[0],
        "inside_jerk_rad_s3": peaks[1],
        "task_time_ratio": mean("seconds", "real_time", slowest)
        / mean("seconds", "synchronous", slowest),
        "success_change": mean("success", "real_time") - mean("success", "synchronous"),
        "clock_rate": float(np.mean([r["clock_rate"] for r in records])),
    }
    for delay_ms, mode in itertools.product(DELAYS_MS, MODES):
        figures[f"seconds_{mode}_{delay_ms}_ms"] = mean("seconds", mode, (delay_ms,))
        figures[f"success_{mode}_{delay_ms}_ms"] = mean("success", mode, (delay_ms,))
    return {name: round(value, 4) for name, value in figures.items()}
