"""The table of settings as a picture: success against compute, with intervals, rows labelled."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by all; shapes say the same once more, for grey print.
STYLES = {
    ("fm", "full"): ("#000000", "s"),
    ("fm", "adaptive"): ("#D55E00", "o"),
    ("fm", "fixed"): ("#0072B2", "D"),
    ("mlp", "full"): ("#009E73", "s"),
    ("mlp", "adaptive"): ("#009E73", "^"),
    ("mlp", "fixed"): ("#009E73", "D"),
}


def plot_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows by the compute of an inference; their names in two lists, in the order of the points."""
    figure, axes = plt.subplots(figsize=(10.0, 5.6), layout="constrained")
    for number, row in enumerate(rows, start=1):
        _point(axes, number, row)
    axes.set_xlabel("compute of one inference [MFLOPs, 2 a multiply-add]")
    axes.set_ylabel("success rate, 95 % interval")
    axes.set_ylim(-0.02, 1.06)
    axes.set_xlim(left=0.0)
    axes.grid(color="#e5e5e5")
    axes.set_axisbelow(True)
    if rows:
        figure.legend(loc="outside right upper", fontsize=8, frameon=False, title="rows")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _point(axes: Axes, number: int, row: Mapping[str, Any]) -> None:
    colour, marker = STYLES[row["head"], row["setting"]]
    cost, rate = 1e6 * row["tflops"], row["success_rate"]
    low, high = row["interval95"]
    axes.errorbar(
        cost,
        rate,
        yerr=[[max(0.0, rate - low)], [max(0.0, high - rate)]],
        fmt=marker,
        color=colour,
        markersize=11 if row["shipped"] else 7,
        markerfacecolor=colour if row["setting"] == "adaptive" else "white",
        capsize=3,
        linewidth=1.0,
        label=f"{number}  {row['name']}{' (best adaptive)' if row['shipped'] else ''}",
    )
    # Labels of neighbours take turns above and below their points.
    above = number % 2
    axes.annotate(
        str(number),
        (cost, high if above else low),
        xytext=(0, 4 if above else -12),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color=colour,
    )
