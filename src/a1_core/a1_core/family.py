"""A sequence of threshold vectors from full depth to the most aggressive, for the certificate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from a1_core.budget import Search, Setting, full_depth
from a1_core.calibration import Fit
from a1_core.errors import ThresholdsError


def build_family(
    V_KN: NDArray[np.floating],
    cost_K: NDArray[np.floating],
    *,
    distribution: str = "exponential",
    scale: float | None = None,
    fit: Fit = "mass",
    size: int,
    loss_KN: NDArray[np.floating] | None = None,
) -> tuple[Setting, ...]:
    """At most `size` settings, each cheaper on the fit episodes than the one before.

    The first is full depth; the others are spread evenly over the mean cost, down to the least that
    the distribution, or the lowest price of a loss, can reach. Equal threshold vectors are left
    out, and so is all that is not cheaper than full depth.

    Args:
        V_KN: discrepancies of the ticks of the fit episodes, and of no others.
        cost_K: cost of leaving at each exit, ascending, e.g. `depth_costs(...).reach_K` or
            `SegmentCosts.of_plan`.
        size: 2 or more; each setting more is one more step for the certificate to walk, and a
            step taken costs no confidence.
        distribution, scale, fit, loss_KN: as for `Search`; losses of the same ticks.

    Raises ThresholdsError for shapes or a size that cannot be.
    """
    if size < 2:
        raise ThresholdsError(f"size of the family is {size}; give 2 or more")
    search = Search(V_KN, cost_K, distribution=distribution, scale=scale, fit=fit, loss_PN=loss_KN)
    family = [full_depth(len(cost_K), float(cost_K[-1]))]
    least = search.cheapest()
    for limit in np.linspace(family[0].cost, least.cost, size)[1:-1]:
        _add(family, search.within(float(limit)))
    _add(family, least)
    return tuple(family)


def _add(family: list[Setting], setting: Setting | None) -> None:
    if setting is not None and setting.cost < family[-1].cost:
        family.append(setting)
