"""How the report's figures look: SVG whose ink takes the page's colour, in light and in dark.

Data colours are those of Okabe and Ito, which colour-blind readers can tell apart; what a colour
means is also written, or told by a shape.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from a1_views.tick import STAGES

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
    "CONVERGED": ("o", "#009e73", "converged"),
    "LAST_EXIT": ("s", "#e69f00", "last exit"),
    "DEADLINE": ("v", "#d55e00", "deadline"),
    "FIXED": ("D", "#cc79a7", "fixed"),
    "FULL": ("*", "#56b4e9", "full"),
}
"""Mark, colour and name of every reason to leave; page and window have the same."""
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


@contextmanager
def drawing(name: str, width_in: float, height_in: float) -> Iterator[Figure]:
    """A figure in this style; `name` makes the ids within its SVG, the same each time."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure


def legend_beside(axes: Axes) -> None:
    """A legend to the right of the axes, where no data are."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7.5, handlelength=1.0,
                    labelspacing=0.25, borderaxespad=0.3)  # fmt: skip


def svg_of(figure: Figure, label: str) -> str:
    """The drawing alone, without the XML around it, with the page's colours for ink and lines."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for written, wanted in SUBSTITUTES.items():
        text = text.replace(written, wanted)
    # The picture takes the width of its column; its height follows.
    text = re.sub(r'(<svg [^>]*?) width="[^"]+"', r"\1", text, count=1)
    text = re.sub(r'(<svg [^>]*?) height="[^"]+"', r"\1", text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
