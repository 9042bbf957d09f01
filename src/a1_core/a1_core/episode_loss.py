"""From deviations of single ticks to one loss an episode, the unit of certificate and audit."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from a1_core.calibration import exits_taken
from a1_core.errors import ThresholdsError

TickLoss = Literal["binary", "clipped"]
EpisodeLoss = Literal["mean", "max"]
TICK_LOSSES = ("binary", "clipped")
EPISODE_LOSSES = ("mean", "max")


def tick_losses(
    deviation_XC: NDArray[np.floating], tolerance_C: Sequence[float], kind: TickLoss
) -> NDArray[np.float64]:
    """Loss of each tick [...] in [0, 1].

    Args:
        deviation_XC: how far the published chunk is from the full-depth one on the same
            observation and noise, over the executed rows, [..., C] in C units of the robot (e.g.
            metres at the tool tip and the gripper's 0..1).
        tolerance_C: what is tolerated of each.
        kind: `binary`, 1 where any is above its tolerance; `clipped`, the largest share of a
            tolerance that is used up, at most 1.

    Raises ThresholdsError for deviations that are negative or not finite, tolerances that are not
    positive, an unknown kind, or shapes that do not fit.
    """
    if kind not in TICK_LOSSES:
        raise ThresholdsError(f"tick loss is '{kind}'; use one of {', '.join(TICK_LOSSES)}")
    deviation_XC = np.asarray(deviation_XC, dtype=np.float64)
    allowed_C = np.asarray(tolerance_C, dtype=np.float64)
    if not len(allowed_C) or not (np.isfinite(allowed_C) & (allowed_C > 0.0)).all():
        raise ThresholdsError(f"tolerance is {tuple(tolerance_C)}; give finite numbers above 0")
    if deviation_XC.ndim < 1 or deviation_XC.shape[-1] != len(allowed_C):
        raise ThresholdsError(
            f"deviations have shape {deviation_XC.shape} for {len(allowed_C)} tolerances; give "
            f"[..., {len(allowed_C)}]"
        )
    wrong = deviation_XC[~(np.isfinite(deviation_XC) & (deviation_XC >= 0.0))]
    if wrong.size:
        raise ThresholdsError(f"a deviation is {wrong[0]}; deviations are finite, 0 or more")
    if kind == "binary":
        return np.asarray((deviation_XC > allowed_C).any(axis=-1), dtype=np.float64)
    return np.asarray(np.minimum((deviation_XC / allowed_C).max(axis=-1), 1.0))


def episode_losses(
    losses_XN: NDArray[np.floating], episode_N: Sequence[Hashable], kind: EpisodeLoss
) -> tuple[tuple[Hashable, ...], NDArray[np.float64]]:
    """Episodes in the order in which they begin, and the loss of each [..., E].

    Args:
        losses_XN: losses of N ticks, [..., N].
        episode_N: which episode each tick belongs to.
        kind: `mean` or `max` over an episode's ticks.
    """
    if kind not in EPISODE_LOSSES:
        raise ThresholdsError(f"episode loss is '{kind}'; use one of {', '.join(EPISODE_LOSSES)}")
    losses_XN = np.asarray(losses_XN, dtype=np.float64)
    if losses_XN.ndim < 1 or losses_XN.shape[-1] != len(episode_N) or not len(episode_N):
        raise ThresholdsError(
            f"losses have shape {losses_XN.shape} for {len(episode_N)} ticks; give [..., N >= 1]"
        )
    numbers: dict[Hashable, int] = {}
    number_N = np.array([numbers.setdefault(name, len(numbers)) for name in episode_N], np.intp)
    rows = losses_XN.reshape(-1, len(number_N))
    losses_RE = np.zeros((len(rows), len(numbers)))
    for row, losses_E in zip(rows, losses_RE, strict=True):
        if kind == "max":
            np.maximum.at(losses_E, number_N, row)
        else:
            losses_E[:] = np.bincount(number_N, weights=row) / np.bincount(number_N)
    return tuple(numbers), losses_RE.reshape(*losses_XN.shape[:-1], len(numbers))


def family_losses(
    V_KN: NDArray[np.floating],
    deviation_KNC: NDArray[np.floating],
    episode_N: Sequence[Hashable],
    family_MK: Sequence[NDArray[np.floating]],
    *,
    tolerance_C: Sequence[float],
    tick_loss: TickLoss,
    episode_loss: EpisodeLoss,
) -> tuple[tuple[Hashable, ...], NDArray[np.float64]]:
    """Episodes, and the loss [M, E] that each would have had under each threshold vector.

    Args:
        V_KN: discrepancies of N ticks, as `fit_thresholds` takes them.
        deviation_KNC: deviation from full depth of what every exit would have published.
        episode_N: which episode each tick belongs to.
        family_MK: M threshold vectors.
    """
    V_KN = np.asarray(V_KN, dtype=np.float64)
    deviation_KNC = np.asarray(deviation_KNC, dtype=np.float64)
    if deviation_KNC.ndim != 3 or deviation_KNC.shape[:2] != V_KN.shape:
        raise ThresholdsError(
            f"deviations have shape {deviation_KNC.shape}; give [K, N, C] for V of {V_KN.shape}"
        )
    losses_KN = tick_losses(deviation_KNC, tolerance_C, tick_loss)
    ticks = np.arange(V_KN.shape[1])
    losses_MN = np.stack([losses_KN[exits_taken(V_KN, eta_K), ticks] for eta_K in family_MK])
    return episode_losses(losses_MN, episode_N, episode_loss)


def split_episodes(
    names: Sequence[str], certify_share: float
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Episodes to fit on and episodes to certify on, each in the order given.

    Which is which depends on the names alone (their SHA-256), not on order or chance.

    Raises ThresholdsError for a name given twice, or when one side would be empty.
    """
    if len(set(names)) != len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise ThresholdsError(f"episode '{twice}' is given twice; give each once")
    count = math.floor(len(names) * certify_share + 0.5)
    if not 0 < count < len(names):
        raise ThresholdsError(
            f"{len(names)} episodes with certify_share {certify_share} leave one side empty; "
            "record more episodes, or choose a share nearer to 0.5"
        )
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    certify = set(ordered[:count])
    return tuple(n for n in names if n not in certify), tuple(n for n in names if n in certify)
