"""What a calibration is asked for, and what it tells while it runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from a1_core.calibration import NO_DISTRIBUTION
from a1_core.certificate import strongest_test
from a1_core.deviation import EXECUTED_S
from a1_core.episode_loss import EPISODE_LOSSES, TICK_LOSSES, EpisodeLoss, TickLoss
from a1_core.errors import ThresholdsError
from a1_core.p_values import TESTS, Test, check_share
from a1_core.segment_costs import Budget, BudgetKind
from a1_data.reader import ReadSettings

UNITS = {"mm": ("m", 1e-3), "m": ("m", 1.0), "rad": ("rad", 1.0), "deg": ("rad", math.pi / 180.0)}
"""Units a tolerance may be given in: the robot's unit, and how many of it one is."""
DEFAULT_TOLERANCE = {"m": 0.01, "rad": 0.02}
BUDGET_NAMES: dict[str, BudgetKind] = {
    "depth": "depth",
    "flops": "flops",
    "ms": "latency_ms",
    "hz": "rate_hz",
}

Tell = Callable[[str, int, int], None]
"""Stage (collect | fit | certify | report), done and total; may raise Cancelled."""

Warn = Callable[[str], None]
"""Something that the user should know before it is all over."""


class Cancelled(Exception):
    """Somebody asked to stop; what was computed is kept."""


@dataclass(frozen=True, kw_only=True)
class Promise:
    """The certificate that is asked for: mean loss of an episode at most `risk`.

    Attributes:
        failure: how likely the certificate may be wrong.
        tolerance: of the chunk's deviation from full depth, in the robot's units; None: 10 mm at
            the tool tip, or 0.02 rad where there is none.
        unit: "m" (at the tool tip) or "rad" (of the joints) where the user wrote one; it decides
            what is measured. Else empty: m where the robot's spec has kinematics.
        gripper: tolerance of the grippers' 0..1.
        tick_loss, episode_loss: as for `a1_core.episode_loss`.
        test: one of TESTS, chosen before the certifying episodes are seen; empty: the strongest for
            these losses. `betting` is for episodes that are to be added later.
        tried: how many calibrations were or will be held against the same certifying episodes, of
            which the best is to be used, this one included; as for `certify`.
    """

    risk: float = 0.05
    failure: float = 0.1
    tolerance: float | None = None
    unit: str = ""
    gripper: float = 0.1
    tick_loss: TickLoss = "binary"
    episode_loss: EpisodeLoss = "max"
    test: str = ""
    tried: int = 1

    def __post_init__(self) -> None:
        check_share("certify risk", self.risk)
        check_share("certify failure", self.failure)
        for name, value in (("tolerance", self.tolerance), ("gripper tolerance", self.gripper)):
            if value is not None and not (math.isfinite(value) and value > 0.0):
                raise ThresholdsError(f"certify {name} is {value}; give a number above 0")
        if self.tried < 1:
            raise ThresholdsError(f"certify tried is {self.tried}; give 1 (this one) or more")
        if self.tick_loss not in TICK_LOSSES or self.episode_loss not in EPISODE_LOSSES:
            raise ThresholdsError(
                f"losses are {self.tick_loss}, {self.episode_loss}; use one of "
                f"{', '.join(TICK_LOSSES)} and one of {', '.join(EPISODE_LOSSES)}"
            )
        strongest = strongest_test(self.tick_loss, self.episode_loss)
        if self.test not in ("", *TESTS) or (self.test == "binomial" != strongest):
            raise ThresholdsError(
                f"certify test is '{self.test}', for losses {self.tick_loss}, {self.episode_loss}; "
                f"use {strongest}, or leave it out"
            )

    @property
    def used_test(self) -> Test:
        """The test asked for, or the strongest."""
        return cast(Test, self.test) or strongest_test(self.tick_loss, self.episode_loss)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A whole calibration.

    Attributes:
        checkpoint: directory.
        fit_bags: bags or folders of them; their episodes are split for the certificate unless
            `certify_bags` are given.
        out: thresholds file to write; `v_file` and `report` lie beside it unless named.
        fresh: forget a V file that is there.
        budget: bound on the mean tick; None: as aggressive as the certificate allows.
        parameter: c of the distribution, in place of a budget.
        promise: None: nothing is certified.
        fit: `mass` and `eq9` aim at the distribution; `least_loss` finds the thresholds that lose
            least on the fit episodes for what they cost. Empty: `least_loss` for a certificate
            where neither distribution nor parameter is given, since that certifies most; else
            `mass`.
        distribution: that is aimed at; empty: exponential, or none ("none") with `least_loss`.
        metric: of the discrepancies, as `parse_metric` reads it; empty: the checkpoint's. One
            that names no rows is taken over those that are executed.
        choose_exits: let the solver leave exits out, for a budget or a certificate by `least_loss`;
            None: for such a certificate without a budget, where the checkpoint's start allows it.
        family_size: settings that the certificate walks through at most, full depth and the most
            aggressive one included.
        certify_share: of the episodes, kept from the fit where `certify_bags` are not given. Of 200
            it leaves 105 to certify, two of which may be bad for risk 0.05 and failure 0.1 (p =
            0.0992); of 100 only one may.
        executed_s: the first seconds of a chunk, over which deviations and discrepancies count;
            0: all rows.
        costs: measured times of another machine (YAML); None: this one is measured.
        pictures: how many of the deepest ticks the report shows.
        device: that the network runs on, as torch calls it; `threads` of the CPU.
        ray: address of a Ray cluster that computes discrepancies, `local` for one on this machine;
            empty: this process does.
    """

    checkpoint: Path
    fit_bags: tuple[Path, ...]
    out: Path
    certify_bags: tuple[Path, ...] = ()
    v_file: Path | None = None
    report: Path | None = None
    fresh: bool = False
    budget: Budget | None = None
    parameter: float | None = None
    promise: Promise | None = None
    fit: str = ""
    distribution: str = ""
    metric: str = ""
    choose_exits: bool | None = None
    family_size: int = 32
    certify_share: float = 0.525
    executed_s: float = EXECUTED_S
    costs: Path | None = None
    batch: int = 16
    pictures: int = 8
    device: str = "cpu"
    threads: int = 1
    ray: str = ""
    read: ReadSettings = field(default_factory=lambda: ReadSettings(period_s=0.3))

    def __post_init__(self) -> None:
        if not self.fit_bags:
            raise ThresholdsError("no bags are given; name a folder of recordings")
        if self.batch < 1:
            raise ThresholdsError(f"batch is {self.batch}; give 1 or more")
        if self.budget is not None and self.parameter is not None:
            raise ThresholdsError("a budget and a parameter are given; give one of them")
        self._choose_fit()
        if self.parameter is not None and self.fit == "least_loss":
            raise ThresholdsError(
                f"parameter is {self.parameter}, with mode least_loss; give a budget, or a "
                "certificate alone"
            )
        if self.choose_exits and self.budget is None and not self._loses_least_alone:
            raise ThresholdsError(
                "choosing exits needs a budget, or a certificate by mode least_loss; give one, "
                "e.g. depth=0.5"
            )
        if self.budget is None and self.parameter is None and self.promise is None:
            raise ThresholdsError("nothing is asked for; give a budget, a parameter or a promise")
        if self.threads < 1:
            raise ThresholdsError(f"threads is {self.threads}; give 1 or more")
        if self.executed_s < 0.0:
            raise ThresholdsError(f"executed_s is {self.executed_s}; give 0 (all) or more")

    def _choose_fit(self) -> None:
        """Fill in what `fit` and `distribution` leave open."""
        aimed = self.distribution not in ("", NO_DISTRIBUTION) or self.parameter is not None
        fit = self.fit or ("mass" if aimed or self.promise is None else "least_loss")
        if fit == "least_loss" and self.distribution not in ("", NO_DISTRIBUTION):
            raise ThresholdsError(
                f"distribution is {self.distribution}, with mode least_loss, which aims at none; "
                "leave one of them out"
            )
        none = NO_DISTRIBUTION if fit == "least_loss" else "exponential"
        object.__setattr__(self, "fit", fit)
        object.__setattr__(self, "distribution", self.distribution or none)

    def chooses_exits(self, *, possible: bool) -> bool:
        """Whether exits are to be left out; `possible` where none depends on those before it."""
        if self.choose_exits is None:
            return possible and self._loses_least_alone
        return self.choose_exits

    @property
    def _loses_least_alone(self) -> bool:
        """A certificate by `least_loss`, without a budget."""
        return self.promise is not None and self.fit == "least_loss" and self.budget is None

    @property
    def unit(self) -> str:
        """That of deviations, see `Promise.unit`."""
        return "" if self.promise is None else self.promise.unit

    @property
    def v_path(self) -> Path:
        """Where discrepancies are kept."""
        return self.v_file or self.out.with_suffix(".v")

    @property
    def report_path(self) -> Path:
        """Folder of the report."""
        return self.report or self.out.with_suffix(".report")


def parse_budget(text: str) -> Budget:
    """From `depth=0.5`, `flops=0.6`, `ms=30` or `hz=20`."""
    name, _, value = text.partition("=")
    if name not in BUDGET_NAMES:
        raise ThresholdsError(
            f"budget is '{text}'; write one of {', '.join(BUDGET_NAMES)}, = and a number"
        )
    return Budget(kind=BUDGET_NAMES[name], value=_number("budget", value))


def parse_promise(text: str, **options: object) -> Promise:
    """From `risk,failure,tolerance`, e.g. `0.05,0.1,10mm`; the unit may be left out."""
    parts = text.split(",")
    if len(parts) != 3:
        raise ThresholdsError(
            f"certify is '{text}'; write risk,failure,tolerance, e.g. 0.05,0.1,10mm"
        )
    tolerance = parts[2].strip()
    unit = next((unit for unit in UNITS if tolerance.endswith(unit)), "")
    of_robot, factor = UNITS.get(unit, ("", 1.0))
    value = _number("certify", tolerance.removesuffix(unit)) * factor
    return Promise(
        risk=_number("certify", parts[0]),
        failure=_number("certify", parts[1]),
        tolerance=value,
        unit=of_robot,
        **options,  # type: ignore[arg-type]
    )


def _number(what: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ThresholdsError(f"{what} holds '{text}'; write a number") from None
