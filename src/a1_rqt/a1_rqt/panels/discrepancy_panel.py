"""How far the last inferences were from their threshold at every exit they looked at."""

import numpy as np
from numpy.typing import NDArray

from a1_rqt.panels.panel import Panel, colour_plot, make_legend, make_plot
from a1_rqt.qt import pyqtgraph
from a1_rqt.run_state import TICKS_SHOWN, RunState
from a1_rqt.theme import GREEN, ORANGE, Theme

SMALLEST = 1e-6
"""What is drawn for a discrepancy of nothing on the logarithmic axis."""

SPREAD = 0.8
"""Width that the ticks of one exit take up, of the distance between two exits."""

LEGEND = (
    ("●", GREEN, "within threshold"),
    ("✖", ORANGE, "beyond"),
    ("▬", "", "threshold"),
    ("◯", "", "newest"),
)


class DiscrepancyPanel(Panel):
    """A column an exit: in it the last ticks from left to right, the newest ringed."""

    def __init__(self) -> None:
        super().__init__("Discrepancy against threshold")
        self._plot = make_plot("exit after layer [1]", "discrepancy [1]")
        self._bars = self._plot.plot(connect="pairs")
        self._above = pyqtgraph.ScatterPlotItem(symbol="x", size=7, brush=ORANGE, pen=ORANGE)
        self._below = pyqtgraph.ScatterPlotItem(symbol="o", size=7, brush=GREEN, pen=None)
        self._newest = pyqtgraph.ScatterPlotItem(symbol="o", size=13, brush=None)
        for item in (self._above, self._below, self._newest):
            self._plot.addItem(item)
        self._shown: tuple = ()
        self.body.addWidget(make_legend(LEGEND))
        self.body.addWidget(self._plot, 1)

    def refresh(self, state: RunState) -> None:
        """Draw the last ticks."""
        points_N3 = points_of(state)
        exits, values, thresholds = points_N3[:, 0], points_N3[:, 1], points_N3[:, 2]
        ages = points_N3[:, 3]
        x = exits + SPREAD * (0.5 - ages / max(TICKS_SHOWN - 1, 1))
        y = np.log10(np.maximum(values, SMALLEST))
        within = values <= thresholds
        self._below.setData(x[within], y[within])
        self._above.setData(x[~within], y[~within])
        self._newest.setData(x[ages == 0], y[ages == 0])
        lines = thresholds_in_force(state) | newest_thresholds(exits, thresholds)
        self._draw_thresholds(lines)
        self._set_axes(state, y, lines)
        self.note.set_text(f"last {len(state.evaluations)} chunks" if state.evaluations else "")

    def _draw_thresholds(self, lines: dict[int, float]) -> None:
        drawn = {exit_: eta for exit_, eta in lines.items() if np.isfinite(eta) and eta > 0}
        x = [exit_ + side for exit_ in drawn for side in (-0.5 * SPREAD, 0.5 * SPREAD)]
        y = [np.log10(eta) for eta in drawn.values() for _ in range(2)]
        self._bars.setData(np.array(x), np.array(y))

    def _set_axes(self, state: RunState, y: NDArray[np.float64], lines: dict[int, float]) -> None:
        """Ranges move in steps, so that the picture does not tremble."""
        etas = [np.log10(eta) for eta in lines.values() if np.isfinite(eta) and eta > 0]
        everything = np.concatenate([y, etas]) if y.size or etas else np.array([-1.0])
        low, high = np.floor(everything.min() - 0.1), np.ceil(everything.max() + 0.1)
        info = state.thresholds
        exits = len(info.exits) if info is not None else 0
        highest = max([exits - 1, *lines]) if exits or lines else 0
        metric = info.metric if info is not None else ""
        shown = (low, high, highest, metric, tuple(info.exits) if info is not None else ())
        if shown == self._shown:
            return
        self._shown = shown
        self._plot.setYRange(low, high, padding=0.02)
        self._plot.getAxis("left").setTicks([decade_ticks(int(low), int(high))])
        self._plot.setXRange(-0.6, highest + 0.6, padding=0)
        axis = self._plot.getAxis("bottom")
        layers = {number: state.layer_of(number) for number in range(highest + 1)}
        step = max(1, -(-len(layers) // 12))
        axis.setTicks(
            [
                [
                    (number, str(layer) if layer is not None else f"#{number}")
                    for number, layer in layers.items()
                    if number % step == 0
                ]
            ]
        )
        self._plot.getAxis("left").setLabel(f"{metric} discrepancy [1]".lstrip())

    def apply(self, theme: Theme) -> None:
        """Take on the colours of a theme."""
        super().apply(theme)
        colour_plot(self._plot, theme)
        self._bars.setPen(pyqtgraph.mkPen(theme.text, width=3))
        self._newest.setPen(pyqtgraph.mkPen(theme.text, width=1.5))


def decade_ticks(low: int, high: int) -> list[tuple[float, str]]:
    """Places and labels of an axis of decimal logarithms that runs from `low` to `high`."""
    digits = (1, 2, 5) if high - low <= 2 else (1,)
    places = [(power, digit) for power in range(low, high + 1) for digit in digits]
    return [(power + float(np.log10(digit)), f"{digit * 10.0**power:g}") for power, digit in places]


def points_of(state: RunState) -> NDArray[np.float64]:
    """Exit index, discrepancy, threshold and age in ticks of every comparison made [n, 4]."""
    rows = [
        np.column_stack(
            [
                evaluation.exits_n,
                evaluation.discrepancies_n,
                evaluation.thresholds_n,
                np.full(evaluation.exits_n.size, age),
            ]
        )
        for age, evaluation in enumerate(reversed(state.evaluations))
    ]
    points_N4 = np.concatenate(rows) if rows else np.empty((0, 4))
    return points_N4[np.isfinite(points_N4[:, 1])]


def newest_thresholds(
    exits: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> dict[int, float]:
    """Threshold by exit index, of the newest comparison at each; the newest rows come first."""
    found: dict[int, float] = {}
    for exit_, eta in zip(exits.astype(int), thresholds, strict=True):
        found.setdefault(int(exit_), float(eta))
    return found


def thresholds_in_force(state: RunState) -> dict[int, float]:
    """Threshold by exit index, as a1/thresholds_info says them."""
    info = state.thresholds
    return {} if info is None else dict(enumerate(info.thresholds))
