"""The report's other figures: chunks from near, exits taken, discrepancies against thresholds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from a1_views.run import Chunk, Run
from a1_views.svg import (
    GOOD_VERDICTS,
    INK,
    REFUSED,
    STAGE_COLOURS,
    TAKEN,
    drawing,
    legend_beside,
    svg_of,
)
from a1_views.tick import NS_PER_S

CLOSE_S = 4.0


def chunks_closer(run: Run, width_in: float) -> str:
    """A few seconds of chunks: planned rows thin, played rows thick, refused ones crossed out."""
    begin_ns = _busiest_ns(run)
    end_ns = begin_ns + round(CLOSE_S * NS_PER_S)
    shown = [c for c in run.chunks if c.end_ns > begin_ns and c.stamp_ns < end_ns]
    with drawing(f"chunks {run.name}", width_in, 3.0) as figure:
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
        axes.set_ylabel("number of the chunk [1]")
        axes.set_xlabel("time since the run began [s]")
        axes.grid(axis="x")
        handles = [
            Line2D([], [], color=STAGE_COLOURS["age"], linewidth=1.2, label="planned"),
            Line2D([], [], color=TAKEN, linewidth=4.0, label="played"),
            Line2D([], [], color=INK, marker="|", linestyle="", label="accepted"),
            Line2D([], [], color=REFUSED, marker="x", linestyle="", label="refused"),
        ]
        axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7.5)
        return svg_of(figure, f"chunks of {run.name}, closer")


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
    with drawing("exits", width_in, 2.6) as figure:
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
        axes.set_xlabel("exit layer [1]")
        axes.set_ylabel("chunks that leave\nthere [%]")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        if len(runs) > 1:
            axes.legend(loc="upper right", fontsize=8)
        return svg_of(figure, "exits taken")


def discrepancies(run: Run, width_in: float) -> str:
    """Discrepancies at every exit that was looked at, and the thresholds; empty without any."""
    points = [
        (exit_index, value, value <= limit)
        for tick in run.ticks
        for exit_index, value, limit in zip(
            tick.exits, tick.discrepancies, tick.thresholds, strict=True
        )
        if math.isfinite(value) and value > 0.0
    ]
    if not points:
        return ""
    layers = [int(layer) for layer in getattr(run.thresholds, "exits", ())]
    with drawing(f"discrepancies {run.name}", width_in, 2.8) as figure:
        axes = figure.subplots()
        for within, mark, colour, label in (
            (False, "x", "#e69f00", "beyond threshold"),
            (True, "o", "#009e73", "within"),
        ):
            chosen = [(k, value) for k, value, is_within in points if is_within is within]
            axes.plot(
                [_at(layers, k) + (0.1 if within else -0.1) for k, _ in chosen],
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
                limit, at - 0.35, at + 0.35, color=INK, linewidth=2.5,
                label="threshold" if number == 0 else None,
            )  # fmt: skip
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(
            LogLocator(subs=(1.0, 2.0, 5.0) if high < 99 * low else (1.0,))
        )
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("exit layer [1]" if layers else "exit, counted from 0 [1]")
        metric = getattr(run.thresholds, "metric", "")
        axes.set_ylabel(f"{metric} discrepancy\n[1]".lstrip())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        legend_beside(axes)
        return svg_of(figure, f"discrepancies of {run.name}")


def _at(layers: Sequence[int], exit_index: int) -> int:
    return layers[exit_index] if exit_index < len(layers) else exit_index
