import itertools
import math

import numpy as np
import pytest

from a1_core.budget import STEPS_PER_UNIT, BudgetUnmet, Search, parameter_range, solve_budget
from a1_core.calibration import exit_distribution, exits_taken, fit_thresholds, realised_rates
from a1_core.errors import ThresholdsError
from a1_core.exit_plan import choose_plan, pair_discrepancies, plan_discrepancies
from a1_core.exit_rule import discrepancy
from a1_core.segment_costs import Budget, SegmentCosts, depth_costs, measured_costs

DISTRIBUTIONS = ("exponential", "gaussian", "gamma")


def discrepancies(exits: int = 8, samples: int = 700, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    V = np.linspace(1.0, 0.2, exits)[:, None] * rng.gamma(2.0, 0.5, (exits, samples))
    V[0] = np.nan
    return V


COSTS = SegmentCosts(  # ms: vision, then 3 a layer; a check 1.5
    reach_K=20.0 + 3.0 * np.arange(8), check_K=np.full(8, 1.5)
)


def test_costs_of_a_plan_add_up() -> None:
    assert COSTS.full == 20 + 21 + 1.5
    assert COSTS.of_plan(range(3)).tolist() == [21.5, 26.0, 30.5]
    assert COSTS.of_plan((1, 3, 7)).tolist() == [24.5, 32.0, 45.5]


def test_costs_from_what_was_timed() -> None:
    """A walk through all exits costs what it was measured to, a single exit too."""
    reach, check = np.array([10.0, 14.0, 15.0, 21.0]), np.array([2.0, 3.0, 1.0, 4.0])
    first = reach + check
    following = np.append(0.0, np.diff(reach) + check[1:])
    costs = measured_costs(first, following)
    np.testing.assert_allclose(costs.of_plan(range(4)), first[0] + np.cumsum(following))
    np.testing.assert_allclose([costs.of_plan((k,))[0] for k in range(4)], first)
    np.testing.assert_allclose(costs.check_K[:-1], check[:-1])
    noisy = measured_costs([5.0, 9.0, 8.0], [0.0, 1.0, 6.0])
    assert (noisy.check_K >= 0).all()
    assert (np.diff(noisy.reach_K) >= 0).all()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize(
    ("budget", "costs"),
    [
        (Budget(kind="depth", value=0.55), depth_costs(range(8), 8)),
        (Budget(kind="flops", value=0.8), COSTS),
        (Budget(kind="latency_ms", value=33.0), COSTS),
        (Budget(kind="rate_hz", value=30.0), COSTS),
    ],
)
def test_the_budget_is_kept_and_used(distribution: str, budget: Budget, costs) -> None:
    V = discrepancies()
    found = solve_budget(budget, V, costs, distribution=distribution)
    limit = {"depth": 0.55, "flops": 0.8 * 42.5, "latency_ms": 33.0, "rate_hz": 1000 / 30}[
        budget.kind
    ]
    cost_K = costs.of_plan(range(8))
    assert cost_K[exits_taken(V, found.eta_P)].mean() == pytest.approx(found.cost)
    assert 0.985 * limit < found.cost <= limit

    # What it says is what the fit gives, and a step further breaks the budget.
    requested = exit_distribution(distribution, found.parameter, 8)
    assert found.requested == tuple(float(p) for p in requested)
    assert found.eta_P.tolist() == fit_thresholds(V, requested).tolist()
    assert found.realised_P.tolist() == realised_rates(V, found.eta_P).tolist()
    further = exit_distribution(
        distribution, round(found.parameter * STEPS_PER_UNIT + 1) / STEPS_PER_UNIT, 8
    )
    assert realised_rates(V, fit_thresholds(V, further)) @ cost_K > limit


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("fit", ["mass", "eq9"])
def test_no_parameter_on_a_fine_grid_comes_closer(distribution: str, fit: str) -> None:
    V, cost_K = discrepancies(5, 60, seed=1), np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    search = Search(V, cost_K, distribution=distribution, fit=fit)
    low, high = parameter_range(distribution, 5)
    tried = np.unique(np.linspace(low, min(high, 12 * STEPS_PER_UNIT), 600).astype(int))
    costs = np.array([search.at(int(step)).cost for step in tried])
    for limit in (2.5, 3.2, 4.1):
        found = search.within(limit)
        if found is None:
            assert (costs > limit).all()
        else:
            # Counts are whole, so the mean cost moves in jumps of a tick or two.
            assert found.cost >= costs[costs <= limit].max() - 3 / 60
            assert found.cost <= limit


def test_ties_and_single_samples() -> None:
    costs = depth_costs(range(4), 4)
    tied = np.array([[np.nan] * 6, [1.0] * 6, [0.5] * 6, [0.1] * 6])
    found = solve_budget(Budget(kind="depth", value=0.6), tied, costs)
    assert found.cost <= 0.6
    with pytest.raises(BudgetUnmet, match=r"least that can be kept is 1 \(full depth"):
        solve_budget(Budget(kind="depth", value=0.6), tied[:, :1], costs)  # 0.999 of 1 tick is 0


def test_a_budget_for_full_depth_needs_no_checks() -> None:
    V = discrepancies()
    for budget in (Budget(kind="latency_ms", value=42.5), Budget(kind="flops", value=1.0)):
        found = solve_budget(budget, V, COSTS)
        assert (found.parameter, found.cost) == (None, 42.5)
        assert found.eta_P.tolist() == [-math.inf] * 7 + [math.inf]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize(
    ("kind", "value", "word"), [("latency_ms", 25.9, "least"), ("rate_hz", 50.0, "most")]
)
def test_what_cannot_be_kept_is_refused_with_what_can(
    distribution: str, kind: str, value: float, word: str
) -> None:
    V = discrepancies()
    with pytest.raises(BudgetUnmet, match=f"budget {kind} is {value}.*{word}.*{distribution}") as e:
        solve_budget(Budget(kind=kind, value=value), V, COSTS, distribution=distribution)
    closest = e.value.closest
    assert f"{closest:.6g}" in str(e.value)
    slack = closest * (1 + 1e-9 if kind == "latency_ms" else 1 - 1e-9)
    found = solve_budget(Budget(kind=kind, value=slack), V, COSTS, distribution=distribution)
    assert found.parameter is not None


def test_full_depth_is_named_when_checks_are_dearer() -> None:
    dear = SegmentCosts(reach_K=[1.0, 2.0, 3.0], check_K=[5.0, 5.0, 0.1])
    with pytest.raises(BudgetUnmet, match="full depth") as e:
        solve_budget(Budget(kind="latency_ms", value=3.0), discrepancies(3), dear)
    assert e.value.closest == pytest.approx(3.1)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Budget(kind="watts", value=1.0), "watts"),
        (lambda: Budget(kind="depth", value=1.2), "at most 1"),
        (lambda: Budget(kind="rate_hz", value=0.0), "above 0"),
        (lambda: Budget(kind="rate_hz", value=math.nan), "above 0"),
        (lambda: SegmentCosts(reach_K=[2.0, 1.0], check_K=[0.0, 0.0]), "no less to reach"),
        (lambda: SegmentCosts(reach_K=[1.0, 2.0], check_K=[0.0, -1.0]), "negative"),
        (lambda: SegmentCosts(reach_K=[1.0, math.inf], check_K=[0.0, 0.0]), "not finite"),
        (lambda: SegmentCosts(reach_K=[1.0], check_K=[0.0, 0.0]), "shapes"),
        (lambda: SegmentCosts(reach_K=[0.0], check_K=[0.0]), "costs nothing"),
        (lambda: measured_costs([1.0, 2.0], [0.0]), "shapes"),
        (lambda: depth_costs((1, 8), 8), "count blocks from 0"),
        (lambda: parameter_range("uniform", 4), "uniform"),
        (lambda: parameter_range("gaussian", 4, 0.001), "scale is 0.001"),
        (
            lambda: solve_budget(Budget(kind="depth", value=0.5), np.zeros((3, 4)), COSTS),
            "8 exits",
        ),
        (
            lambda: solve_budget(
                Budget(kind="depth", value=0.5), np.zeros((2, 4)), COSTS, plan=(0, 3)
            ),
            "up to 7",
        ),
    ],
)
def test_impossible_arguments(make, named: str) -> None:
    with pytest.raises(ThresholdsError, match=named):
        make()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("exits", [1, 2, 3, 14, 28])
@pytest.mark.parametrize("scale", [None, 0.02, 0.7, 5.0, 40.0])
def test_the_whole_range_can_be_tried(distribution: str, exits: int, scale) -> None:
    """Between its ends no distribution vanishes; narrow ones reach both ends of the network."""
    low, high = parameter_range(distribution, exits, scale)
    middle = (low + high) // 2
    for step in {low, low + 1, low + 499, middle, middle + 251, high - 1, high}:
        exit_distribution(distribution, step / STEPS_PER_UNIT, exits, scale=scale)
    if scale is None and exits > 2:
        assert exit_distribution(distribution, high / STEPS_PER_UNIT, exits)[-1] > 0.9
        if distribution != "gamma":
            assert exit_distribution(distribution, low / STEPS_PER_UNIT, exits)[1] > 0.99


def test_pairs_are_the_online_discrepancies() -> None:
    rng = np.random.default_rng(2)
    actions = rng.normal(size=(4, 5, 6, 3)).astype(np.float32)
    weights = np.array([1.0, 2.0, 0.5])
    pairs = pair_discrepancies(actions, "l2[:4]", weights)
    for j, k, n in itertools.product(range(4), range(4), range(5)):
        if j < k:
            wanted = discrepancy(actions[k, n], actions[j, n], "l2[:4]", weights)
            assert pairs[j, k, n] == wanted
        else:
            assert math.isnan(pairs[j, k, n])
    V = plan_discrepancies(pairs, (0, 2, 3))
    assert np.isnan(V[0]).all()
    assert V[1:].tolist() == [pairs[0, 2].tolist(), pairs[2, 3].tolist()]


def converging(exits: int = 6, samples: int = 150, seed: int = 3):
    """Chunks that come to rest at a depth of their own, and their distance from the last one."""
    rng = np.random.default_rng(seed)
    settle_N = rng.integers(1, exits, samples)
    noise = rng.normal(size=(exits, samples, 2, 2))
    error_KN = np.where(np.arange(exits)[:, None] < settle_N, 1.0, 0.05)
    actions = noise * error_KN[..., None, None]
    loss = np.sqrt(((actions - actions[-1]) ** 2).mean(axis=(2, 3)))
    return pair_discrepancies(actions, "l2"), loss


@pytest.mark.parametrize(
    ("seed", "share", "check_ms", "dear"),
    [
        (3, 0.85, [0.0] * 6, False),
        (3, 0.85, [2.0] * 6, False),
        (3, 0.85, [6.0] * 6, False),
        (10, 0.7, [2.0, 2.0, 2.0, 2.0, 8.0, 12.0], False),  # one is put back
        (4, 0.7, [12.0, 8.0, 12.0, 0.5, 0.5, 12.0], True),
        (13, 0.7, [12.0, 2.0, 0.5, 8.0, 8.0, 0.5], True),
    ],
)
def test_chosen_exits_are_nearly_the_best_of_all(
    seed: int, share: float, check_ms: list[float], dear: bool
) -> None:
    """Against every possible plan; with `dear` checks looking at all exits is above the budget."""
    pairs, loss = converging(samples=80, seed=seed)
    costs = SegmentCosts(reach_K=10.0 + 5.0 * np.arange(6), check_K=np.array(check_ms))
    budget = Budget(kind="flops", value=share)

    def of(plan: tuple[int, ...]) -> float:
        V = plan_discrepancies(pairs, plan)
        setting = Search(V, costs.of_plan(plan)).within(budget.limit(costs))
        if setting is None:
            return math.inf
        taken = np.array(plan)[exits_taken(V, setting.eta_P)]
        return float(loss[taken, np.arange(loss.shape[1])].mean())

    found = choose_plan(budget, pairs, loss, costs)
    every = [(*some, 5) for size in range(1, 6) for some in itertools.combinations(range(5), size)]
    losses = {plan: of(plan) for plan in every}
    assert math.isinf(losses[tuple(range(6))]) == dear
    assert found.loss == losses[found.plan]
    assert found.setting.cost <= budget.limit(costs)
    assert found.loss <= 1.05 * min(losses.values())
    if check_ms[0] >= 6.0:
        assert len(found.plan) < 6


def test_plans_are_refused_and_full_depth_is_straight() -> None:
    pairs, loss = converging()
    costs = SegmentCosts(reach_K=10.0 + 5.0 * np.arange(6), check_K=np.full(6, 4.0))
    with pytest.raises(BudgetUnmet, match=r"least that can be kept is 23"):
        choose_plan(Budget(kind="latency_ms", value=20.0), pairs, loss, costs)
    straight = choose_plan(Budget(kind="latency_ms", value=39.0), pairs, loss, costs)
    assert (straight.plan, straight.setting.cost, straight.loss) == ((5,), 39.0, 0.0)
    with pytest.raises(ThresholdsError, match="not finite"):
        choose_plan(Budget(kind="flops", value=0.9), pairs, np.full_like(loss, np.nan), costs)
    with pytest.raises(ThresholdsError, match="shape"):
        choose_plan(Budget(kind="flops", value=0.9), pairs, loss[:3], costs)
