"""Pictures of prediction errors, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from a1_policy_node.open_loop import Tick
from a1_policy_node.prediction_error import Errors, mean

STAY, TAKEN, LAYER = "#9a9a9a", "#c2410c", "#2a78c2"
GRID = {"color": "#e5e5e5"}
STRIPS = 6


def figure_png(figure: Figure) -> bytes:
    """The picture; the figure is done with."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return buffer.getvalue()


def new_figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    """A figure and its places [rows, columns]."""
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")


def by_row(errors: Errors) -> bytes:
    """Mean error of every exit over the time at which a row is due."""
    figure, axes = plt.subplots(figsize=(8.0, 4.2), layout="constrained")
    shades = plt.colormaps["viridis"](np.linspace(0.9, 0.1, len(errors.layers)))
    for layer, row, shade in zip(errors.layers, mean(errors.joint_KNH, 1), shades, strict=True):
        axes.plot(errors.rows_s, row, color=shade, linewidth=1.2, label=f"layer {layer}")
    axes.plot(errors.rows_s, mean(errors.taken_NH, 0), color=TAKEN, linewidth=2.2, label="taken")
    axes.plot(errors.rows_s, mean(errors.stay_NH, 0), "--", color=STAY, label="staying put")
    axes.set_xlabel("row is due after the observation [s]")
    axes.set_ylabel("mean joint error [rad]")
    axes.set_ylim(bottom=0.0)
    axes.grid(**GRID)
    axes.legend(frameon=False, fontsize=8, ncols=2)
    return figure_png(figure)


def by_exit(errors: Errors) -> bytes:
    """Error of every exit over all rows, with the middle 80 % of ticks, and who leaves there."""
    figure, (axes, share) = plt.subplots(
        2, 1, figsize=(8.0, 5.0), sharex=True, layout="constrained", height_ratios=[2, 1]
    )
    per_tick_KN = mean(errors.joint_KNH, 2)
    known_KN = per_tick_KN[:, np.isfinite(per_tick_KN).all(axis=0)]
    low, high = np.quantile(known_KN, [0.1, 0.9], axis=1)
    places = np.arange(len(errors.layers))
    axes.vlines(places, low, high, color=LAYER, linewidth=6, alpha=0.3)
    axes.plot(places, known_KN.mean(axis=1), "o-", color=LAYER)
    stay = float(mean(errors.stay_NH, (0, 1)))
    axes.axhline(stay, linestyle="--", color=STAY)
    axes.annotate(
        "staying put", (places[0], stay), (0, -3), textcoords="offset points", va="top", fontsize=8
    )
    axes.set_ylabel("joint error of a chunk [rad]")
    axes.set_ylim(bottom=0.0)
    axes.grid(**GRID)
    shares = [100 * (errors.taken_N == layer).mean() for layer in errors.layers]
    share.bar(places, shares, 0.6, color=LAYER)
    share.set_xticks(places, [str(layer) for layer in errors.layers])
    share.set_xlabel("exit layer")
    share.set_ylabel("ticks that leave [%]")
    return figure_png(figure)


def over_time(errors: Errors, ticks: Sequence[Tick]) -> bytes:
    """Error of what was taken, and its exit layer, over the first episodes."""
    episodes = sorted({tick.episode for tick in ticks})[:STRIPS]
    figure, strips = plt.subplots(
        len(episodes), 1, figsize=(9.0, 0.8 + 1.7 * len(episodes)), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    per_tick_N = mean(errors.taken_NH, 1)
    for axes, episode in zip(strips[:, 0], episodes, strict=True):
        mine = np.array([tick.episode == episode for tick in ticks])
        stamps = np.array([tick.stamp_ns for tick in ticks])[mine]
        times_s = (stamps - stamps[0]) * 1e-9
        axes.plot(times_s, per_tick_N[mine], color=TAKEN, linewidth=1.4)
        axes.set_ylim(bottom=0.0)
        axes.set_ylabel("error [rad]", color=TAKEN, fontsize=9)
        layers = axes.twinx()
        layers.step(times_s, errors.taken_N[mine], where="post", color=LAYER, linewidth=1.0)
        layers.set_ylim(0.5, max(errors.layers) + 0.5)
        layers.set_ylabel("exit layer", color=LAYER, fontsize=9)
        instruction = next(tick.instruction for tick in ticks if tick.episode == episode)
        axes.set_title(f"episode {episode}: {instruction}", fontsize=9, loc="left")
    strips[-1, 0].set_xlabel("time of the observation [s]", fontsize=9)
    return figure_png(figure)
