"""Pictures of figures: exits against the phases of a task, and success against cost."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from a1_sim.records import EpisodeRecord

PHASE_COLOURS = {
    "approach": "#dbe7f5",
    "descend": "#c9e4d8",
    "touch": "#fbe3a4",
    "grasp": "#f6dcc0",
    "carry": "#e3d6f0",
    "push": "#cfe6ea",
    "release": "#f8d3d8",
    "retreat": "#e8e8e8",
    "done": "#d5f0d0",
}
# As much as a strip is wide.
TITLE_LENGTH = 110
# Width of a strip, and of a letter in it.
STRIP_IN, LETTER_IN = 8.8, 0.065
PANELS_IN_A_ROW = 4
LEGEND_COLUMNS = 6
DONE_COLOUR, FIRED_COLOUR = "#1f7a3d", "#2a78c2"
SETTING_COLOURS = {"full": "#444444", "adaptive": "#e07b00", "fixed": "#2a78c2"}


def plot_exits(path: Path, records: Sequence[EpisodeRecord]) -> None:
    """Exit layer of every inference over time, one strip an episode, phases as background."""
    rows = max(1, len(records))
    figure, strips = plt.subplots(
        rows, 1, figsize=(9.5, 1.0 + 1.55 * rows), squeeze=False, layout="constrained"
    )
    used: dict[str, str] = {}
    longest_s = max((_lasted_s(record) for record in records), default=1.0)
    for axes, record in zip(strips[:, 0], records, strict=False):
        _shade_phases(axes, record, used, longest_s)
        times = [sample.time_s for sample in record.exits]
        layers = [sample.exit_layer for sample in record.exits]
        axes.step(times, layers, where="post", color="#333333", linewidth=1.0, zorder=2)
        axes.plot(times, layers, "o", color="#c2410c", markersize=4.5, zorder=3)
        deepest = max((sample.num_layers for sample in record.exits), default=1)
        axes.set_ylim(0.5, 0.5 + 1.22 * deepest)  # Above the last layer stand names of phases.
        axes.set_yticks(range(2, deepest + 1, 2))
        axes.set_xlim(0.0, longest_s)
        _mark_steps(axes, record)
        outcome = "success" if record.success else record.reason
        title = f"{record.instruction}: {outcome}"
        title = textwrap.shorten(title, TITLE_LENGTH, placeholder=" ...")
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_ylabel("exit layer [1]", fontsize=9)
        axes.grid(axis="y", color="white", linewidth=0.8)
        axes.tick_params(labelsize=8)
    strips[-1, 0].set_xlabel("time of the observation [s]", fontsize=9)
    handles: dict[str, Artist] = {
        phase: plt.Rectangle((0, 0), 1, 1, color=colour) for phase, colour in used.items()
    }
    if any(len(record.steps) > 1 for record in records):
        handles["step done"] = Line2D([], [], color=DONE_COLOUR, linewidth=1.4)
        handles["called done"] = Line2D([], [], color=FIRED_COLOUR, marker="v", linestyle="")
    if handles:
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside lower center",
            ncols=min(len(handles), LEGEND_COLUMNS),
            fontsize=8,
            frameon=False,
        )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _shade_phases(
    axes: Axes, record: EpisodeRecord, used: dict[str, str], longest_s: float
) -> None:
    """A band a phase, with its name where there is room: pale colours alone are hard to tell."""
    starts = [sample.time_s for sample in record.exits]
    ends = [*starts[1:], record.elapsed_s]
    moments = zip(record.exits, starts, ends, strict=False)
    for phase, group in itertools.groupby(moments, key=lambda moment: moment[0].phase):
        (_, start, end), *more = group
        end = max(start, more[-1][2] if more else end)
        used[phase] = PHASE_COLOURS.get(phase, "#eeeeee")
        axes.axvspan(start, end, color=used[phase], linewidth=0, zorder=0)
        if (end - start) / longest_s * STRIP_IN > LETTER_IN * (len(phase) + 1):
            middle = (start + end) / 2
            axes.text(middle, 0.95, phase, fontsize=7, ha="center", va="top", color="#444444",
                      transform=axes.get_xaxis_transform())  # fmt: skip


def _lasted_s(record: EpisodeRecord) -> float:
    """Until the end or the last inference: a policy may call done later what is done."""
    return max([record.elapsed_s, *(sample.time_s for sample in record.exits)])


def _mark_steps(axes: Axes, record: EpisodeRecord) -> None:
    """Of several steps: a line where the world saw one done, an arrow where the policy did."""
    if len(record.steps) < 2:
        return
    for step in record.steps:
        if step.done_s is not None:
            axes.axvline(step.done_s, color=DONE_COLOUR, linewidth=1.4, zorder=1)
        if step.fired_s is not None:
            top = axes.get_ylim()[1]
            axes.plot(step.fired_s, top, "v", color=FIRED_COLOUR, clip_on=False, zorder=4)


def plot_summary(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Success rate with its 95% interval against compute, one panel a task."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    columns = min(max(1, len(tasks)), PANELS_IN_A_ROW)
    lines = max(1, -(-len(tasks) // columns))
    figure, panels = plt.subplots(
        lines,
        columns,
        figsize=(1.2 + 3.6 * columns, 0.8 + 3.0 * lines),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    for axes in panels.flat[len(tasks) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("success rate, 95% interval")
    for axes in panels.flat[max(0, len(tasks) - columns) : len(tasks)]:
        axes.set_xlabel("compute, share of full depth")
    for axes, task in zip(panels.flat, tasks, strict=False):
        for row in rows:
            if row["task"] != task:
                continue
            low, high = row["interval95"]
            rate, cost = row["success_rate"], row["flops_fraction"]
            if row["clock"] != "lockstep":
                cost += 0.02  # beside its twin, not on it
            axes.errorbar(
                cost,
                rate,
                yerr=[[max(0.0, rate - low)], [max(0.0, high - rate)]],
                fmt="o" if row["clock"] == "lockstep" else "s",
                markerfacecolor="white" if row["clock"] != "lockstep" else None,
                color=SETTING_COLOURS.get(row["setting"], "#888888"),
                capsize=4,
                label=f"{row['setting']}, {row['clock']}",
            )
        axes.set_title(task.replace("_", " "), fontsize=11)
        axes.set_xlim(0.0, 1.08 * max(1.0, *(row["flops_fraction"] for row in rows)))
        axes.set_ylim(-0.02, 1.04)
        axes.grid(color="#e5e5e5")
    handles: dict[str, Any] = {}
    for axes in panels.flat[: len(tasks)]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=3,
        fontsize=9,
        frameon=False,
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)
