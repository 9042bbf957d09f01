"""Which exits to look at at all: every check costs time, and each needs a predecessor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a1_core.budget import Search, Setting, checked_plan, full_depth, unmet
from a1_core.calibration import Fit, exits_taken
from a1_core.errors import ThresholdsError
from a1_core.exit_rule import discrepancy
from a1_core.segment_costs import Budget, SegmentCosts


def pair_discrepancies(
    actions_KNHD: NDArray[np.floating],
    metric: str,
    weights: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Discrepancy [K, K, N] of exit k from exit j < k at [j, k]; NaN elsewhere.

    Only for starts in which an exit's chunk does not depend on the exits looked at before it.

    Args:
        actions_KNHD: chunks of all exits, in the space in which inference compares them.
        metric, weights: as for `discrepancy`.
    """
    actions_KNHD = np.asarray(actions_KNHD)
    K, N = actions_KNHD.shape[:2]
    pairs_KKN = np.full((K, K, N), np.nan)
    for j in range(K):
        for k in range(j + 1, K):
            for n in range(N):
                pairs_KKN[j, k, n] = discrepancy(
                    actions_KNHD[k, n], actions_KNHD[j, n], metric, weights
                )
    return pairs_KKN


def plan_discrepancies(pairs_KKN: NDArray[np.floating], plan: Sequence[int]) -> NDArray[np.float64]:
    """V [P, N] of a plan: each exit against the one looked at before it; NaN for the first."""
    plan = checked_plan(plan, len(pairs_KKN))
    V_PN = np.full((len(plan), pairs_KKN.shape[2]), np.nan)
    for number in range(1, len(plan)):
        V_PN[number] = pairs_KKN[plan[number - 1], plan[number]]
    return V_PN


@dataclass(frozen=True, kw_only=True, eq=False)
class PlannedSetting:
    """plan: indices of the exits looked at; loss: mean loss of the chunks that are left with."""

    plan: tuple[int, ...]
    setting: Setting
    loss: float


def choose_plan(
    budget: Budget,
    pairs_KKN: NDArray[np.floating],
    loss_KN: NDArray[np.floating],
    costs: SegmentCosts,
    *,
    distribution: str = "exponential",
    scale: float | None = None,
    fit: Fit = "mass",
) -> PlannedSetting:
    """The plan, and the setting within the budget, that lose least on the recorded ticks.

    Exits are taken out or put back one at a time, beginning with all, as long as that lowers the
    mean loss within the budget (at equal loss: as long as it leaves fewer exits).

    Args:
        pairs_KKN: of `pair_discrepancies`.
        loss_KN: what is lost by leaving at exit k, e.g. the deviation from full depth.
        costs: in the unit that the budget's kind calls for.

    Raises:
        BudgetUnmet: no plan keeps the budget.
        ThresholdsError: shapes that do not fit.
    """
    K = len(costs.reach_K)
    pairs_KKN, loss_KN = np.asarray(pairs_KKN), np.asarray(loss_KN, dtype=np.float64)
    if pairs_KKN.shape[:2] != (K, K) or loss_KN.shape != (K, pairs_KKN.shape[2]):
        raise ThresholdsError(
            f"pairs have shape {pairs_KKN.shape}, losses {loss_KN.shape}; give [{K}, {K}, N] and "
            f"[{K}, N]"
        )
    if not np.isfinite(loss_KN).all():
        raise ThresholdsError("a loss is not finite; leave the tick out or mend its chunk")
    limit = budget.limit(costs)
    if costs.full <= limit:
        straight = full_depth(1, costs.full)
        return PlannedSetting(plan=(K - 1,), setting=straight, loss=float(loss_KN[-1].mean()))

    def search(plan: tuple[int, ...]) -> Search:
        V_PN = plan_discrepancies(pairs_KKN, plan)
        return Search(
            V_PN,
            costs.of_plan(plan),
            distribution=distribution,
            scale=scale,
            fit=fit,
            loss_PN=loss_KN[list(plan)] if fit == "least_loss" else None,
        )

    def judge(plan: tuple[int, ...]) -> PlannedSetting | None:
        setting = search(plan).within(limit)
        if setting is None:
            return None
        taken_N = exits_taken(plan_discrepancies(pairs_KKN, plan), setting.eta_P)
        losses_N = loss_KN[np.asarray(plan)[taken_N], np.arange(loss_KN.shape[1])]
        return PlannedSetting(plan=plan, setting=setting, loss=float(losses_N.mean()))

    best = judge(tuple(range(K)))
    if best is None:
        quick = _quickest(costs)
        best = judge(quick)
        if best is None:
            raise unmet(budget, costs, search(quick).cheapest(), quick, f"{fit}, {distribution}")
    seen = {best.plan}
    while True:
        nearby = [plan for plan in _neighbours(best.plan, K) if plan not in seen]
        seen.update(nearby)
        judged = [found for found in map(judge, nearby) if found is not None]
        better = min([best, *judged], key=_merit)
        if better is best:
            return best
        best = better


def _merit(found: PlannedSetting) -> tuple[float, int, tuple[int, ...]]:
    return found.loss, len(found.plan), found.plan


def _quickest(costs: SegmentCosts) -> tuple[int, ...]:
    """The plan in which the first exit that may fire costs least."""
    K = len(costs.reach_K)
    pairs = [(a, b) for b in range(1, K) for a in range(b)]
    if not pairs:
        return (0,)
    a, b = min(pairs, key=lambda pair: float(costs.of_plan(pair)[-1]))
    return (a, *range(b, K))


def _neighbours(plan: tuple[int, ...], exits: int) -> list[tuple[int, ...]]:
    """Plans with one exit fewer (but never only the last) or one more."""
    fewer = [plan[:i] + plan[i + 1 :] for i in range(len(plan) - 1)] if len(plan) > 2 else []
    more = [tuple(sorted((*plan, k))) for k in range(exits) if k not in plan]
    return fewer + more
