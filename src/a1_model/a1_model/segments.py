"""How long the pieces of a tick take on this machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from a1_core.observation import Observation
from a1_core.policy import ExitSetting
from a1_model.exit_pass import ExitPass
from a1_model.policy import AdaptivePolicy
from a1_model.stopwatch import Stopwatch


@dataclass(frozen=True, kw_only=True)
class Segments:
    """Medians over the repeats; K exits in ascending order.

    Attributes:
        first_s: from the call to the chunk of exit k when no other exit is looked at, [K].
        next_s: from the chunk of exit k - 1 to that of exit k, [K]; 0 for the first.
        preprocess_ms, vision_ms: of a tick.
    """

    first_s: tuple[float, ...]
    next_s: tuple[float, ...]
    preprocess_ms: float
    vision_ms: float


@torch.inference_mode()
def measure_segments(
    policy: AdaptivePolicy, observation: Observation, repeats: int = 5
) -> Segments:
    """Runs ticks on `observation`, and tells the policy what they took.

    The first round, which allocates and warms up, is not counted.
    """
    exits = policy.network.config.exits
    first_KR = np.zeros((len(exits), repeats + 1))
    next_KR = np.zeros((len(exits), repeats + 1))
    stages: list[tuple[float, float]] = []
    for repeat in range(repeats + 1):
        for k, block in enumerate(exits):
            setting = ExitSetting(mode="fixed", fixed_exit=block)
            trace = policy.act(observation, setting=setting).trace
            first_KR[k, repeat] = trace.total_ms / 1e3
            stages.append((trace.preprocess_ms, trace.vision_ms))
        next_KR[:, repeat] = _walk(policy, observation)
    first_K, next_K = (np.median(times[:, 1:], axis=1) for times in (first_KR, next_KR))
    for k in range(len(exits)):
        policy.times.set_measured(-1, k, float(first_K[k]))
        if k:
            policy.times.set_measured(k - 1, k, float(next_K[k]))
    preprocess_ms, vision_ms = np.median(stages[len(exits) :], axis=0)
    return Segments(
        first_s=tuple(first_K.tolist()),
        next_s=tuple(next_K.tolist()),
        preprocess_ms=float(preprocess_ms),
        vision_ms=float(vision_ms),
    )


def _walk(policy: AdaptivePolicy, observation: Observation) -> list[float]:
    """Seconds of each exit of a pass that looks at all of them."""
    watch = Stopwatch(policy.device, policy.clock)
    going = ExitPass(policy.network, policy.settings, policy.prepare([observation]), watch)
    times, before = [], None
    for exit_index in range(len(policy.network.config.exits)):
        began_s = watch.elapsed_s()
        actions_HD = going.actions(exit_index)[0].cpu().numpy()
        if before is not None:
            policy.delta(actions_HD, before, policy.network.config.metric)
        before = actions_HD
        times.append(watch.elapsed_s() - began_s if exit_index else 0.0)
    return times
