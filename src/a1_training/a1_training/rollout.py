"""Closed-loop episodes without ROS: quick figures while training, never the reported ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from a1_core.observation import Observation
from a1_core.policy import ExitSetting, Policy
from a1_world.drive import Driver
from a1_world.sample import look, rows_from_actions
from a1_world.tasks import Task
from a1_world.world import World

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
    replan_s: float = 0.3,
    on_observation: Callable[[Observation], None] = lambda observation: None,
) -> EpisodeResult:
    """Plays one task from a freshly reset world.

    `Driver` fades from plan to plan, but has neither the splices nor the limits of the real
    controller, so figures differ a little from the node's.

    Args:
        replan_s: simulated time between observations.
    """
    policy.reset()
    driver = Driver(world)
    exits: list[int] = []
    start_s = world.time_s
    while not (world.success() or world.failed()) and world.time_s - start_s < timeout_s:
        observation = observe(world, task.instruction)
        on_observation(observation)
        output = policy.act(observation, setting=setting)
        exits.append(output.trace.exit_layer)
        driver.play(rows_from_actions(output.actions_HD, observation.state_D), replan_s)
    outcome = "success" if world.success() else "failed" if world.failed() else "timeout"
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
        images=look(world),
        state_D=world.state_D,
        instruction=instruction,
    )


def summary(results: Iterable[EpisodeResult]) -> dict[str, float]:
    """Fractions of each outcome."""
    counts = Counter(result.outcome for result in results)
    total = sum(counts.values())
    return {name: counts[name] / total for name in ("success", "failed", "timeout")}
