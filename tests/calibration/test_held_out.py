"""The chi-square test rejects as often as it says, and does reject."""

import numpy as np
import pytest

from a1_calibration.held_out import compare_rates
from a1_core.calibration import exit_distribution, exits_taken, fit_thresholds, realised_rates

K, TICKS = 5, 10
KINDS = {"exponential": (0.8, K), "gaussian": (3.0, 8)}


def draw(rng, episodes: int, alike: float, shift: float = 0.0, exits: int = K):
    """Discrepancies of ticks that share some of their height within an episode."""
    height = rng.normal(shift, 1.0, episodes).repeat(TICKS)
    own = rng.normal(shift, 1.0, (exits, episodes * TICKS))
    return np.exp(alike * height + (1 - alike) * own)


def p_value(rng, alike: float, shift: float = 0.0, kind: str = "exponential", asked: bool = True):
    """Of a test against what was asked for, or against the rates of the fitted ticks."""
    parameter, exits = KINDS[kind]
    wanted = exit_distribution(kind, parameter, exits)
    fitted, held = draw(rng, 40, alike, exits=exits), draw(rng, 40, alike, shift, exits)
    eta_P = fit_thresholds(fitted, wanted)
    names = [str(k) for k in range(40) for _ in range(TICKS)]
    expected_P = wanted if asked else realised_rates(fitted, eta_P)
    return compare_rates(list(expected_P), exits_taken(held, eta_P), names, fitted.shape[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alike", [0.0, 0.6])
@pytest.mark.parametrize("asked", [True, False])
def test_it_seldom_rejects_what_is_right(asked, alike, kind):
    """Of the gaussian the deepest exits get a tick or none: single ticks decide nothing."""
    rng = np.random.default_rng(1)
    p = np.array([p_value(rng, alike, kind=kind, asked=asked).p_value for _ in range(400)])
    assert 0.01 <= (p < 0.05).mean() <= 0.10  # 0.05 and four standard errors


def test_exits_of_few_ticks_are_taken_together():
    names = [str(k) for k in range(20) for _ in range(10)]
    taken_N = np.arange(200) % 2 + 1
    expected_P = [0.0, 0.49, 0.49, 0.02, 0.0]  # 4 ticks expected of the last three
    test = compare_rates(expected_P, taken_N, names, 200)
    assert test.freedom == 1  # they are joined with the next smallest
    assert test.realised_P.tolist() == [0.0, 0.5, 0.5, 0.0, 0.0]
    assert test.p_value > 0.5
    elsewhere = compare_rates(expected_P, np.where(taken_N == 1, 4, 2), names, 200)
    assert elsewhere.p_value == pytest.approx(test.p_value)
    three = compare_rates([0.0, 0.45, 0.45, 0.05, 0.05], np.arange(200) % 2 + 3, names, 200)
    assert (three.freedom, three.p_value < 0.001) == (3, True)


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
