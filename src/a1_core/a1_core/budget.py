"""From a budget to the parameter of the exit distribution that keeps it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from a1_core.arrays import frozen_array
from a1_core.calibration import (
    DEFAULT_SCALE,
    DISTRIBUTIONS,
    Fit,
    exit_distribution,
    fit_thresholds,
    realised_rates,
)
from a1_core.errors import ThresholdsError
from a1_core.least_loss import least_loss_thresholds
from a1_core.segment_costs import Budget, SegmentCosts

# Parameters are tried in whole thousandths, so that a file can say which one it was.
STEPS_PER_UNIT = 1000
_COARSE = 64
# Exponents of ten, in thousandths: at the low end a loss hardly counts, at the high end nothing
# else does.
_PRICES = (-3000, 6000)
# Narrower distributions vanish between two exits, in floats.
_LEAST_SCALE = 0.02


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """Thresholds for one parameter, and what they do on the recorded ticks.

    Attributes:
        parameter: c of the distribution, or the price of a loss (of `least_loss`, in ticks at the
            cost of the last exit); None for full depth, which needs none.
        requested: share of samples wanted at each exit that is looked at [P]; those realised where
            no distribution is aimed at.
        eta_P: thresholds.
        realised_P: share of the recorded samples that leaves at each exit.
        cost: mean cost of a tick.
    """

    parameter: float | None
    requested: tuple[float, ...]
    eta_P: NDArray[np.float64]
    realised_P: NDArray[np.float64]
    cost: float


class BudgetUnmet(ThresholdsError):
    """No parameter keeps the budget.

    Attributes:
        closest: the nearest budget of the same kind that can be kept.
    """

    def __init__(self, message: str, closest: float) -> None:
        super().__init__(message)
        self.closest = closest


class Search:
    """Settings of one distribution, or of rising prices, on recorded ticks by their mean cost.

    Args:
        V_PN: discrepancies between the exits that are looked at, [P, N].
        cost_P: cost of a tick that leaves at each, ascending.
        distribution, scale, fit: as for `exit_distribution` and `fit_thresholds`; of no
            distribution with `least_loss`.
        loss_PN: of leaving at each, for `least_loss`, which needs it, and for no other fit.
    """

    def __init__(
        self,
        V_PN: NDArray[np.floating],
        cost_P: NDArray[np.floating],
        *,
        distribution: str = "exponential",
        scale: float | None = None,
        fit: Fit = "mass",
        loss_PN: NDArray[np.floating] | None = None,
    ) -> None:
        self._V_PN = np.asarray(V_PN, dtype=np.float64)
        if self._V_PN.ndim != 2 or len(self._V_PN) != len(cost_P) or self._V_PN.shape[1] < 1:
            raise ThresholdsError(
                f"V has shape {self._V_PN.shape} for {len(cost_P)} exits; give [P, N >= 1]"
            )
        self._cost_P = np.asarray(cost_P, dtype=np.float64)
        self._distribution, self._scale, self._fit = distribution, scale, fit
        self._tried: dict[int, Setting] = {}
        if fit == "least_loss":
            if loss_PN is None:
                raise ThresholdsError("fit least_loss has no losses; give them, or use mass or eq9")
            self._loss_PN = loss_PN
            self._low, self._high = _PRICES
        else:
            self._low, self._high = parameter_range(distribution, len(cost_P), scale)

    def at(self, step: int) -> Setting:
        """The setting of parameter `step` / STEPS_PER_UNIT; of prices, of 10 to the power of it."""
        if step not in self._tried:
            if self._fit == "least_loss":
                self._tried[step] = self._of_price(10.0 ** (step / STEPS_PER_UNIT))
            else:
                self._tried[step] = self._of_parameter(step / STEPS_PER_UNIT)
        return self._tried[step]

    def _of_price(self, price: float) -> Setting:
        cost_P = self._cost_P / self._cost_P[-1]
        eta_P = least_loss_thresholds(self._V_PN, self._loss_PN, cost_P, price)
        return self._setting(price, None, eta_P)

    def _of_parameter(self, parameter: float) -> Setting:
        requested = exit_distribution(
            self._distribution, parameter, len(self._cost_P), scale=self._scale
        )
        eta_P = fit_thresholds(self._V_PN, requested, self._fit)
        return self._setting(parameter, requested, eta_P)

    def _setting(
        self, parameter: float, requested: Sequence[Fraction] | None, eta_P: NDArray[np.float64]
    ) -> Setting:
        realised_P = realised_rates(self._V_PN, eta_P)
        wanted = realised_P if requested is None else requested
        return Setting(
            parameter=parameter,
            requested=tuple(float(share) for share in wanted),
            eta_P=frozen_array(eta_P, np.float64),
            realised_P=frozen_array(realised_P, np.float64),
            cost=float(realised_P @ self._cost_P),
        )

    def cheapest(self) -> Setting:
        """Of a coarse scan over the whole range; at its low end unless costs bend, as by `eq9`."""
        return self.at(self._cheapest_step())

    def _cheapest_step(self) -> int:
        span = self._high - self._low
        steps = {self._low + span * i // _COARSE for i in range(_COARSE + 1)} | set(self._tried)
        steps |= {self._low + math.floor(span ** (i / _COARSE)) for i in range(_COARSE)}
        return min(steps, key=lambda step: (self.at(step).cost, step))

    def within(self, limit: float) -> Setting | None:
        """The setting whose mean cost is within `limit`, while one step deeper is above it.

        The deepest of the range when all are within; None when none is.
        """
        if self._cost_P[min(1, len(self._cost_P) - 1)] > limit:
            return None  # no tick leaves before the second exit that is looked at
        if self.at(self._high).cost <= limit:
            return self.at(self._high)
        low = self._low
        if self.at(low).cost > limit:
            low = self._cheapest_step()
            if self.at(low).cost > limit:
                return None
        return self.at(_last(lambda step: self.at(step).cost <= limit, low, self._high))


def _last(good: Callable[[int], bool], low: int, high: int) -> int:
    """A good number followed by one that is not; `low` is good, `high` is not."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return low


def parameter_range(distribution: str, exits: int, scale: float | None = None) -> tuple[int, int]:
    """Lowest and highest parameter worth trying, in thousandths.

    At the low end nearly all ticks leave at the first exit that can, at the high end at the last,
    as far as the distribution can be bent that way within the range of floats.

    Raises ThresholdsError for an unknown distribution or a scale that is too small to search.
    """
    if distribution not in DISTRIBUTIONS:
        raise ThresholdsError(
            f"distribution is '{distribution}'; use one of {', '.join(DISTRIBUTIONS)}"
        )
    if distribution == "exponential":
        return 1, 1000 * STEPS_PER_UNIT
    width = DEFAULT_SCALE[distribution] if scale is None else scale
    if not _LEAST_SCALE <= width < math.inf:
        raise ThresholdsError(f"scale is {width}; give a finite number of at least {_LEAST_SCALE}")
    if distribution == "gaussian":
        reach = min(8.0 * width**2 + 1.0, 30.0 * width)
        return (
            math.floor((min(2, exits) - reach) * STEPS_PER_UNIT),
            math.ceil((exits + reach) * STEPS_PER_UNIT),
        )

    def last_exit_is_reached(step: int) -> bool:
        c = step / STEPS_PER_UNIT
        log = (c - 1.0) * math.log(exits) - exits / width - math.lgamma(c) - c * math.log(width)
        return log > -600.0

    mode = max(1, round((exits / width + 1.0) * STEPS_PER_UNIT))
    return 1, max(1, _last(last_exit_is_reached, mode, mode + 1000 * STEPS_PER_UNIT))


def full_depth(exits: int, cost: float) -> Setting:
    """Nothing leaves before the last of `exits` exits; costs `cost`."""
    eta_P = np.full(exits, -np.inf)
    eta_P[-1] = np.inf
    shares = (*[0.0] * (exits - 1), 1.0)
    return Setting(
        parameter=None,
        requested=shares,
        eta_P=frozen_array(eta_P, np.float64),
        realised_P=frozen_array(shares, np.float64),
        cost=cost,
    )


def solve_budget(
    budget: Budget,
    V_PN: NDArray[np.floating],
    costs: SegmentCosts,
    *,
    plan: Sequence[int] | None = None,
    distribution: str = "exponential",
    scale: float | None = None,
    fit: Fit = "mass",
    loss_PN: NDArray[np.floating] | None = None,
) -> Setting:
    """The deepest setting that keeps a budget on the recorded ticks.

    Args:
        V_PN: discrepancies between the exits that are looked at, [P, N].
        costs: of all K exits, in the unit that the budget's kind calls for.
        plan: indices into the K exits of the P that are looked at; by default all.
        distribution, scale, fit, loss_PN: as for `Search`.

    Returns full depth (parameter None, cost of going there straight) when the budget allows it.

    Raises:
        BudgetUnmet: even leaving as early as possible costs more; names what can be kept.
        ThresholdsError: arguments that do not fit together.
    """
    plan = checked_plan(range(len(costs.reach_K)) if plan is None else plan, len(costs.reach_K))
    search = Search(
        V_PN,
        costs.of_plan(plan),
        distribution=distribution,
        scale=scale,
        fit=fit,
        loss_PN=loss_PN,
    )
    limit = budget.limit(costs)
    if costs.full <= limit:
        return full_depth(len(plan), costs.full)
    found = search.within(limit)
    if found is None:
        raise unmet(budget, costs, search.cheapest(), plan, f"{fit}, {distribution}")
    return found


def checked_plan(plan: Sequence[int], exits: int) -> tuple[int, ...]:
    """The plan as a tuple; raises ThresholdsError unless it ascends to the last of the exits."""
    plan = tuple(int(k) for k in plan)
    if not plan or list(plan) != sorted(set(plan)) or plan[0] < 0 or plan[-1] != exits - 1:
        raise ThresholdsError(
            f"exits to look at are {plan} of {exits}; give ascending indices up to {exits - 1}"
        )
    return plan


def unmet(
    budget: Budget, costs: SegmentCosts, cheapest: Setting, plan: Sequence[int], how: str
) -> BudgetUnmet:
    """The refusal, naming what can be asked for; full depth when checking is dearer than that."""
    least = min(cheapest.cost, costs.full)
    closest = budget.in_own_unit(least, costs)
    how = "full depth" if least == costs.full else f"{how}, parameter {cheapest.parameter:g}"
    word = "most" if budget.kind == "rate_hz" else "least"
    return BudgetUnmet(
        f"budget {budget.kind} is {budget.value}, but the {word} that can be kept is {closest:.6g} "
        f"({how}, looking at exits {', '.join(map(str, plan))}); ask for that, or use a faster "
        "machine or fewer exits",
        closest,
    )
