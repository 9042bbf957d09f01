"""How long the pieces of a tick take on this machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from a1_core.exit_rule import discrepancy
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
        next_s: what looking at exit k as well and leaving there takes more than leaving at exit
            k - 1, all exits before looked at, [K]; 0 for the first.
        finish_s: from the signal of exit k to its chunk, [K]; 0 when the chunk is the signal.
        preprocess_ms, vision_ms: of a tick.
    """

    first_s: tuple[float, ...]
    next_s: tuple[float, ...]
    finish_s: tuple[float, ...]
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
    shape = (len(exits), repeats + 1)
    first_KR, signal_KR, finish_KR = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    stages: list[tuple[float, float]] = []
    for repeat in range(repeats + 1):
        for k, block in enumerate(exits):
            setting = ExitSetting(mode="fixed", fixed_exit=block)
            trace = policy.act(observation, setting=setting).trace
            first_KR[k, repeat] = trace.total_ms / 1e3
            stages.append((trace.preprocess_ms, trace.vision_ms))
        signal_KR[:, repeat], finish_KR[:, repeat] = _walks(policy, observation)
    first_K, signal_K, finish_K = (
        np.median(times[:, 1:], axis=1) for times in (first_KR, signal_KR, finish_KR)
    )
    next_K = signal_K + np.diff(finish_K, prepend=finish_K[0])
    next_K[0] = 0.0
    for k in range(len(exits)):
        policy.times.set_measured(-1, k, float(first_K[k]))
        if k:
            policy.times.set_measured(k - 1, k, float(signal_K[k]))
        if not policy.settings.own:
            policy.times.set_measured(k, k, float(finish_K[k]))
    preprocess_ms, vision_ms = np.median(stages[len(exits) :], axis=0)
    return Segments(
        first_s=tuple(first_K.tolist()),
        next_s=tuple(next_K.tolist()),
        finish_s=tuple(finish_K.tolist()),
        preprocess_ms=float(preprocess_ms),
        vision_ms=float(vision_ms),
    )


def _walks(policy: AdaptivePolicy, observation: Observation) -> tuple[list[float], list[float]]:
    """Seconds from the signal before to that of each exit, and from each signal to its chunk."""
    exits = len(policy.network.config.exits)
    if policy.settings.own:
        return _walk(policy, observation, exits - 1)[0], [0.0] * exits
    # A chunk may need what its signal did not, and would spare a later one: each has its own pass.
    finish_s = [_walk(policy, observation, k)[1] for k in range(exits - 1)]
    signal_s, last_s = _walk(policy, observation, exits - 1)
    return signal_s, [*finish_s, last_s]


def _walk(
    policy: AdaptivePolicy, observation: Observation, deepest: int
) -> tuple[list[float], float]:
    """A pass that looks at all exits up to `deepest` and leaves there."""
    watch = Stopwatch(policy.device, policy.clock)
    going = ExitPass(policy.network, policy.settings, policy.prepare([observation]), watch)
    times, before = [], None
    for exit_index in range(deepest + 1):
        began_s = watch.elapsed_s()
        signal_HD = going.signal(exit_index)[0].cpu().numpy()
        if before is not None:
            discrepancy(signal_HD, before, policy.network.config.metric)
        before = signal_HD
        times.append(watch.elapsed_s() - began_s if exit_index else 0.0)
    began_s = watch.elapsed_s()
    if not policy.settings.own:
        going.actions(deepest).cpu()
    return times, watch.elapsed_s() - began_s
