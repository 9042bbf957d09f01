"""Thresholds of the shipped checkpoint, from episodes that it recorded at full depth."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from a1_core.budget import Setting, solve_budget
from a1_core.errors import ThresholdsError
from a1_core.exit_rule import Thresholds
from a1_core.observation import Observation
from a1_core.policy import ExitSetting
from a1_core.segment_costs import Budget, depth_costs
from a1_core.spec import RobotSpec, load_spec
from a1_core.thresholds_file import ThresholdsFile, write_thresholds
from a1_model.checkpoint import LoadedCheckpoint, load_checkpoint
from a1_training.rollout import run_episode
from a1_world.generate import LONGEST_EPISODE_S
from a1_world.layout import FIRST_EVAL_SEED
from a1_world.tasks import KINDS
from a1_world.world import World

# Between the layouts of training and those of evaluation: used for nothing else.
FIRST_CALIBRATION_SEED = FIRST_EVAL_SEED + 500_000
BATCH = 16
# Few leave at the first exit that can: three layers alone put a cube into the bowl in half of the
# layouts, four in nearly all. The exponential would send most ticks there.
DISTRIBUTION = "gaussian"


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


def replay(checkpoint: LoadedCheckpoint, recording: Recording, console: Console) -> NDArray:
    """Discrepancies V [K, N] of every exit on every recorded tick (paper, Eq. 7)."""
    parts = [
        checkpoint.policy.all_exits(recording.observations[start : start + BATCH]).deltas_KN
        for start in track(
            range(0, len(recording.observations), BATCH), "replaying", console=console
        )
    ]
    return np.concatenate(parts, axis=1)


def calibrate(
    checkpoint: LoadedCheckpoint,
    spec: RobotSpec,
    recording: Recording,
    depth: float,
    console: Console,
) -> ThresholdsFile:
    """Thresholds for `checkpoint` that keep a mean depth on the recorded ticks.

    Args:
        depth: largest mean share of the backbone's layers, in 0..1.

    Raises:
        ThresholdsError: not even leaving as early as possible keeps the depth, or nothing has to
            leave early for it.
    """
    config = checkpoint.config
    discrepancies_KN = replay(checkpoint, recording, console)
    setting = solve_budget(
        Budget(kind="depth", value=depth),
        discrepancies_KN,
        depth_costs(config.exits, config.backbone.layers),
        distribution=DISTRIBUTION,
    )
    if setting.parameter is None:
        raise ThresholdsError(f"depth is {depth}; that is full depth, which needs no thresholds")
    return thresholds_file(
        checkpoint, spec, setting, DISTRIBUTION, discrepancies_KN.shape[1], recording.episodes
    )


def thresholds_file(
    checkpoint: LoadedCheckpoint,
    spec: RobotSpec,
    setting: Setting,
    distribution: str,
    samples: int,
    episodes: int,
) -> ThresholdsFile:
    """A setting that was solved on so many recorded ticks, bound to what it was solved for."""
    config = checkpoint.config
    assert setting.parameter is not None
    thresholds = Thresholds(
        exits=config.exits,
        eta=tuple(float(value) for value in setting.eta_P),
        metric=config.metric,
        bindings={
            "checkpoint": checkpoint.digest,
            "normaliser": checkpoint.normaliser.digest,
            "robot_spec": spec.digest,
            "head": config.head,
            "num_steps": config.num_steps,
            "start": config.start,
        },
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


def main() -> None:
    """Console entry; see --help."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/tiny"))
    parser.add_argument("--spec", type=Path, default=Path("config/robots/franka.yaml"))
    parser.add_argument("--out", type=Path, default=Path("config/thresholds/franka_tiny.yaml"))
    parser.add_argument("--episodes", type=int, default=60)
    parser.add_argument("--depth", type=float, default=0.55, help="mean share of the layers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    spec = load_spec(arguments.spec)
    checkpoint = load_checkpoint(arguments.checkpoint, spec)
    recording = record(checkpoint, arguments.episodes, console)
    console.print(
        f"full depth: {recording.successes} of {recording.episodes} episodes succeeded, "
        f"{len(recording.observations)} ticks"
    )
    file = calibrate(checkpoint, spec, recording, arguments.depth, console)
    write_thresholds(arguments.out, file)
    shares = np.asarray(file.realised_rates) @ (np.asarray(file.thresholds.exits) + 1)
    console.print(
        f"{arguments.out}: c {file.parameter}, mean depth "
        f"{shares / checkpoint.config.backbone.layers:.3f} of full"
    )


if __name__ == "__main__":
    main()
