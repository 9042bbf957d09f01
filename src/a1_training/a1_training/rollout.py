"""Closed-loop episodes without ROS: quick figures while training, never the reported ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from a1_core.observation import Observation
from a1_core.policy import ExitSetting, Policy
from a1_world.tasks import Task
from a1_world.world import World

CONTROL_PERIOD_S = 0.02
NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """How one episode ended.

    Attributes:
        seed: of the layout.
        outcome: `success`, `failed` (another cube was touched first) or `timeout`.
        duration_s: simulated time.
        exit_layers: one a tick.
    """

    seed: int
    instruction: str
    outcome: str
    duration_s: float
    exit_layers: tuple[int, ...]


def run_episode(
    world: World,
    policy: Policy,
    task: Task,
    seed: int,
    *,
    setting: ExitSetting,
    timeout_s: float,
    period_s: float = 0.1,
    replan_rows: int = 3,
    on_observation: Callable[[Observation], None] = lambda observation: None,
) -> EpisodeResult:
    """Plays one task from a freshly reset world.

    Rows are followed linearly, at rest neither at their ends nor between chunks; the real
    controller's splices and limits are not here, so figures differ a little from the node's.
    """
    policy.reset()
    exits: list[int] = []
    previous_D = world.state_D.astype(np.float64)
    start_s = world.time_s
    outcome = "timeout"
    while world.time_s - start_s < timeout_s and outcome == "timeout":
        observation = observe(world, task.instruction)
        on_observation(observation)
        output = policy.act(observation, setting=setting)
        exits.append(output.trace.exit_layer)
        target_HD = output.actions_HD.astype(np.float64)
        target_HD[:, :-1] += observation.state_D[:-1]
        # Row 0 is due now; what is commanded over the next period leads from it to row 1.
        for row in range(1, replan_rows + 1):
            outcome = _follow(world, previous_D, target_HD[row], period_s)
            previous_D = target_HD[row]
            if outcome != "timeout":
                break
    return EpisodeResult(
        seed=seed,
        instruction=task.instruction,
        outcome=outcome,
        duration_s=world.time_s - start_s,
        exit_layers=tuple(exits),
    )


def observe(world: World, instruction: str) -> Observation:
    """The world's cameras and joints at this moment, as the live node would assemble them."""
    return Observation(
        stamp_ns=round(world.time_s * NS),
        images={camera: world.render(camera) for camera in ("front", "wrist")},
        state_D=world.state_D,
        instruction=instruction,
    )


def summary(results: Iterable[EpisodeResult]) -> dict[str, float]:
    """Fractions of each outcome."""
    counts = Counter(result.outcome for result in results)
    total = sum(counts.values())
    return {name: counts[name] / total for name in ("success", "failed", "timeout")}


def _follow(world: World, from_D: np.ndarray, to_D: np.ndarray, period_s: float) -> str:
    steps = round(period_s / CONTROL_PERIOD_S)
    for step in range(1, steps + 1):
        wanted_D = from_D + (to_D - from_D) * step / steps
        world.set_command(wanted_D[:-1], float(np.clip(to_D[-1], 0.0, 1.0)))
        world.step(CONTROL_PERIOD_S)
        if world.success():
            return "success"
        if world.failed():
            return "failed"
    return "timeout"
