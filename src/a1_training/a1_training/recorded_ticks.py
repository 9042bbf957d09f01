"""Ticks of full-depth episodes, recorded without ROS, and thresholds of one setting on them.

For comparing many settings on the same ticks; thresholds to run a robot with come from bags
(`a1_calibration`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from a1_core.budget import Setting
from a1_core.exit_rule import Thresholds
from a1_core.observation import Observation
from a1_core.policy import ExitSetting
from a1_core.spec import RobotSpec
from a1_core.thresholds_file import ThresholdsFile, bindings_of
from a1_model.checkpoint import LoadedCheckpoint
from a1_training.rollout import run_episode
from a1_world.generate import LONGEST_EPISODE_S
from a1_world.layout import FIRST_EVAL_SEED
from a1_world.tasks import KINDS
from a1_world.world import World

# Between the layouts of training and those of evaluation.
FIRST_CALIBRATION_SEED = FIRST_EVAL_SEED + 500_000
BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Observations of full-depth episodes and how many of these succeeded."""

    observations: list[Observation]
    episodes: int
    successes: int


def record(checkpoint: LoadedCheckpoint, episodes: int, console: Console) -> Recording:
    """Plays episodes of all kinds at full depth and keeps what the policy saw."""
    observations: list[Observation] = []
    successes = 0
    full = ExitSetting(mode="full")
    with World() as world:
        for number in track(range(episodes), "recording", console=console):
            kind = KINDS[number % len(KINDS)]
            seed = FIRST_CALIBRATION_SEED + number
            task = world.reset(seed, kind=kind, colour_index=number % 3)
            result = run_episode(
                world,
                checkpoint.policy,
                task,
                seed,
                setting=full,
                timeout_s=LONGEST_EPISODE_S[kind],
                on_observation=observations.append,
            )
            successes += result.outcome == "success"
    return Recording(observations=observations, episodes=episodes, successes=successes)


def replay(
    checkpoint: LoadedCheckpoint, recording: Recording, metric: str, console: Console
) -> NDArray:
    """Discrepancies V [K, N] of every exit on every recorded tick (paper, Eq. 7)."""
    parts = [
        checkpoint.policy.all_exits(recording.observations[start : start + BATCH], metric).deltas_KN
        for start in track(
            range(0, len(recording.observations), BATCH), "replaying", console=console
        )
    ]
    return np.concatenate(parts, axis=1)


def thresholds_file(
    checkpoint: LoadedCheckpoint,
    spec: RobotSpec,
    setting: Setting,
    metric: str,
    distribution: str,
    samples: int,
    episodes: int,
) -> ThresholdsFile:
    """A setting that was solved on so many recorded ticks, bound to what it was solved for."""
    assert setting.parameter is not None
    thresholds = Thresholds(
        exits=checkpoint.config.exits,
        eta=tuple(float(value) for value in setting.eta_P),
        metric=metric,
        bindings=bindings_of(checkpoint, spec),
    )
    return ThresholdsFile(
        thresholds=thresholds,
        fit="mass",
        distribution=distribution,
        parameter=setting.parameter,
        samples=samples,
        episodes=episodes,
        requested_rates=setting.requested,
        realised_rates=tuple(float(rate) for rate in setting.realised_P),
        bags={},
    )
