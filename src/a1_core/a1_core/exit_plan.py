"""Which exits to look at at all: every check costs time, and each needs a predecessor."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from a1_core.budget import STEPS_PER_UNIT, Search, Setting, checked_plan, full_depth, unmet
from a1_core.calibration import NO_DISTRIBUTION, Fit, exits_taken
from a1_core.episode_loss import EpisodeLoss, episode_losses
from a1_core.errors import ThresholdsError
from a1_core.exit_rule import discrepancy
from a1_core.segment_costs import Budget, SegmentCosts

Judged = TypeVar("Judged")

Plan = tuple[int, ...]
"""Indices of the exits that are looked at, ascending, the last exit the last."""

# Prices of a loss along which plans are compared for a certificate: 10 to these powers, in
# thousandths as `Search` counts them.
_PRICES = range(-STEPS_PER_UNIT, 7 * STEPS_PER_UNIT // 2 + 1, STEPS_PER_UNIT // 5)
# Losses at which they are compared, as multiples of the risk. Losses that also count near misses
# are about so many times the share of episodes with a tick past its tolerance.
_LEVELS = (1.0, 2.0, 3.0, 4.0)


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

    plan: Plan
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
    pairs_KKN, loss_KN = _checked(pairs_KKN, loss_KN, costs)
    K = len(loss_KN)
    limit = budget.limit(costs)
    if costs.full <= limit:
        straight = full_depth(1, costs.full)
        return PlannedSetting(plan=(K - 1,), setting=straight, loss=float(loss_KN[-1].mean()))

    def search(plan: Plan) -> Search:
        V_PN = plan_discrepancies(pairs_KKN, plan)
        return Search(
            V_PN,
            costs.of_plan(plan),
            distribution=distribution,
            scale=scale,
            fit=fit,
            loss_PN=loss_KN[list(plan)] if fit == "least_loss" else None,
        )

    def judge(plan: Plan) -> PlannedSetting | None:
        setting = search(plan).within(limit)
        if setting is None:
            return None
        taken_N = exits_taken(plan_discrepancies(pairs_KKN, plan), setting.eta_P)
        losses_N = loss_KN[np.asarray(plan)[taken_N], np.arange(loss_KN.shape[1])]
        return PlannedSetting(plan=plan, setting=setting, loss=float(losses_N.mean()))

    first = judge(tuple(range(K)))
    if first is None:
        quick = _quickest(costs)
        first = judge(quick)
        if first is None:
            raise unmet(budget, costs, search(quick).cheapest(), quick, f"{fit}, {distribution}")
    return _descend(first, judge, lambda found: (found.loss, len(found.plan), found.plan), K)


def choose_plan_to_certify(
    pairs_KKN: NDArray[np.floating],
    loss_KN: NDArray[np.floating],
    episode_N: Sequence[Hashable],
    costs: SegmentCosts,
    *,
    risk: float,
    episode_loss: EpisodeLoss = "max",
) -> Plan:
    """The plan whose thresholds that lose least cost least for what they lose.

    A certificate walks from full depth until episodes lose too much, and where that will be is not
    known of the episodes that are fitted on. So plans are compared by the mean cost of a tick at
    which an episode loses so much, averaged over a few multiples of the risk. The search is that of
    `choose_plan`.

    Args:
        pairs_KKN, costs: as for `choose_plan`.
        loss_KN: in [0, 1], of leaving each tick at exit k; the ticks are those of the fit episodes.
        episode_N: which episode each tick belongs to.
        risk: that is to be certified.
        episode_loss: as for `episode_losses`.

    Raises ThresholdsError for shapes that do not fit.
    """
    pairs_KKN, loss_KN = _checked(pairs_KKN, loss_KN, costs)
    levels = risk * np.asarray(_LEVELS)

    def judge(plan: Plan) -> tuple[float, int, Plan]:
        V_PN, loss_PN = plan_discrepancies(pairs_KKN, plan), loss_KN[list(plan)]
        search = Search(
            V_PN,
            costs.of_plan(plan),
            distribution=NO_DISTRIBUTION,
            fit="least_loss",
            loss_PN=loss_PN,
        )
        settings = [search.at(step) for step in reversed(_PRICES)]
        ticks = np.arange(V_PN.shape[1])
        losses_MN = np.stack([loss_PN[exits_taken(V_PN, s.eta_P), ticks] for s in settings])
        _, losses_ME = episode_losses(losses_MN, episode_N, episode_loss)
        lost_M = np.maximum.accumulate([0.0, *losses_ME.mean(axis=1)])
        cost_M = [costs.full, *(setting.cost for setting in settings)]
        return float(np.interp(levels, lost_M, cost_M).mean()), len(plan), plan

    K = len(loss_KN)
    return _descend(judge(tuple(range(K))), judge, lambda judged: judged, K)[-1]


def _checked(
    pairs_KKN: NDArray[np.floating], loss_KN: NDArray[np.floating], costs: SegmentCosts
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as float64; raises ThresholdsError where they do not fit or a loss is not finite."""
    K = len(costs.reach_K)
    pairs, losses = (np.asarray(values, dtype=np.float64) for values in (pairs_KKN, loss_KN))
    if pairs.shape[:2] != (K, K) or losses.shape != (K, pairs.shape[2]):
        raise ThresholdsError(
            f"pairs have shape {pairs.shape}, losses {losses.shape}; give [{K}, {K}, N] and "
            f"[{K}, N]"
        )
    if not np.isfinite(losses).all():
        raise ThresholdsError("a loss is not finite; leave the tick out or mend its chunk")
    return pairs, losses


def _descend(
    first: Judged,
    judge: Callable[[Plan], Judged | None],
    merit: Callable[[Judged], tuple[Any, ...]],
    exits: int,
) -> Judged:
    """The best that is found when exits are taken out or put back one at a time while that helps.

    Args:
        judge: None for a plan that cannot be used.
        merit: less is better; its last item is the plan.
    """
    best = first
    seen = {merit(best)[-1]}
    while True:
        nearby = [plan for plan in _neighbours(merit(best)[-1], exits) if plan not in seen]
        seen.update(nearby)
        judged = [found for found in map(judge, nearby) if found is not None]
        better = min([best, *judged], key=merit)
        if better is best:
            return best
        best = better


def _quickest(costs: SegmentCosts) -> Plan:
    """The plan in which the first exit that may fire costs least."""
    K = len(costs.reach_K)
    pairs = [(a, b) for b in range(1, K) for a in range(b)]
    if not pairs:
        return (0,)
    a, b = min(pairs, key=lambda pair: float(costs.of_plan(pair)[-1]))
    return (a, *range(b, K))


def _neighbours(plan: Plan, exits: int) -> list[Plan]:
    """Plans with one exit fewer (but never only the last) or one more."""
    fewer = [plan[:i] + plan[i + 1 :] for i in range(len(plan) - 1)] if len(plan) > 2 else []
    more = [tuple(sorted((*plan, k))) for k in range(exits) if k not in plan]
    return fewer + more
