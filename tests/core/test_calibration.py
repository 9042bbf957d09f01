import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from a1_core.calibration import exit_distribution, exits_taken, fit_thresholds, realised_rates
from a1_core.errors import ThresholdsError
from a1_core.exit_rule import decide


def test_exponential_is_exact() -> None:
    p = exit_distribution("exponential", 0.7, 4)
    weights = [Fraction(0), Fraction(49, 100), Fraction(343, 1000), Fraction(2401, 10000)]
    assert list(p) == [weight / sum(weights) for weight in weights]
    assert exit_distribution("exponential", 1.0, 8) == (0, *[Fraction(1, 7)] * 7)


@pytest.mark.parametrize("c", [0.4, 1.0, 3.0, 6.5])
def test_gaussian_and_gamma_densities(c: float) -> None:
    k = np.arange(1, 9)
    for kind, scale, density in (
        ("gaussian", 2.0, stats.norm(c, 2.0).pdf(k)),
        ("gamma", None, stats.gamma(c, scale=2.0).pdf(k)),
    ):
        density[0] = 0.0
        p = exit_distribution(kind, c, 8, scale=scale)
        assert sum(p) == 1
        np.testing.assert_allclose(np.array(p, float), density / density.sum(), rtol=1e-12)


def test_exits_that_cannot_fire_get_nothing() -> None:
    p = exit_distribution("exponential", 1.0, 4, can_fire=[False, True, False, True])
    assert p == (0, Fraction(1, 2), 0, Fraction(1, 2))
    assert exit_distribution("gamma", 1.0, 1) == (1,)


@pytest.mark.parametrize(
    "bad",
    [
        ("uniform", 1.0, 4, None),
        ("exponential", 0.0, 4, None),
        ("gamma", -1.0, 4, None),
        ("gaussian", math.nan, 4, None),
        ("gaussian", 1e6, 4, None),
        ("exponential", 1.0, 0, None),
        ("exponential", 1.0, 2, [True, False]),
    ],
)
def test_impossible_distributions(bad: tuple) -> None:
    kind, c, exits, can_fire = bad
    with pytest.raises(ThresholdsError):
        exit_distribution(kind, c, exits, can_fire=can_fire)


def _brute_force(values: list[list[float]], shares: list[Fraction], mode: str) -> list[float]:
    """The rule written out with sorted lists of samples."""
    left = set(range(len(values[0])))
    total, eta = len(left), []
    for row, share in list(zip(values, shares, strict=True))[:-1]:
        base = total if mode == "mass" else len(left)
        count = (share.numerator * base) // share.denominator
        ordered = sorted(row[n] for n in left if math.isfinite(row[n]))
        threshold = ordered[min(count, len(ordered)) - 1] if count and ordered else -math.inf
        eta.append(threshold)
        left = {n for n in left if not row[n] <= threshold}
    return [*eta, math.inf]


discrepancies = st.one_of(
    st.integers(0, 5).map(float),  # many ties
    st.floats(0, 1),
    st.just(math.nan),
    st.just(math.inf),
)


@given(st.data(), st.integers(1, 6), st.integers(1, 30), st.sampled_from(["mass", "eq9"]))
def test_against_brute_force(data: st.DataObject, exits: int, samples: int, mode: str) -> None:
    row = st.lists(discrepancies, min_size=samples, max_size=samples)
    values = data.draw(st.lists(row, min_size=exits, max_size=exits))
    weights = data.draw(st.lists(st.integers(0, 9), min_size=exits, max_size=exits))
    if exits > 1:
        weights[0] = 0
    total = max(sum(weights), 1)
    shares = [Fraction(weight, total) for weight in weights]
    eta_K = fit_thresholds(np.array(values), shares, mode)  # type: ignore[arg-type]
    assert eta_K.tolist() == _brute_force(values, shares, mode)

    taken = exits_taken(np.array(values), eta_K)
    for n, k in enumerate(taken):
        online = next(
            i for i in range(exits) if decide(values[i][n], float(eta_K[i]), i == 0, i == exits - 1)
        )
        assert online == k
    rates = realised_rates(np.array(values), eta_K)
    assert rates.sum() == pytest.approx(1.0)
    assert (rates * samples).round(9).tolist() == [float((taken == k).sum()) for k in range(exits)]


def test_rates_come_out_without_ties() -> None:
    values = np.random.default_rng(0).random((8, 1000))
    values[0] = np.nan
    p = exit_distribution("exponential", 0.8, 8)
    counts = realised_rates(values, fit_thresholds(values, p)) * 1000
    wanted = [math.floor(1000 * share) for share in p[:-1]]
    np.testing.assert_allclose(counts[:-1], wanted, atol=1e-9)


def test_literal_eq9_leaves_the_rest_at_the_last_exit() -> None:
    """The figure quoted for c = 1 and 14 exits, when all of them may fire: 38 % at the last."""
    values = np.random.default_rng(1).random((15, 20000))
    p = [Fraction(0)] + [Fraction(1, 14)] * 14
    last = realised_rates(values, fit_thresholds(values, p, "eq9"))[-1]
    assert last == pytest.approx((13 / 14) ** 13, abs=0.002)
    assert realised_rates(values, fit_thresholds(values, p))[-1] == pytest.approx(1 / 14, abs=1e-3)


def test_floors_are_of_rationals_not_of_floats() -> None:
    """29 % of 100 is 29, although 0.29 * 100 is 28.999999999999996 in floats."""
    values = np.array([np.zeros(100), np.arange(100.0), np.zeros(100)])
    eta_K = fit_thresholds(values, [Fraction(0), Fraction(29, 100), Fraction(71, 100)])
    assert eta_K[1] == 28.0


def test_ties_leave_together() -> None:
    values = np.array([[9.0] * 4, [1.0, 1.0, 1.0, 2.0], [0.0] * 4])
    eta_K = fit_thresholds(values, [0.0, 0.25, 0.75])
    assert realised_rates(values, eta_K).tolist() == [0.0, 0.75, 0.25]


@pytest.mark.parametrize(
    ("shape", "shares", "mode"),
    [
        ((2, 3), [0.0, 0.5, 0.5], "mass"),
        ((2, 0), [0.0, 1.0], "mass"),
        ((2, 3), [0.5, 0.5], "mass"),
        ((2, 3), [0.0, 1.5], "mass"),
        ((3, 3), [0.0, -0.5, 1.0], "mass"),
        ((2, 3), [0.0, 1.0], "eq8"),
    ],
)
def test_impossible_fits(shape: tuple, shares: list, mode: str) -> None:
    with pytest.raises(ThresholdsError):
        fit_thresholds(np.zeros(shape), shares, mode)  # type: ignore[arg-type]
