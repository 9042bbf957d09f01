"""The report: one page that needs nothing beside it, and its pictures as files."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, cast

import numpy as np

from a1_calibration import figures
from a1_calibration.collect import Ticks
from a1_calibration.costs import CostTables
from a1_calibration.fitting import Fitted
from a1_calibration.held_out import RateTest, compare_rates
from a1_calibration.outcome import savings_of, tolerances
from a1_calibration.recordings import Recording
from a1_calibration.request import Request
from a1_core.budget import STEPS_PER_UNIT, Search
from a1_core.calibration import DISTRIBUTION_FITS, Fit, exits_taken
from a1_core.whole_file import write_whole

PAGE = "report.html"
COSTS_HEAD = ("mean depth [of 1]", "compute [of 1]", "time of a tick [ms]")
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.result { background: #eef5ee; border-left: 4px solid #2e8b57; padding: .8rem 1rem; }
.none { background: #fbf0ee; border-color: #c0392b; }
img { max-width: 100%; } p.read { color: #555; }
table { border-collapse: collapse; } th, td { padding: .15rem .7rem; text-align: right; }
th { border-bottom: 1px solid #bbb; } td:first-child, th:first-child { text-align: left; }
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportInput:
    """Everything that the page tells of."""

    request: Request
    robot: str
    checkpoint_digest: str
    metric: str
    exits: tuple[int, ...]
    layers: int
    deviations: tuple[str, ...]
    ticks: Ticks
    fitted: Fitted
    costs: CostTables
    message: str
    recordings: Sequence[Recording]
    pictures: list[tuple[str, dict]]


def write_report(folder: Path, given: ReportInput) -> Path:
    """Write the page and its pictures into a folder; the page, which holds the pictures too."""
    pictures = dict(_pictures(given))
    for name, data in pictures.items():
        write_whole(folder / f"{name}.png", data)
    page = folder / PAGE
    write_whole(page, _page(given, pictures))
    return page


def shown_member(given: ReportInput) -> int:
    """The chosen setting, or the most aggressive one where nothing may leave early."""
    return given.fitted.member or len(given.fitted.family) - 1


def rate_test(given: ReportInput) -> RateTest | None:
    """Held-out exit rates of the shown setting against `_expected`; None with nothing held out."""
    fitted = given.fitted
    if not fitted.split.held_out:
        return None
    setting = fitted.family[shown_member(given)]
    judged = fitted.judged_N
    taken_N = exits_taken(fitted.V_PN[:, judged], setting.eta_P)
    names = [name for name, held in zip(fitted.names, judged, strict=True) if held]
    return compare_rates(_expected(given)[1], taken_N, names, int(fitted.fit_N.sum()))


def _expected(given: ReportInput) -> tuple[str, Sequence[float]]:
    """What held-out rates are tested against: only `mass` leaves as often as was asked for."""
    setting = given.fitted.family[shown_member(given)]
    if given.request.fit == "mass":
        return "the requested rates", setting.requested
    return "those of the fitted episodes", setting.realised_P.tolist()


def _pictures(given: ReportInput) -> Iterator[tuple[str, bytes]]:
    fitted = given.fitted
    member = shown_member(given)
    setting = fitted.family[member]
    labels = [str(given.exits[k] + 1) for k in fitted.plan]
    aimed = given.request.fit in DISTRIBUTION_FITS
    requested = np.asarray(setting.requested) if aimed else None
    yield (
        "exit_rates",
        figures.exit_rates(labels, requested, setting.realised_P, rate_test(given)),
    )
    yield (
        "discrepancies",
        figures.discrepancies(labels, fitted.V_PN[:, fitted.judged_N], setting.eta_P, given.metric),
    )
    savings = [savings_of(fitted, m, given.costs) for m in range(len(fitted.family))]
    flops_M = np.array([each.flops for each in savings])
    ms_M = np.array([each.ms for each in savings])
    yield (
        "trade_off",
        figures.trade_off(flops_M, ms_M, fitted.risk_M, fitted.member, given.costs.ms.full),
    )
    found = fitted.certification
    yield (
        "risk",
        figures.risk(
            flops_M,
            fitted.risk_M,
            None if found is None else found.risk,
            None if found is None else found.p_values_M,
            1.0 if found is None else found.failure / found.tried,
            fitted.member,
        ),
    )
    if given.pictures:
        yield "deepest", figures.deepest(given.pictures)


def _page(given: ReportInput, pictures: dict[str, bytes]) -> str:
    fitted = given.fitted
    judged = "held-out" if fitted.split.held_out else "fitted (nothing was held out)"

    def image(name: str) -> str:
        data = base64.b64encode(pictures[name]).decode()
        return f'<p><img alt="{name}" src="data:image/png;base64,{data}"></p>'

    style = "result" if fitted.member else "result none"
    parts = [
        f"<h1>Exit thresholds of {escape(given.robot)}</h1>",
        f'<p class="{style}">{escape(given.message)}</p>',
        _about(given),
        "<h2>Requested and realised exit rates</h2>",
        image("exit_rates"),
        _note(
            "How many ticks leave at which layer: as asked for, on the episodes that thresholds "
            "were fitted on, and on those held out, with two standard errors. The last layer is "
            "full depth."
        ),
        _aim_text(given),
        _plan_text(given),
        _rates_text(given),
        _modes_table(given),
        "<h2>Discrepancies and thresholds</h2>",
        image("discrepancies"),
        _note(
            "How far each exit's chunk is from that of the exit looked at before, on "
            f"{judged} episodes. A tick leaves at the first exit where it is left of the red line "
            "(blue; grey are those that left before or go on). "
            "Exits whose bulk lies right of their line change the chunk much: going "
            "there is worth it."
        ),
        "<h2>Compute and latency</h2>",
        image("trade_off"),
        _note(
            f"Every setting of the family, from full depth (right) to the most aggressive, on "
            f"{judged} episodes. Mean depth is the share of the backbone's {given.layers} layers "
            "that run, compute the share of full depth's FLOPs (2 a multiply-add; vision, "
            "backbone and head, checks of exits too); both are 1 at full depth. Times are from "
            "observation to chunk. Checking exits costs time: a setting that seldom leaves early "
            "may take longer than going straight to full depth (dotted)."
        ),
        _family_table(given),
        "<h2>Risk and certificate</h2>",
        image("risk"),
        _note(
            f"{_loss_text(given)} Above: its mean on {judged} episodes, which has to stay below "
            "the bound for new ones too. Below: how likely episodes as good as these would be if "
            "it did not. The walk goes from the left while p-values are at or below the level "
            "and ends at the first above it; the setting before that is certified. Points after "
            "it (grey) say nothing, however small."
        ),
    ]
    if "deepest" in pictures:
        parts += [
            "<h2>What is hard</h2>",
            image("deepest"),
            _note(
                "The ticks that go deepest, at most two an episode. If they have "
                "something in common (a grasp, an occluded object), that is where depth is spent."
            ),
        ]
    bags = f"<details><summary>{len(given.recordings)} bags</summary>{_bags_table(given)}</details>"
    parts += ["<h2>Bags</h2>", bags, _limits()]
    body = "\n".join(parts)
    title = f"Exit thresholds of {escape(given.robot)}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _note(text: str) -> str:
    return f'<p class="read">{text}</p>'


def _about(given: ReportInput) -> str:
    fitted, split = given.fitted, given.fitted.split
    return (
        f"<p>Checkpoint {given.checkpoint_digest[:12]}, metric {given.metric}, "
        f"{given.ticks.count} ticks of {len(set(fitted.names))} episodes: {len(split.fit)} "
        f"fitted on, {len(split.held_out)} held out. Times {escape(given.costs.source)}. "
        f"A tick is lost when its chunk is more than "
        f"{tolerances(fitted.promise, given.deviations)} away from full depth.</p>"
    )


def _loss_text(given: ReportInput) -> str:
    promise = given.fitted.promise
    tick = (
        "1 for a tick that is lost and 0 else"
        if promise.tick_loss == "binary"
        else "the share of the tolerance that a tick uses up, at most 1"
    )
    over = "of its worst tick" if promise.episode_loss == "max" else "on average over its ticks"
    return f"The loss of an episode, from 0 to 1, is {tick}, {over}."


def _aim_text(given: ReportInput) -> str:
    if given.request.fit in DISTRIBUTION_FITS:
        return ""
    return "<p>No rates were asked for: no distribution was aimed at.</p>"


def _plan_text(given: ReportInput) -> str:
    plan = given.fitted.plan
    left_out = [str(block + 1) for k, block in enumerate(given.exits) if k not in plan]
    if not left_out:
        return ""
    return f"<p>Exits not looked at: after layers {', '.join(left_out)}.</p>"


def _rates_text(given: ReportInput) -> str:
    test = rate_test(given)
    if test is None or math.isnan(test.p_value):
        return "<p>No chi-square test: it needs two held-out episodes and two exits in use.</p>"
    verdict = (
        "the difference is within sampling error"
        if test.p_value >= 0.05
        else "the difference is larger than sampling explains: held-out episodes are unlike those "
        "fitted on, or discrepancies tie"
    )
    return (
        f"<p>Chi-square of held-out episodes against {_expected(given)[0]}: {test.statistic:.2f} "
        f"with {test.freedom} degrees of freedom, p = {test.p_value:.3f}: {verdict}. Ticks of an "
        f"episode are alike (design effect {test.design_effect:.1f}), which the test allows "
        f"for; as if all were independent p would be {test.plain_p_value:.3g}.</p>"
    )


def _modes_table(given: ReportInput) -> str:
    """Both fits with the parameter of the shown setting, on the judged ticks."""
    fitted, costs = given.fitted, given.costs
    parameter = fitted.family[shown_member(given)].parameter
    if parameter is None or given.request.fit not in DISTRIBUTION_FITS:
        return ""
    depth_P = costs.depth.of_plan(fitted.plan)
    rows = []
    for mode in DISTRIBUTION_FITS:
        search = Search(
            fitted.V_PN[:, fitted.fit_N],
            depth_P,
            distribution=given.request.distribution,
            fit=cast(Fit, mode),
        )
        setting = search.at(round(parameter * STEPS_PER_UNIT))
        taken_N = exits_taken(fitted.V_PN[:, fitted.judged_N], setting.eta_P)
        rates = np.bincount(taken_N, minlength=len(fitted.plan)) / len(taken_N)
        rows.append(
            (
                mode + (" (used)" if mode == given.request.fit else ""),
                " ".join(f"{100 * rate:.1f}" for rate in setting.requested),
                " ".join(f"{100 * rate:.1f}" for rate in rates),
                f"{fitted.mean_cost(setting, costs.depth):.3f}",
                f"{fitted.mean_cost(setting, costs.flops) / costs.flops.full:.3f}",
                f"{fitted.mean_cost(setting, costs.ms):.1f}",
            )
        )
    head = ("fit", "requested [%]", "realised [%]", *COSTS_HEAD)
    return f"<p>Parameter c = {parameter:g}:</p>" + _table(head, rows)


def _family_table(given: ReportInput) -> str:
    fitted, found = given.fitted, given.fitted.certification
    rows = []
    for m, setting in enumerate(fitted.family):
        savings = savings_of(fitted, m, given.costs)
        rows.append(
            (
                f"{m}{' (chosen)' if m == fitted.member else ''}",
                "-" if setting.parameter is None else f"{setting.parameter:g}",
                f"{savings.depth:.3f}",
                f"{savings.flops:.3f}",
                f"{savings.ms:.1f}",
                f"{fitted.risk_M[m]:.3f}",
                "-" if found is None else f"{found.p_values_M[m]:.3g}",
            )
        )
    c = "c" if given.request.fit in DISTRIBUTION_FITS else "price of a loss"
    head = ("setting", c, *COSTS_HEAD, "mean loss of an episode", "p-value")
    return _table(head, rows)


def _bags_table(given: ReportInput) -> str:
    rows = []
    for account in given.ticks.accounts:
        recording = given.recordings[account.bag]
        left_out = ", ".join(f"{count} {what}" for what, count in account.not_used.items())
        rows.append((recording.name, account.used, left_out or "-", len(account.findings) or "-"))
    findings = [
        f"<li>{escape(given.recordings[account.bag].name)}: {escape(finding)}</li>"
        for account in given.ticks.accounts
        for finding in account.findings
    ]
    return _table(("bag", "ticks used", "not used", "findings"), rows) + (
        f"<ul>{''.join(findings)}</ul>" if findings else ""
    )


def _limits() -> str:
    return (
        "<h2>What this does not say</h2><p>Recordings cover the states that were recorded, not "
        "those that the policy reaches by itself. Agreement with full depth is not success at the "
        "task. The promise is about new episodes drawn as these were; another scene, camera or "
        "task is a reason to calibrate again. It is about the mean over episodes, not a single "
        "one. It is about chunks made from an observation alone, without committed rows, and not "
        "about chunks that a deadline cut short. And it is for one calibration: whoever makes "
        "several with the same held-out episodes and keeps the best has to say so (--tried).</p>"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def row(cells: Sequence[Any], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(str(c))}</{tag}>" for c in cells) + "</tr>"

    return "<table>" + row(head, "th") + "".join(row(r, "td") for r in rows) + "</table>"
