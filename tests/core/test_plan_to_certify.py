"""Which exits to look at for a certificate, against the formula and against what can be seen."""

import itertools

import numpy as np
import pytest

from a1_core.calibration import exits_taken
from a1_core.errors import ThresholdsError
from a1_core.exit_plan import choose_plan_to_certify, pair_discrepancies, plan_discrepancies
from a1_core.least_loss import least_loss_thresholds
from a1_core.segment_costs import SegmentCosts

EXITS, EPISODES, TICKS, RISK = 5, 24, 6, 0.05
COSTS = SegmentCosts(reach_K=10.0 + 5.0 * np.arange(EXITS), check_K=np.full(EXITS, 0.5))
EPISODE_N = np.arange(EPISODES).repeat(TICKS)
PLANS = [
    (*some, EXITS - 1)
    for size in range(1, EXITS)
    for some in itertools.combinations(range(EXITS - 1), size)
]


def chunks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Discrepancies of all pairs and losses of chunks that settle at depths of their own."""
    rng = np.random.default_rng(seed)
    settle_N = rng.integers(1, EXITS, len(EPISODE_N))
    off_KN = np.where(np.arange(EXITS)[:, None] < settle_N, 0.8, 0.1) * rng.random((EXITS, 1))
    actions = rng.normal(size=(EXITS, len(EPISODE_N), 2, 2)) * off_KN[..., None, None]
    loss = np.minimum(np.sqrt(((actions - actions[-1]) ** 2).mean(axis=(2, 3))), 1.0) ** 4
    return pair_discrepancies(actions, "l2"), loss


def cost_at_levels(pairs: np.ndarray, loss: np.ndarray, plan: tuple[int, ...]) -> float:
    """Mean over 1 to 4 times the risk of the cost at which episodes lose so much."""
    V, lost, cost = plan_discrepancies(pairs, plan), loss[list(plan)], COSTS.of_plan(plan)
    points = [(0.0, COSTS.full)]
    for power in np.arange(3.4, -1.1, -0.2):
        eta = least_loss_thresholds(V, lost, cost / cost[-1], 10.0 ** round(power, 1))
        taken = exits_taken(V, eta)
        worst = lost[taken, np.arange(len(taken))].reshape(EPISODES, TICKS).max(axis=1)
        points.append((max(points[-1][0], worst.mean()), cost[taken].mean()))
    at, costs = np.array(points).T
    return float(np.mean([np.interp(k * RISK, at, costs) for k in (1, 2, 3, 4)]))


@pytest.mark.parametrize("seed", range(4))
def test_no_plan_one_exit_away_is_cheaper(seed: int) -> None:
    pairs, loss = chunks(seed)
    found = choose_plan_to_certify(pairs, loss, EPISODE_N, COSTS, risk=RISK)
    costs = {plan: cost_at_levels(pairs, loss, plan) for plan in PLANS}
    nearby = [plan for plan in PLANS if len(set(plan) ^ set(found)) == 1]
    assert costs[found] <= min(costs[plan] for plan in nearby) + 1e-9
    assert costs[found] <= costs[tuple(range(EXITS))] + 1e-9
    assert costs[found] <= 1.1 * min(costs.values())


def test_an_exit_that_misleads_is_left_out() -> None:
    """Exit 1 says what exit 0 says, wrong or right; only from exit 0 to 2 can it be told."""
    rng = np.random.default_rng(5)
    wrong_N = rng.random(len(EPISODE_N)) < 0.5
    actions = np.zeros((EXITS, len(EPISODE_N), 1, 1))
    actions[0] = rng.normal(0.0, 0.02, actions[0].shape)
    actions[1, :, 0, 0] = rng.normal(0.0, 1.0, len(EPISODE_N))
    actions[2, :, 0, 0] = np.where(wrong_N, 1.0, 0.0) + rng.normal(0.0, 0.02, len(EPISODE_N))
    pairs = pair_discrepancies(actions, "l2")
    loss = np.zeros((EXITS, len(EPISODE_N)))
    loss[:2], loss[2] = 1.0, wrong_N
    plan = choose_plan_to_certify(pairs, loss, EPISODE_N, COSTS, risk=RISK)
    assert plan[:2] == (0, 2)


def test_shapes_that_do_not_fit_are_refused() -> None:
    pairs, loss = chunks(0)
    with pytest.raises(ThresholdsError, match="losses"):
        choose_plan_to_certify(pairs, loss[1:], EPISODE_N, COSTS, risk=RISK)
    with pytest.raises(ThresholdsError, match="ticks"):
        choose_plan_to_certify(pairs, loss, EPISODE_N[1:], COSTS, risk=RISK)
