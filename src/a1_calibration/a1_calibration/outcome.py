"""What came of a calibration: the thresholds file, and it in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a1_calibration.collect import Ticks
from a1_calibration.costs import CostTables
from a1_calibration.fitting import Fitted
from a1_calibration.recordings import Recording
from a1_calibration.request import Promise, Request
from a1_core.certificate import Certification
from a1_core.deviation import DeviationMeter
from a1_core.exit_rule import Thresholds
from a1_core.provenance import Bag, certificate_of
from a1_core.spec import RobotSpec
from a1_core.thresholds_file import ThresholdsFile, bindings_of
from a1_model.checkpoint import LoadedCheckpoint

DEVIATIONS = {"tool_tip_m": "the tool tip", "joint_rad": "a joint"}


@dataclass(frozen=True, kw_only=True)
class Savings:
    """Means over the judged ticks, as shares of full depth; times in ms on the machine measured."""

    depth: float
    flops: float
    ms: float
    full_ms: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What calibration returns.

    Attributes:
        file: as written, with its digest; None where nothing may leave early: nothing is written.
        message: what will be saved and what is guaranteed, or what is missing.
        samples, episodes: all that was read.
        report: the page.
    """

    file: ThresholdsFile | None
    message: str
    samples: int
    episodes: int
    savings: Savings
    report: Path


def savings_of(fitted: Fitted, member: int, costs: CostTables) -> Savings:
    """What a member of the family saves on the judged ticks."""
    setting = fitted.family[member]
    return Savings(
        depth=fitted.mean_cost(setting, costs.depth) / costs.depth.full,
        flops=fitted.mean_cost(setting, costs.flops) / costs.flops.full,
        ms=fitted.mean_cost(setting, costs.ms),
        full_ms=costs.ms.full,
    )


def thresholds_file(
    request: Request,
    checkpoint: LoadedCheckpoint,
    spec: RobotSpec,
    metric: str,
    recordings: tuple[Recording, ...],
    ticks: Ticks,
    fitted: Fitted,
    meter: DeviationMeter,
) -> ThresholdsFile:
    """The chosen setting with everything it is bound to and came from."""
    config, chosen, promise = checkpoint.config, fitted.chosen, fitted.promise
    assert chosen.parameter is not None and promise.tolerance is not None
    certificate = None
    if fitted.certification is not None:
        certificate = certificate_of(
            fitted.certification,
            deviation=meter.names[0],
            tolerance=promise.tolerance,
            further_tolerances=dict.fromkeys(meter.names[1:], promise.gripper),
            executed_rows=meter.rows,
            forward_kinematics=meter.kinematics,
            period_s=request.read.period_s,
            tick_loss=promise.tick_loss,
            episode_loss=promise.episode_loss,
        )
    safer: tuple[tuple[float, ...], ...] = ()
    if certificate is not None:
        safer = tuple(_floats(setting.eta_P) for setting in fitted.family[: fitted.member])
    return ThresholdsFile(
        thresholds=Thresholds(
            exits=tuple(config.exits[k] for k in fitted.plan),
            eta=_floats(chosen.eta_P),
            metric=metric,
            bindings=bindings_of(checkpoint, spec),
        ),
        fit=request.fit,
        distribution=request.distribution,
        parameter=chosen.parameter,
        samples=int(fitted.fit_N.sum()),
        episodes=len(fitted.split.fit),
        requested_rates=chosen.requested,
        realised_rates=_floats(chosen.realised_P),
        bags=_bags(recordings, ticks, fitted),
        certificate=certificate,
        safer=safer,
    )


def _bags(recordings: tuple[Recording, ...], ticks: Ticks, fitted: Fitted) -> dict[str, Bag]:
    held = set(fitted.split.held_out)
    bags = {}
    for number, recording in enumerate(recordings):
        count = len(recording.bag.episodes)
        bags[recording.name] = Bag(
            digest=recording.bag.digest,
            ticks=int((ticks.bag_N == number).sum()),
            episodes=count,
            certify=tuple(k for k in range(count) if recording.episode_name(k) in held),
        )
    return bags


def _floats(values: object) -> tuple[float, ...]:
    return tuple(float(value) for value in np.asarray(values))


def explain(request: Request, fitted: Fitted, savings: Savings, deviations: tuple[str, ...]) -> str:
    """In a sentence or two: what is saved, what is guaranteed, what is missing.

    Args:
        deviations: names of what was measured, as of `DeviationMeter`.
    """
    promise, certification = fitted.promise, fitted.certification
    saved = (
        f"saves {100 * (1 - savings.flops):.0f} % of the compute of full depth (mean depth "
        f"{savings.depth:.2f}, {savings.ms:.1f} instead of {savings.full_ms:.1f} ms a tick)"
    )
    where = "held-out" if fitted.split.held_out else "fitted"
    if certification is None:
        return f"Expected on {where} episodes: {saved}; nothing is guaranteed (no certificate)."
    if fitted.member == 0 and certification.member:
        return (
            "Nothing is saved and no file is written: setting "
            f"{certification.member} is certified, but on {where} episodes it costs no less than "
            "going straight to full depth."
        )
    if fitted.member == 0:
        told = f"Nothing is saved and no file is written: {certification.explain()}"
        return f"{told} {_what_to_do(request, certification, None)}".rstrip()
    promised = _promised(fitted, deviations)
    sure = 100 * (1 - promise.failure)
    text = f"Certified: {saved}, and with {sure:g} % confidence {promised}"
    if request.budget is None and request.parameter is None:
        return f"{text} ({certification.episodes} episodes)."
    if fitted.member == len(fitted.family) - 1:
        return (
            f"{text} ({certification.episodes} episodes); the fitted ones keep what was asked for."
        )
    wanted = len(fitted.family) - 1
    text = f"{text}; what was asked for is NOT kept. {certification.lacking(wanted)}"
    return f"{text} {_what_to_do(request, certification, wanted)}".rstrip()


def _what_to_do(request: Request, found: Certification, wanted: int | None) -> str:
    """How to get the episodes that are missing judged; empty where more would not help."""
    missing = found.missing(wanted)
    if not missing:
        return ""
    if found.test == "betting" and request.certify_bags:  # whose order is that of their names
        return (
            f"Add {missing} to --certify-bags, with names behind the others, leave --bags as they "
            "are, and run again."
        )
    return (
        f"Record {found.episodes + missing} fresh ones and run again with these in --certify-bags "
        "and all that there are now in --bags: to judge by the same ones again would use them "
        "twice."
    )


def tolerances(promise: Promise, deviations: tuple[str, ...]) -> str:
    """What a tick may be off full depth, of everything that was measured."""
    assert promise.tolerance is not None
    allowed = (
        f"{1e3 * promise.tolerance:g} mm" if promise.unit == "m" else f"{promise.tolerance:g} rad"
    )
    off = f"{allowed} at {DEVIATIONS[deviations[0]]}"
    return f"{off} or {promise.gripper:g} at the gripper" if len(deviations) > 1 else off


def _promised(fitted: Fitted, deviations: tuple[str, ...]) -> str:
    promise = fitted.promise
    off = tolerances(promise, deviations)
    if promise.tick_loss == "binary" and promise.episode_loss == "max":
        return (
            f"at most {100 * promise.risk:g} % of new episodes like these have a tick more than "
            f"{off} away from full depth"
        )
    return (
        f"the mean loss of new episodes like these ({promise.episode_loss} over ticks, "
        f"{promise.tick_loss}, tolerance {off}) is at most {promise.risk:g}"
    )
