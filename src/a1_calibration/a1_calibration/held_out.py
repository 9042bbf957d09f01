"""Whether exits on episodes that were held out are taken as often as was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True, kw_only=True, eq=False)
class RateTest:
    """A chi-square test of realised against requested rates.

    Attributes:
        realised_P: share of the held-out ticks that left at each exit looked at.
        error_P: standard error of the difference from the request.
        statistic, freedom: chi-square after corrections, and its degrees of freedom.
        p_value: small where the difference is larger than sampling explains; NaN where too little
            is there to say.
        design_effect: by how much ticks of an episode are alike: so many ticks count as one.
        plain_p_value: as if all ticks were independent and thresholds known, for comparison.
    """

    realised_P: NDArray[np.float64]
    error_P: NDArray[np.float64]
    statistic: float
    freedom: int
    p_value: float
    design_effect: float
    plain_p_value: float


def compare_rates(
    requested_P: Sequence[float],
    taken_N: NDArray[np.integer],
    episode_N: Sequence[str],
    fit_ticks: int,
) -> RateTest:
    """Test held-out ticks against requested shares.

    Two things make ticks weaker evidence than their number: those of an episode are alike, so the
    statistic is divided by the mean design effect (Rao and Scott's first correction, with an F
    distribution for few episodes), and the thresholds come from a sample themselves, so that of
    the fit counts as a second one.

    Args:
        taken_N: index of the exit each held-out tick leaves at, below P.
        fit_ticks: how many ticks the thresholds were fitted on.
    """
    wanted_P = np.asarray(requested_P, dtype=np.float64)
    P, N = len(wanted_P), len(taken_N)
    realised_P = np.bincount(taken_N, minlength=P) / N
    live = wanted_P * N > 1e-9
    names = {name: place for place, name in enumerate(dict.fromkeys(episode_N))}
    E, freedom = len(names), int(live.sum()) - 1
    counts_EP = np.zeros((E, P))
    number_N = np.array([names[name] for name in episode_N], np.intp)
    np.add.at(counts_EP, (number_N, np.asarray(taken_N, np.intp)), 1.0)
    off_EP = counts_EP - counts_EP.sum(axis=1, keepdims=True) * realised_P
    variance_P = (off_EP**2).sum(axis=0) * E / max(E - 1, 1) / N**2
    simple_P = realised_P * (1.0 - realised_P) / N
    spread = live & (simple_P > 0.0)
    effect = 1.0
    if E > 1 and spread.any():
        weight_P = 1.0 - realised_P[spread]
        effect = float((weight_P * variance_P[spread] / simple_P[spread]).sum() / weight_P.sum())
    effect = max(effect, 1.0)
    both = 1.0 / N + 1.0 / fit_ticks
    error_P = np.sqrt(wanted_P * (1.0 - wanted_P) * effect * both)
    if freedom < 1 or E < 2:
        return RateTest(
            realised_P=realised_P,
            error_P=error_P,
            statistic=float("nan"),
            freedom=max(freedom, 0),
            p_value=float("nan"),
            design_effect=effect,
            plain_p_value=float("nan"),
        )
    distance = float(((realised_P - wanted_P)[live] ** 2 / wanted_P[live]).sum())
    statistic = distance / (effect * both)
    return RateTest(
        realised_P=realised_P,
        error_P=error_P,
        statistic=statistic,
        freedom=freedom,
        p_value=float(stats.f.sf(statistic / freedom, freedom, freedom * (E - 1))),
        design_effect=effect,
        plain_p_value=float(stats.chi2.sf(N * distance, freedom)),
    )
