"""From discrepancies to thresholds and their certificate. No bags, no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from a1_calibration.collect import Ticks
from a1_calibration.costs import CostTables
from a1_calibration.recordings import Split
from a1_calibration.request import DEFAULT_TOLERANCE, Promise, Request
from a1_core.budget import STEPS_PER_UNIT, Search, Setting, solve_budget
from a1_core.calibration import Fit, exits_taken
from a1_core.certificate import Certification, certify
from a1_core.episode_loss import family_losses, tick_losses
from a1_core.errors import ThresholdsError
from a1_core.exit_plan import Plan, choose_plan, choose_plan_to_certify, plan_discrepancies
from a1_core.exit_rule import exits_that_matter
from a1_core.family import build_family
from a1_core.segment_costs import SegmentCosts

SHARPNESS = 4
"""Power to which the share of the tolerance is raised that a tick uses up, where thresholds are to
lose least: what is well within counts next to nothing, what is nearly past it nearly in full. A
loss of 0 or 1 would say nothing of near misses, of which a few episodes hold many more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """Settings for the exits that are looked at (P of K), and which of them is chosen.

    Attributes:
        plan: indices of the exits looked at.
        V_PN: discrepancies between them, all ticks.
        fit_N: which ticks were fitted on; the others were held out.
        family: from full depth to the most aggressive that was wanted.
        risk_M: mean loss of a held-out episode under each (of a fitted one where none was held
            out).
        member: the chosen one; 0 where nothing may leave early.
        certification: None when none was asked for.
        promise: with its tolerance filled in.
        names: episode of every tick; split.
        skips: whether the policy leaves out checks on which nothing hangs, see `mean_cost`.
    """

    plan: tuple[int, ...]
    V_PN: NDArray[np.float64]
    fit_N: NDArray[np.bool_]
    family: tuple[Setting, ...]
    risk_M: NDArray[np.float64]
    member: int
    certification: Certification | None
    promise: Promise
    names: Sequence[str]
    split: Split
    skips: bool

    @property
    def chosen(self) -> Setting:
        return self.family[self.member]

    @property
    def judged_N(self) -> NDArray[np.bool_]:  # noqa: N802
        """Ticks by which settings are judged: those held out, if any were."""
        return ~self.fit_N if self.split.held_out else self.fit_N

    def taken(self, member: int) -> NDArray[np.intp]:
        """Where the judged ticks leave under a member, index into the K exits."""
        taken_N = exits_taken(self.V_PN[:, self.judged_N], self.family[member].eta_P)
        return np.asarray(self.plan)[taken_N]

    def mean_cost(self, setting: Setting, costs: SegmentCosts) -> float:
        """Mean cost of a judged tick under a setting."""
        return mean_cost(self.V_PN[:, self.judged_N], setting, self.plan, costs, self.skips)


def mean_cost(
    V_PN: NDArray[np.float64],
    setting: Setting,
    plan: Sequence[int],
    costs: SegmentCosts,
    skips: bool,
) -> float:
    """Mean cost of a tick as the policy runs it.

    Args:
        plan: indices of the P exits into those of `costs`.
        skips: only the `exits_that_matter` are looked at; else all of the plan. `Setting.cost`,
            by which settings are searched, is that of all.
    """
    looked_at = exits_that_matter(setting.eta_P) if skips else tuple(range(len(plan)))
    cost_L = costs.of_plan([plan[k] for k in looked_at])
    return float(cost_L[np.searchsorted(looked_at, exits_taken(V_PN, setting.eta_P))].mean())


def with_tolerance(promise: Promise | None, unit: str) -> Promise:
    """The promise in the unit that is measured; a default one to judge by where none is asked."""
    promise = promise or Promise()
    tolerance = promise.tolerance or DEFAULT_TOLERANCE[unit]
    return replace(promise, tolerance=tolerance, unit=unit)


def fit(
    request: Request,
    ticks: Ticks,
    names: Sequence[str],
    split: Split,
    costs: CostTables,
    unit: str,
) -> Fitted:
    """Fit on one part of the episodes, judge and certify on the other.

    Raises:
        BudgetUnmet: no setting keeps the budget.
        ThresholdsError: what is asked for cannot be, e.g. a budget that needs no thresholds.
    """
    promise = with_tolerance(request.promise, unit)
    assert promise.tolerance is not None
    fit_names = set(split.fit)
    fit_N = np.array([name in fit_names for name in names])
    mode = cast(Fit, request.fit)
    kind = None if request.budget is None else request.budget.kind
    unit_costs = costs.of(kind)
    tolerance_C = [promise.tolerance, promise.gripper][: ticks.deviation_KNC.shape[2]]
    losses_KN = tick_losses(ticks.deviation_KNC[:, fit_N], tolerance_C, "clipped")
    if mode == "least_loss":
        losses_KN = losses_KN**SHARPNESS
    plan = _plan(request, ticks, fit_N, losses_KN, names, unit_costs)
    V_PN = ticks.V_KN
    if len(plan) < len(V_PN):
        V_PN = plan_discrepancies(ticks.pairs_KKN, plan)
    cost_P = unit_costs.of_plan(plan)
    V_fit = V_PN[:, fit_N]
    losses_PN = losses_KN[list(plan)] if mode == "least_loss" else None
    target = _target(request, V_fit, losses_PN, plan, costs)
    family = build_family(
        V_fit,
        cost_P,
        distribution=request.distribution,
        fit=mode,
        size=request.family_size,
        loss_KN=losses_PN,
    )
    # Looking at exits and leaving at none is dearer than going straight to full depth: what does
    # not save against that is not worth a step of the walk.
    skips = bool(ticks.pairs_KKN.size)  # exits do not start from each other
    saving = [
        s for s in family[1:] if mean_cost(V_fit, s, plan, unit_costs, skips) < unit_costs.full
    ]
    family = (family[0], *saving)
    if target is not None:
        if target.cost >= family[0].cost:
            raise ThresholdsError(
                f"parameter is {target.parameter}; nothing leaves early with it: choose another"
            )
        family = (*[s for s in family if s.cost > target.cost], target)
    judged_N = ~fit_N if split.held_out else fit_N
    episodes, losses_ME = family_losses(
        V_PN[:, judged_N],
        ticks.deviation_KNC[list(plan)][:, judged_N],
        [name for name, judged in zip(names, judged_N, strict=True) if judged],
        [setting.eta_P for setting in family],
        tolerance_C=tolerance_C,
        tick_loss=promise.tick_loss,
        episode_loss=promise.episode_loss,
    )
    certification = None
    member = len(family) - 1
    if request.promise is not None:
        certification = certify(
            losses_ME,
            risk=promise.risk,
            failure=promise.failure,
            test=promise.used_test,
            episodes=[str(name) for name in episodes],
            fit_episodes=split.fit,
            tried=promise.tried,
        )
        member = certification.member or 0
    fitted = Fitted(
        plan=plan,
        V_PN=V_PN,
        fit_N=fit_N,
        family=family,
        risk_M=losses_ME.mean(axis=1),
        member=member,
        certification=certification,
        promise=promise,
        names=names,
        split=split,
        skips=skips,
    )
    if certification is not None and fitted.mean_cost(fitted.chosen, unit_costs) >= unit_costs.full:
        return replace(fitted, member=0)  # certified, but straight to full depth is cheaper
    return fitted


def _plan(
    request: Request,
    ticks: Ticks,
    fit_N: NDArray[np.bool_],
    losses_KN: NDArray[np.float64],
    names: Sequence[str],
    costs: SegmentCosts,
) -> Plan:
    """Indices of the exits to look at; losses are those of the fitted ticks."""
    if not request.chooses_exits(possible=bool(ticks.pairs_KKN.size)):
        return tuple(range(len(ticks.V_KN)))
    if not ticks.pairs_KKN.size:
        raise ThresholdsError(
            "exits cannot be chosen: the checkpoint's exits start from each other, so every "
            "one has to be looked at; leave --choose-exits out"
        )
    pairs_KKN = ticks.pairs_KKN[..., fit_N]
    if request.budget is None:
        assert request.promise is not None
        return choose_plan_to_certify(
            pairs_KKN,
            losses_KN,
            [name for name, fitted in zip(names, fit_N, strict=True) if fitted],
            costs,
            risk=request.promise.risk,
            episode_loss=request.promise.episode_loss,
        )
    return choose_plan(
        request.budget,
        pairs_KKN,
        losses_KN,
        costs,
        distribution=request.distribution,
        fit=cast(Fit, request.fit),
    ).plan


def _target(
    request: Request,
    V_fit: NDArray[np.float64],
    losses_PN: NDArray[np.float64] | None,
    plan: tuple[int, ...],
    costs: CostTables,
) -> Setting | None:
    """The setting of the budget or of the parameter; None where neither is given."""
    mode = cast(Fit, request.fit)
    if request.parameter is not None:
        step = round(request.parameter * STEPS_PER_UNIT)
        if abs(step - request.parameter * STEPS_PER_UNIT) > 1e-6:
            raise ThresholdsError(f"parameter is {request.parameter}; give whole thousandths")
        cost_P = costs.flops.of_plan(plan)
        return Search(V_fit, cost_P, distribution=request.distribution, fit=mode).at(step)
    if request.budget is None:
        return None
    target = solve_budget(
        request.budget,
        V_fit,
        costs.of(request.budget.kind),
        plan=plan,
        distribution=request.distribution,
        fit=mode,
        loss_PN=losses_PN,
    )
    if target.parameter is None:
        raise ThresholdsError(
            f"budget {request.budget.kind} is {request.budget.value}; full depth keeps it and "
            "needs no thresholds: run the policy without"
        )
    return target
