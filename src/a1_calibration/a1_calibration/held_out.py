"""Whether exits on episodes that were held out are taken as often as they should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEAST_EXPECTED = 5.0
"""Ticks expected of a cell of the chi-square test, those that are alike counting as one; exits of
fewer are taken together. The statistic is not chi-square distributed where it rests on single
ticks."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RateTest:
    """A chi-square test of the rates of held-out episodes against expected ones.

    Attributes:
        realised_P: share of the held-out ticks that left at each exit looked at.
        error_P: standard error of the difference from the expected ones.
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
    expected_P: Sequence[float],
    taken_N: NDArray[np.integer],
    episode_N: Sequence[str],
    fit_ticks: int,
) -> RateTest:
    """Test held-out ticks against the shares that are to leave at each exit.

    Two things make ticks weaker evidence than their number: those of an episode are alike, so the
    statistic is divided by the mean design effect (Rao and Scott's first correction, with an F
    distribution for few episodes), and the thresholds come from a sample themselves, so that of
    the fit counts as a second one.

    Args:
        expected_P: shares that were asked for, or those of the fitted ticks.
        taken_N: index of the exit each held-out tick leaves at, below P.
        fit_ticks: how many ticks the thresholds were fitted on.
    """
    wanted_P = np.asarray(expected_P, dtype=np.float64)
    P, N = len(wanted_P), len(taken_N)
    names = {name: place for place, name in enumerate(dict.fromkeys(episode_N))}
    E = len(names)
    counts_EP = np.zeros((E, P))
    number_N = np.array([names[name] for name in episode_N], np.intp)
    np.add.at(counts_EP, (number_N, np.asarray(taken_N, np.intp)), 1.0)
    realised_P = counts_EP.sum(axis=0) / N
    alike = _design_effect(counts_EP @ _cells(wanted_P * N))
    member_PG = _cells(wanted_P * N / alike)
    expected_G, realised_G = wanted_P @ member_PG, realised_P @ member_PG
    effect, freedom = _design_effect(counts_EP @ member_PG), len(expected_G) - 1
    both = 1.0 / N + 1.0 / fit_ticks
    statistic = p_value = plain_p_value = float("nan")
    if freedom and E > 1:
        distance = float(((realised_G - expected_G) ** 2 / expected_G).sum())
        statistic = distance / (effect * both)
        p_value = float(stats.f.sf(statistic / freedom, freedom, freedom * (E - 1)))
        plain_p_value = float(stats.chi2.sf(N * distance, freedom))
    return RateTest(
        realised_P=realised_P,
        error_P=np.sqrt(wanted_P * (1.0 - wanted_P) * effect * both),
        statistic=statistic,
        freedom=freedom,
        p_value=p_value,
        design_effect=effect,
        plain_p_value=plain_p_value,
    )


def _cells(expected_P: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where an exit belongs to a cell, else 0 [P, G]: one each, those of few ticks in common.

    The common cell takes in the smallest others until it is large enough itself.
    """
    few = [int(k) for k in np.flatnonzero(expected_P < LEAST_EXPECTED)]
    others = [int(k) for k in np.argsort(expected_P, kind="stable") if int(k) not in few]
    while few and others and expected_P[few].sum() < LEAST_EXPECTED:
        few.append(others.pop(0))
    cell_P = np.zeros(len(expected_P), np.intp)
    cell_P[others] = np.arange(len(others)) + (1 if few else 0)
    return np.equal.outer(cell_P, np.arange(cell_P.max() + 1)).astype(np.float64)


def _design_effect(counts_EG: NDArray[np.float64]) -> float:
    """By how much ticks of an episode are alike, 1 or more; 1 where nothing tells."""
    E, N = len(counts_EG), counts_EG.sum()
    realised_G = counts_EG.sum(axis=0) / N
    off_EG = counts_EG - counts_EG.sum(axis=1, keepdims=True) * realised_G
    variance_G = (off_EG**2).sum(axis=0) * E / max(E - 1, 1) / N**2
    simple_G = realised_G * (1.0 - realised_G) / N
    spread_G = simple_G > 0.0
    if E < 2 or not spread_G.any():
        return 1.0
    weight_G = 1.0 - realised_G[spread_G]
    ratio_G = variance_G[spread_G] / simple_G[spread_G]
    return max(float((weight_G * ratio_G).sum() / weight_G.sum()), 1.0)
