"""The report's figures, as SVG for a page: ink takes the page's colour, in light and in dark.

Data colours are those of Okabe and Ito, which colour-blind readers can tell apart; what a colour
means is also written, or told by a shape.
"""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from a1_views.run import Chunk, Run, Span, overlaps_s
from a1_views.tick import NS_PER_S, STAGES

INK, LINE = "#010101", "#020202"
SUBSTITUTES = {INK: "currentColor", LINE: "var(--line)"}
STAGE_COLOURS = dict(
    zip(
        STAGES,
        ("#8c8c8c", "#cc79a7", "#56b4e9", "#0072b2", "#e69f00", "#009e73", "#f0e442"),
        strict=True,
    )
)
MODE_COLOURS = {
    "TRACKING": "#009e73",
    "HOLD": "#56b4e9",
    "SHADOW": "#cc79a7",
    "DISARMED": "#8c8c8c",
    "STOPPED": "#e69f00",
    "FAULT": "#d55e00",
}
PHASE_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#8c8c8c")
REASON_MARKS = {
    "CONVERGED": ("o", "#0072b2", "converged"),
    "LAST_EXIT": ("s", "#d55e00", "last exit"),
    "DEADLINE": ("D", "#cc79a7", "deadline"),
    "FIXED": ("^", "#8c8c8c", "fixed"),
    "FULL": ("v", "#8c8c8c", "full depth"),
}
TAKEN, REFUSED = "#0072b2", "#d55e00"
GOOD_VERDICTS = ("ACCEPTED", "SHADOW")
STYLE = {
    "svg.fonttype": "path",
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": LINE,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
BAND = 0.45
STRIP_IN = 1.35
CLOSE_S = 4.0


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
    """Everything over one axis of time; the SVG, and where the axis begins and ends in it (0..1)."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": f"timeline {run.name}"}):
        heights = [0.62, 1.5, 1.0, 1.0, 1.1, 1.0]
        figure = Figure(figsize=(width_in, STRIP_IN * sum(heights)), layout="constrained")
        FigureCanvasSVG(figure)
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
        return _svg(figure, f"timeline of {run.name}"), (box.x0, box.x1)


def _bands(axes: Axes, run: Run, scale: Scale) -> None:
    """Mode of the controller above, phase of the task below."""
    axes.set_ylim(0.0, 2.0)
    axes.set_yticks([1.5, 0.5], ["controller", "phase"])
    axes.tick_params(left=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    for span in run.modes:
        _band(axes, run, scale, span, 1.05, MODE_COLOURS.get(span.name, "#8c8c8c"))
    names = list(dict.fromkeys(span.name for span in run.phases))
    colours = {name: PHASE_COLOURS[k % len(PHASE_COLOURS)] for k, name in enumerate(names)}
    for span in run.phases:
        _band(axes, run, scale, span, 0.05, colours[span.name])
    for name, colour in colours.items():
        axes.broken_barh([(0.0, 0.0)], (0.0, 0.0), facecolor=colour, alpha=BAND, label=name)
    _legend(axes)
    if not run.phases:
        axes.text(0.0, 0.5, " the bag says nothing of phases", va="center", fontsize=8)


def _band(
    axes: Axes, run: Run, scale: Scale, span: Span, bottom: float, colour: str
) -> None:
    begin, end = run.seconds(span.begin_ns), run.seconds(span.end_ns)
    axes.broken_barh([(begin, end - begin)], (bottom, 0.9), facecolor=colour, alpha=BAND)
    # A letter is about 0.085 in wide; a name that does not fit is left to the table.
    room_in = (end - begin) / scale.longest_s * axes.figure.get_figwidth() * 0.8
    if room_in > 0.085 * len(span.name) + 0.1:
        axes.text((begin + end) / 2, bottom + 0.42, span.name, ha="center", va="center", fontsize=7)


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
    axes.set_ylabel("exit layer")
    axes.grid(axis="y")
    _legend(axes)


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
    _legend(axes)


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
        values = np.nan_to_num([tick.stage_ms(stage) for tick in run.ticks])
        axes.bar(
            times, values, width=_bar_width(times), bottom=base,
            color=STAGE_COLOURS[stage], linewidth=0, label=stage,
        )  # fmt: skip
        base = base + values
    axes.set_ylabel("latency\n[ms]")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    _legend(axes)


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
    for refused in run.refusals:
        at = run.seconds(refused.stamp_ns)
        if 0.0 <= at <= run.duration_s:
            axes.plot([at], [0.0], "|", color=REFUSED, transform=axes.get_xaxis_transform(),
                      clip_on=False)  # fmt: skip


def _legend(axes: Axes) -> None:
    """To the right of the strip, where no data are."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7.5, handlelength=1.0,
                    labelspacing=0.25, borderaxespad=0.3)  # fmt: skip


def chunks_closer(run: Run, width_in: float) -> str:
    """A few seconds of chunks: planned rows thin, played rows thick, refused ones crossed out."""
    begin_ns = _busiest_ns(run)
    end_ns = begin_ns + round(CLOSE_S * NS_PER_S)
    shown = [c for c in run.chunks if c.end_ns > begin_ns and c.stamp_ns < end_ns]
    with mpl.rc_context({**STYLE, "svg.hashsalt": f"chunks {run.name}"}):
        figure = Figure(figsize=(width_in, 3.0), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        rows = {id(chunk): row for row, chunk in enumerate(shown)}
        planned = [_line(run, rows[id(c)], c.stamp_ns, c.end_ns) for c in shown]
        played = [_line(run, rows[id(c)], *c.played_ns) for c in shown if c.played_ns is not None]
        axes.add_collection(LineCollection(planned, colors=STAGE_COLOURS["age"], linewidths=1.2))
        axes.add_collection(LineCollection(played, colors=TAKEN, linewidths=4.0))
        _mark(axes, run, rows, shown, taken=True)
        _mark(axes, run, rows, shown, taken=False)
        axes.set_xlim(run.seconds(begin_ns), run.seconds(end_ns))
        axes.set_ylim(len(shown) + 0.5, -1.5)
        axes.set_yticks(range(len(shown)), [str(chunk.seq) for chunk in shown])
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.set_yticks([t for t in axes.get_yticks() if 0 <= t < len(shown)])
        axes.set_yticklabels([str(shown[int(t)].seq) for t in axes.get_yticks()])
        axes.set_ylabel("chunk")
        axes.set_xlabel("time since the run began [s]")
        axes.grid(axis="x")
        handles = [
            mpl.lines.Line2D([], [], color=STAGE_COLOURS["age"], linewidth=1.2, label="planned"),
            mpl.lines.Line2D([], [], color=TAKEN, linewidth=4.0, label="played"),
            mpl.lines.Line2D([], [], color=INK, marker="|", linestyle="", label="accepted"),
            mpl.lines.Line2D([], [], color=REFUSED, marker="x", linestyle="", label="refused"),
        ]
        axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7.5)
        return _svg(figure, f"chunks of {run.name}, closer")


def _busiest_ns(run: Run) -> int:
    """Where the most interesting few seconds begin: at a refused chunk, else after the start."""
    for chunk in run.chunks:
        if chunk.verdict and chunk.verdict not in GOOD_VERDICTS:
            return max(run.begin_ns, chunk.stamp_ns - round(CLOSE_S / 2 * NS_PER_S))
    return run.begin_ns


def _line(run: Run, row: int, begin_ns: int, end_ns: int) -> list[tuple[float, float]]:
    return [(run.seconds(begin_ns), row), (run.seconds(end_ns), row)]


def _mark(
    axes: Axes, run: Run, rows: dict[int, int], shown: Sequence[Chunk], *, taken: bool
) -> None:
    for chunk in shown:
        if chunk.judged_ns is not None and (chunk.verdict in GOOD_VERDICTS) is taken:
            mark, colour = ("|", INK) if taken else ("x", REFUSED)
            axes.plot(
                [run.seconds(chunk.judged_ns)], [rows[id(chunk)]], mark, color=colour, markersize=6
            )


def exits_taken(runs: Sequence[Run], width_in: float) -> str:
    """Share of chunks that left at every layer, a bar a run."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": "exits"}):
        figure = Figure(figsize=(width_in, 2.6), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        layers = max((t.num_layers for run in runs for t in run.ticks), default=1)
        width = 0.8 / len(runs)
        for number, run in enumerate(runs):
            counts = Counter(tick.exit_layer for tick in run.ticks)
            total = max(1, len(run.ticks))
            at = np.arange(1, layers + 1) + (number - (len(runs) - 1) / 2) * width
            axes.bar(
                at, [100 * counts[layer] / total for layer in range(1, layers + 1)], width,
                color=(TAKEN, "#e69f00")[number % 2], label=run.name,
            )  # fmt: skip
        axes.set_xlabel("exit layer")
        axes.set_ylabel("chunks that leave\nthere [%]")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        if len(runs) > 1:
            axes.legend(loc="upper right", fontsize=8)
        return _svg(figure, "exits taken")


def discrepancies(run: Run, width_in: float) -> str:
    """Discrepancies at every exit that was looked at, and the thresholds; empty without any."""
    points = [
        (exit_index, value, exit_index == tick.exits[-1] and tick.reason == "CONVERGED")
        for tick in run.ticks
        for exit_index, value in zip(tick.exits, tick.discrepancies, strict=True)
        if math.isfinite(value) and value > 0.0
    ]
    if not points:
        return ""
    layers = [int(layer) for layer in getattr(run.thresholds, "exits", ())]
    with mpl.rc_context({**STYLE, "svg.hashsalt": f"discrepancies {run.name}"}):
        figure = Figure(figsize=(width_in, 2.8), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        for left, mark, colour, label in (
            (False, "o", "#8c8c8c", "went on"),
            (True, "o", TAKEN, "left there"),
        ):
            chosen = [(k, value) for k, value, leaves in points if leaves is left]
            axes.plot(
                [_at(layers, k) + (0.1 if left else -0.1) for k, _ in chosen],
                [value for _, value in chosen],
                mark, color=colour, markersize=3, alpha=0.9, label=label, linestyle="",
            )  # fmt: skip
        limits = {
            k: limit
            for tick in run.ticks
            for k, limit in zip(tick.exits, tick.thresholds, strict=True)
            if math.isfinite(limit)
        }
        for number, (k, limit) in enumerate(sorted(limits.items())):
            at = _at(layers, k)
            axes.hlines(
                limit, at - 0.35, at + 0.35, color=REFUSED, linewidth=2.5,
                label="threshold" if number == 0 else None,
            )  # fmt: skip
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 99 * low else (1.0,)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("exit layer" if layers else "exit, counted from 0")
        axes.set_ylabel(f"discrepancy\n({getattr(run.thresholds, 'metric', '') or 'metric units'})")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        _legend(axes)
        return _svg(figure, f"discrepancies of {run.name}")


def _at(layers: Sequence[int], exit_index: int) -> int:
    return layers[exit_index] if exit_index < len(layers) else exit_index


def _svg(figure: Figure, label: str) -> str:
    """The drawing alone, without the XML around it, with the page's colours for ink and lines."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text: Any = buffer.getvalue()
    text = text[text.index("<svg") :]
    for written, wanted in SUBSTITUTES.items():
        text = text.replace(written, wanted)
    # The picture takes the width of its column; its height follows.
    text = re.sub(r'(<svg [^>]*?) width="[^"]+"', r"\1", text, count=1)
    text = re.sub(r'(<svg [^>]*?) height="[^"]+"', r"\1", text, count=1)
    return str(text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))
