"""The chi-square test rejects as often as it says, and does reject."""

import numpy as np
import pytest

from a1_calibration.held_out import compare_rates
from a1_core.calibration import exit_distribution, exits_taken, fit_thresholds

K, TICKS = 5, 10


def draw(rng, episodes: int, alike: float, shift: float = 0.0):
    """Discrepancies of ticks that share some of their height within an episode."""
    height = rng.normal(shift, 1.0, episodes).repeat(TICKS)
    own = rng.normal(shift, 1.0, (K, episodes * TICKS))
    return np.exp(alike * height + (1 - alike) * own)


def p_value(rng, alike: float, shift: float = 0.0):
    wanted = exit_distribution("exponential", 0.8, K)
    fitted, held = draw(rng, 40, alike), draw(rng, 40, alike, shift)
    taken_N = exits_taken(held, fit_thresholds(fitted, wanted))
    names = [str(k) for k in range(40) for _ in range(TICKS)]
    return compare_rates([float(p) for p in wanted], taken_N, names, fitted.shape[1])


@pytest.mark.parametrize("alike", [0.0, 0.6])
def test_it_seldom_rejects_what_is_right(alike):
    rng = np.random.default_rng(1)
    p = np.array([p_value(rng, alike).p_value for _ in range(400)])
    assert 0.01 <= (p < 0.05).mean() <= 0.10  # 0.05 and four standard errors


def test_without_correction_it_would_reject_too_often():
    rng = np.random.default_rng(1)
    plain = np.array([p_value(rng, 0.6).plain_p_value for _ in range(100)])
    assert (plain < 0.05).mean() > 0.3


def test_it_rejects_a_shift():
    rng = np.random.default_rng(2)
    assert np.mean([p_value(rng, 0.3, shift=0.7).p_value < 0.05 for _ in range(50)]) > 0.9


def test_one_episode_says_nothing():
    test = compare_rates([0.0, 0.5, 0.5], np.array([1, 2, 2]), ["a", "a", "a"], 10)
    assert np.isnan(test.p_value)
    assert test.realised_P.tolist() == [0.0, 1 / 3, 2 / 3]
