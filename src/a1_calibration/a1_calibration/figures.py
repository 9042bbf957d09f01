"""The report's pictures, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from a1_calibration.held_out import RateTest
from a1_core.calibration import exits_taken

WANTED, FITTED, HELD = "#bdbdbd", "#2a78c2", "#e07b00"
GOOD, BAD = "#2e8b57", "#c0392b"
DPI = 120
GRID = {"color": "#e5e5e5"}


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    plt.close(figure)
    return buffer.getvalue()


def exit_rates(
    labels: Sequence[str],
    requested_P: NDArray[np.float64] | None,
    fitted_P: NDArray[np.float64],
    test: RateTest | None,
) -> bytes:
    """Requested (where any are) and realised share of ticks at every exit."""
    figure, axes = plt.subplots(figsize=(8.0, 3.6), layout="constrained")
    places = np.arange(len(labels))
    rows: list[tuple[str, NDArray[np.float64], str, NDArray[np.float64] | None]] = [
        ("realised, fitted", fitted_P, FITTED, None)
    ]
    if requested_P is not None:
        rows.insert(0, ("requested", requested_P, WANTED, None))
    if test is not None:
        rows.append(("realised, held out (2 s.e.)", test.realised_P, HELD, 2 * test.error_P))
    width = 0.8 / len(rows)
    for number, (label, values, colour, error) in enumerate(rows):
        at = places + (number - (len(rows) - 1) / 2) * width
        axes.bar(at, 100 * values, width, color=colour, label=label)
        if error is not None:
            axes.errorbar(
                at, 100 * values, yerr=100 * error, fmt="none", ecolor="#444444", capsize=3
            )
    axes.set_xticks(places, labels)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("exit layer")
    axes.set_ylabel("ticks that leave there [%]")
    axes.grid(axis="y", **GRID)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9)
    return _png(figure)


def discrepancies(
    labels: Sequence[str], V_PN: NDArray[np.float64], eta_P: NDArray[np.float64], metric: str
) -> bytes:
    """Distribution of the discrepancy at every exit that can fire, with its threshold.

    In colour the ticks that leave there: neither before, nor later.
    """
    count = len(labels) - 1
    figure, strips = plt.subplots(
        count, 1, figsize=(8.0, 0.7 + 0.75 * count), sharex=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    values = V_PN[1:]
    seen = values[np.isfinite(values) & (values > 0.0)]
    low, high = (seen.min(), seen.max()) if len(seen) else (1e-3, 1.0)
    if not low < high:
        low, high = low / 2, high * 2
    bins = np.geomspace(low, high, 60)
    taken_N = exits_taken(V_PN, eta_P)
    for k, axes in enumerate(strips[:, 0], start=1):
        there_N = np.isfinite(V_PN[k])
        axes.hist(np.clip(V_PN[k][there_N], low, high), bins=bins, color=WANTED)
        leaves_N = there_N & (taken_N == k)
        axes.hist(np.clip(V_PN[k][leaves_N], low, high), bins=bins, color=FITTED)
        eta = eta_P[k]
        if np.isposinf(eta):
            note = "always leaves"
        elif np.isneginf(eta):
            note = "never leaves"
        else:
            axes.axvline(eta, color=BAD, linewidth=1.6)
            note = f"$\\eta$ = {eta:.3g}"
        axes.set_ylabel(labels[k], rotation=0, ha="right", va="center")
        axes.text(1.01, 0.5, note, transform=axes.transAxes, va="center", fontsize=9)
        axes.set_yticks([])
        axes.spines[["top", "right", "left"]].set_visible(False)
    strips[-1, 0].set_xscale("log")
    wide = high > 100 * low
    strips[-1, 0].xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    strips[-1, 0].xaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    strips[-1, 0].xaxis.set_minor_formatter(NullFormatter())
    strips[-1, 0].set_xlabel(
        f"discrepancy from the exit looked at before ({metric}, normalised actions)"
    )
    figure.supylabel("exit layer", fontsize=10)
    return _png(figure)


def trade_off(
    flops_M: NDArray[np.float64],
    ms_M: NDArray[np.float64],
    risk_M: NDArray[np.float64],
    chosen: int,
    full_ms: float,
) -> bytes:
    """Mean loss of an episode against compute and against latency, a point a setting."""
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 3.5), sharey=True, layout="constrained")
    for axes, cost_M, name, full in (
        (panels[0], 100 * flops_M, "compute [% of full depth]", 100.0),
        (panels[1], ms_M, "latency of a tick [ms]", full_ms),
    ):
        axes.plot(cost_M, risk_M, "-o", color=FITTED, markersize=4)
        axes.plot(cost_M[chosen], risk_M[chosen], "o", color=HELD, markersize=10, zorder=3,
                  label="chosen")  # fmt: skip
        axes.axvline(full, color="#888888", linestyle=":", label="straight to full depth")
        axes.set_xlabel(name)
        axes.set_xlim(left=0.0)
        axes.set_ylim(-0.02, max(0.1, 1.08 * float(risk_M.max())))
        axes.grid(**GRID)
    panels[0].set_ylabel("mean loss of an episode")
    panels[0].legend(frameon=False, fontsize=9)
    return _png(figure)


def risk(
    flops_M: NDArray[np.float64],
    risk_M: NDArray[np.float64],
    bound: float | None,
    p_M: NDArray[np.float64] | None,
    level: float,
    member: int,
) -> bytes:
    """Observed risk and p-value along the walk, with the certified point."""
    rows = 1 if p_M is None else 2
    figure, panels = plt.subplots(
        rows, 1, figsize=(8.0, 2.6 * rows + 0.6), sharex=True, squeeze=False, layout="constrained"
    )
    settings = np.arange(len(risk_M))
    panels[0, 0].plot(settings, risk_M, "-o", color=FITTED, markersize=4, label="observed risk")
    panels[0, 0].set_ylabel("mean loss\nof an episode")
    panels[0, 0].set_ylim(-0.02, max(0.1, 1.08 * float(risk_M.max())))
    if bound is not None:
        panels[0, 0].axhline(bound, color=BAD, linestyle="--", label=f"bound {bound:g}")
    if p_M is not None:
        walked = np.arange(len(p_M)) <= int(np.argmax(p_M > level) if (p_M > level).any() else 1e9)
        colours = [GOOD if p <= level else BAD for p in p_M]
        shown = np.maximum(p_M, 1e-12)
        panels[1, 0].scatter(settings[walked], shown[walked], zorder=3,
                             c=[c for c, w in zip(colours, walked, strict=True) if w])  # fmt: skip
        panels[1, 0].scatter(settings[~walked], shown[~walked], c="#cccccc", zorder=2)
        panels[1, 0].axhline(level, color=BAD, linestyle="--", label=f"level {level:g}")
        panels[1, 0].set_yscale("log")
        panels[1, 0].set_ylim(min(1e-3, float(shown.min()) / 2), 2.0)
        panels[1, 0].set_ylabel("p-value\n(grey: not walked)")
    for axes in panels[:, 0]:
        if member > 0:
            axes.axvline(member, color=GOOD, linewidth=8, alpha=0.25, label="chosen")
        axes.grid(**GRID)
        axes.legend(frameon=False, fontsize=9)
    panels[-1, 0].set_xticks(
        settings, [f"{m}\n{100 * share:.0f}%" for m, share in zip(settings, flops_M, strict=True)],
        fontsize=8,
    )  # fmt: skip
    panels[-1, 0].set_xlabel("setting, from full depth to the most aggressive, and its compute")
    return _png(figure)


def deepest(pictures: Sequence[tuple[str, dict[str, NDArray[np.uint8]]]]) -> bytes:
    """What the policy saw at the hardest ticks, all cameras side by side."""
    columns = min(4, len(pictures))
    rows = -(-len(pictures) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(2.6 * columns, 1.9 * rows), squeeze=False, layout="constrained"
    )
    for axes in panels.flat:
        axes.axis("off")
    for axes, (title, images) in zip(panels.flat, pictures, strict=False):
        axes.imshow(side_by_side(list(images.values())))
        axes.set_title(title, fontsize=8)
    return _png(figure)


def side_by_side(images: Sequence[NDArray[np.uint8]], height: int = 128) -> NDArray[np.uint8]:
    """Images next to each other, brought to one height by leaving out or repeating rows."""
    scaled = []
    for image in images:
        h, w = image.shape[:2]
        width = max(1, round(w * height / h))
        rows = np.arange(height) * h // height
        columns = np.arange(width) * w // width
        scaled.append(image[rows][:, columns])
    return np.concatenate(scaled, axis=1)
