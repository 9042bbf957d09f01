"""A run over one axis of time: modes, exits, staleness, overlap, latency, tracking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from a1_views.run import Run, Span, overlaps_s
from a1_views.svg import (
    GOOD_VERDICTS,
    INK,
    MODE_COLOURS,
    PHASE_COLOURS,
    REASON_MARKS,
    REFUSED,
    STAGE_COLOURS,
    TAKEN,
    drawing,
    legend_beside,
    svg_of,
)
from a1_views.tick import STAGES

Floats = NDArray[np.float64]
BAND = 0.45
LONGEST_NAME = 28
"""Letters of a phase that are shown: an instruction may be a long one."""
STRIP_IN = 1.35


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Ends of the axes that runs side by side share."""

    longest_s: float
    stale_ms: float
    left_s: tuple[float, float]
    whole_ms: float
    error_rad: float


def scale_of(runs: Sequence[Run]) -> Scale:
    """What holds all of several runs."""
    stale = [chunk.staleness_ms or 0.0 for run in runs for chunk in run.chunks]
    left = [left_s for run in runs for _, left_s in overlaps_s(run)]
    whole = [
        sum(np.nan_to_num([tick.stage_ms(stage) for stage in STAGES]))
        for run in runs
        for tick in run.ticks
    ]
    errors = [error for run in runs for _, error in run.tracking if math.isfinite(error)]
    return Scale(
        longest_s=max(1e-3, *(run.duration_s for run in runs)),
        stale_ms=1.08 * max(stale, default=1.0) or 1.0,
        left_s=(min(0.0, 1.08 * min(left, default=0.0)), max(0.1, 1.08 * max(left, default=0.0))),
        whole_ms=1.05 * float(max(whole, default=1.0)) or 1.0,
        error_rad=1.05 * max(errors, default=1e-3) or 1e-3,
    )


def timeline(run: Run, width_in: float, scale: Scale) -> tuple[str, tuple[float, float]]:
    """Everything over one axis of time: the SVG, and where in it (0 .. 1) that axis lies."""
    heights = [0.62, 1.5, 1.0, 1.0, 1.1, 1.0]
    height_in = STRIP_IN * sum(heights)
    with drawing(f"timeline {run.name}", width_in, height_in) as figure:
        strips = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        _bands(strips[0], run, scale)
        _exits(strips[1], run)
        _staleness(strips[2], run)
        _overlap(strips[3], run)
        _latency(strips[4], run)
        _tracking(strips[5], run)
        for axes in strips:
            axes.set_xlim(0.0, scale.longest_s)
        for axes in strips[1:]:
            _troubles(axes, run)
        strips[2].set_ylim(0.0, scale.stale_ms)
        strips[3].set_ylim(*scale.left_s)
        strips[4].set_ylim(0.0, scale.whole_ms)
        strips[5].set_ylim(0.0, scale.error_rad)
        strips[-1].set_xlabel("time since the run began [s]")
        figure.align_ylabels(strips)
        figure.draw_without_rendering()
        box = strips[-1].get_position()
        return svg_of(figure, f"timeline of {run.name}"), (box.x0, box.x1)


def _bands(axes: Axes, run: Run, scale: Scale) -> None:
    """Mode of the controller above, phase of the task below."""
    axes.set_ylim(0.0, 2.0)
    axes.set_yticks([1.5, 0.5], ["controller", "phase"])
    axes.tick_params(left=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    phases = list(dict.fromkeys(span.name for span in run.phases))
    colours = {name: PHASE_COLOURS[k % len(PHASE_COLOURS)] for k, name in enumerate(phases)}
    bands = [(span, 1.05, MODE_COLOURS.get(span.name, "#8c8c8c")) for span in run.modes]
    bands += [(span, 0.05, colours[span.name]) for span in run.phases]
    # What has no room for its name in the band stands beside it; modes are in capitals.
    unnamed = {
        span.name: colour
        for span, bottom, colour in bands
        if not _band(axes, run, scale, span, bottom, colour)
    }
    for name, colour in unnamed.items():
        patch = {"facecolor": colour, "alpha": BAND, "label": _short(name)}
        axes.broken_barh([(0.0, 0.0)], (0.0, 0.0), **patch)
    legend_beside(axes)
    if not run.phases:
        axes.text(0.0, 0.5, " the bag says nothing of phases", va="center", fontsize=8)


def _band(axes: Axes, run: Run, scale: Scale, span: Span, bottom: float, colour: str) -> bool:
    """One band; whether there was room for its name."""
    begin, end = run.seconds(span.begin_ns), run.seconds(span.end_ns)
    axes.broken_barh([(begin, end - begin)], (bottom, 0.9), facecolor=colour, alpha=BAND)
    # A letter is about 0.085 in wide.
    room_in = (end - begin) / scale.longest_s * axes.figure.get_figwidth() * 0.8
    name = _short(span.name)
    named = room_in > 0.085 * len(name) + 0.1
    if named:
        axes.text((begin + end) / 2, bottom + 0.42, name, ha="center", va="center", fontsize=7)
    return named


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1].rstrip()}…"


def _exits(axes: Axes, run: Run) -> None:
    times = [run.seconds(tick.stamp_ns) for tick in run.ticks]
    layers = [tick.exit_layer for tick in run.ticks]
    axes.step(times, layers, where="post", color=INK, linewidth=0.7, alpha=0.5)
    for reason, (mark, colour, label) in REASON_MARKS.items():
        chosen = [k for k, tick in enumerate(run.ticks) if tick.reason == reason]
        if chosen:
            axes.plot(
                [times[k] for k in chosen], [layers[k] for k in chosen], mark, color=colour,
                markersize=4, label=label,
            )  # fmt: skip
    deepest = max((tick.num_layers for tick in run.ticks), default=1)
    axes.set_ylim(0.4, deepest + 0.6)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.set_ylabel("exit layer [1]")
    axes.grid(axis="y")
    legend_beside(axes)


def _staleness(axes: Axes, run: Run) -> None:
    for taken, mark, colour, label in (
        (True, "o", TAKEN, "accepted"),
        (False, "x", REFUSED, "refused"),
    ):
        chunks = [
            chunk
            for chunk in run.chunks
            if chunk.judged_ns is not None and (chunk.verdict in GOOD_VERDICTS) is taken
        ]
        if chunks:
            axes.plot(
                [run.seconds(chunk.stamp_ns) for chunk in chunks],
                [chunk.staleness_ms for chunk in chunks],
                mark, color=colour, markersize=3.5, label=label,
            )  # fmt: skip
    axes.set_ylabel("staleness\n[ms]")
    axes.grid(axis="y")
    legend_beside(axes)


def _overlap(axes: Axes, run: Run) -> None:
    found = overlaps_s(run)
    axes.axhline(0.0, color=INK, linewidth=0.7)
    times = [run.seconds(at_ns) for at_ns, _ in found]
    axes.vlines(times, 0.0, [left_s for _, left_s in found], color=TAKEN, linewidth=1.2)
    axes.set_ylabel("overlap of\nchunks [s]")
    axes.grid(axis="y")


def _latency(axes: Axes, run: Run) -> None:
    times = [run.seconds(tick.stamp_ns) for tick in run.ticks]
    base = np.zeros(len(times))
    for stage in STAGES:
        top = base + np.nan_to_num([tick.stage_ms(stage) for tick in run.ticks])
        bars = _bars(np.asarray(times), _bar_width(times), base, top)
        axes.add_artist(PathPatch(bars, facecolor=STAGE_COLOURS[stage], linewidth=0, label=stage))
        base = top
    axes.set_ylabel("latency\n[ms]")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    legend_beside(axes)


def _bars(times: Floats, width: float, base: Floats, top: Floats) -> Path:
    """Bars as one path: a long run has thousands, which are slow to draw one by one."""
    left, right = times - width / 2, times + width / 2
    corners_N52 = np.stack(
        [
            np.stack(corner, -1)
            for corner in ((left, base), (left, top), (right, top), (right, base))
        ]
        + [np.stack((left, base), -1)],
        axis=1,
    )
    codes_5 = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    return Path(corners_N52.reshape(-1, 2), np.tile(codes_5, len(times)))


def _bar_width(times: Sequence[float]) -> float:
    steps = np.diff(times)
    return 0.8 * float(np.median(steps)) if len(steps) else 0.1


def _tracking(axes: Axes, run: Run) -> None:
    times = [run.seconds(at_ns) for at_ns, _ in run.tracking]
    axes.plot(times, [error for _, error in run.tracking], color="#009e73", linewidth=0.9)
    axes.set_ylabel("tracking\nerror [rad]")
    axes.grid(axis="y")


def _troubles(axes: Axes, run: Run) -> None:
    """Where the controller stopped or was at fault, and where observations were refused."""
    for span in run.modes:
        if span.name in ("STOPPED", "FAULT"):
            axes.axvline(run.seconds(span.begin_ns), color=REFUSED, linewidth=1.0, linestyle="--")
    times = [run.seconds(refused.stamp_ns) for refused in run.refusals]
    times = [at for at in times if 0.0 <= at <= run.duration_s]
    axes.plot(times, [0.0] * len(times), "|", color=REFUSED, transform=axes.get_xaxis_transform(),
              clip_on=False)  # fmt: skip
