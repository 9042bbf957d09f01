"""Thresholds that lose least for what they cost, against trying everything."""

import itertools

import numpy as np
import pytest

from a1_core.budget import Search, solve_budget
from a1_core.calibration import exits_taken
from a1_core.errors import ThresholdsError
from a1_core.family import build_family
from a1_core.least_loss import least_loss_thresholds
from a1_core.segment_costs import Budget, depth_costs


def draw(exits: int, ticks: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Discrepancies that say something of the losses, with ties; losses fall with depth."""
    rng = np.random.default_rng(seed)
    loss_KN = np.sort(rng.random((exits, ticks)) ** 3, axis=0)[::-1].copy()
    loss_KN[-1] = 0.0
    V_KN = np.round(loss_KN + 0.2 * rng.random((exits, ticks)), 1)
    V_KN[0] = np.nan
    V_KN[1, 0] = np.nan
    return V_KN, loss_KN, (1.0 + np.arange(exits)) / exits


def paid(V_KN, loss_KN, cost_K, price, eta_K) -> float:
    taken_N = exits_taken(V_KN, eta_K)
    return float((cost_K[taken_N] + price * loss_KN[taken_N, np.arange(len(taken_N))]).sum())


@pytest.mark.parametrize("price", [0.05, 0.4, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_no_other_value_of_one_threshold_is_better(seed: int, price: float) -> None:
    V, loss, cost = draw(5, 12, seed)
    eta = least_loss_thresholds(V, loss, cost, price)
    found = paid(V, loss, cost, price, eta)
    for k in range(1, 4):
        for value in (-np.inf, *np.unique(V[k][np.isfinite(V[k])])):
            other = eta.copy()
            other[k] = value
            assert paid(V, loss, cost, price, other) >= found - 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_one_threshold_is_the_best_of_all_and_falls_with_the_price(seed: int) -> None:
    V, loss, cost = draw(3, 30, seed)
    depths = []
    for price in (0.01, 0.3, 1.0, 4.0, 1000.0):
        eta = least_loss_thresholds(V, loss, cost, price)
        everything = [-np.inf, *np.unique(V[1][np.isfinite(V[1])])]
        best = min(paid(V, loss, cost, price, np.array([-np.inf, v, np.inf])) for v in everything)
        assert paid(V, loss, cost, price, eta) == pytest.approx(best, abs=1e-12)
        depths.append(cost[exits_taken(V, eta)].mean())
    assert depths == sorted(depths) and depths[0] < depths[-1] == 1.0


def test_two_thresholds_come_near_the_best_pair() -> None:
    V, loss, cost = draw(4, 40, 3)
    values = [(-np.inf, *np.unique(V[k][np.isfinite(V[k])])) for k in (1, 2)]
    best = min(
        paid(V, loss, cost, 0.5, np.array([-np.inf, *pair, np.inf]))
        for pair in itertools.product(*values)
    )
    found = paid(V, loss, cost, 0.5, least_loss_thresholds(V, loss, cost, 0.5))
    assert best - 1e-12 <= found <= 1.05 * best


def test_a_family_of_prices_runs_from_full_depth_down_and_keeps_a_budget() -> None:
    V, loss, cost = draw(6, 300, 7)
    family = build_family(V, cost, fit="least_loss", size=10, loss_KN=loss)
    costs = [setting.cost for setting in family]
    assert family[0].parameter is None and len(family) > 5
    assert costs == sorted(costs, reverse=True)
    prices = [setting.parameter for setting in family[1:]]
    assert prices == sorted(prices, reverse=True)
    found = solve_budget(
        Budget(kind="depth", value=0.6),
        V,
        depth_costs(range(6), 6),
        fit="least_loss",
        loss_PN=loss,
    )
    assert found.cost <= 0.6
    assert found.requested == tuple(found.realised_P)


def test_it_loses_less_than_a_distribution_at_the_same_cost() -> None:
    V, loss, cost = draw(6, 400, 1)
    ticks = np.arange(400)
    for limit in (0.6, 0.75):
        ours = Search(V, cost, fit="least_loss", loss_PN=loss).within(limit)
        theirs = Search(V, cost, distribution="gaussian").within(limit)
        assert ours is not None and theirs is not None
        lost = [loss[exits_taken(V, s.eta_P), ticks].mean() for s in (ours, theirs)]
        assert lost[0] < lost[1]


def test_a_limit_is_kept_where_the_lowest_price_is_not_the_cheapest() -> None:
    """Exits of nearly the same cost: there even the lowest price of a loss can pay for more."""
    never = np.nan
    V = np.array([[never, never], [0.8, 0.2], [0.5, 0.2], [0.8, 0.3], [0.6, 0.1]])
    loss = np.array([[0.0, 0.9], [0.5, 0.3], [0.0, 0.9], [0.5, 0.8], [0.0, 0.0]])
    cost = np.array([0.999, 0.9991, 0.9995, 0.9999, 1.0])
    search = Search(V, cost, fit="least_loss", loss_PN=loss)
    limit = 0.9992
    assert search.at(-3000).cost > limit
    found = search.within(limit)
    assert found is not None and found.cost <= limit


def test_what_cannot_be_is_refused() -> None:
    V, loss, cost = draw(4, 5, 0)
    with pytest.raises(ThresholdsError, match="no losses"):
        Search(V, cost, fit="least_loss")
    with pytest.raises(ThresholdsError, match="shape"):
        least_loss_thresholds(V, loss[:3], cost, 1.0)
    with pytest.raises(ThresholdsError, match="price is 0"):
        least_loss_thresholds(V, loss, cost, 0.0)
    with pytest.raises(ThresholdsError, match="not finite"):
        least_loss_thresholds(V, np.where(loss > 0, np.nan, 0.0), cost, 1.0)
