"""The layer every chunk left at, against time, and why there."""

import numpy as np

from a1_core.policy import ExitReason
from a1_rqt.panels.panel import Panel, colour_plot, make_legend, make_plot
from a1_rqt.qt import pyqtgraph
from a1_rqt.run_state import RunState
from a1_rqt.theme import GREEN, ORANGE, PURPLE, SKY, VERMILLION, Theme

WINDOW_S = 60.0
MARKS = {
    ExitReason.CONVERGED: ("o", "●", GREEN, "converged"),
    ExitReason.LAST_EXIT: ("s", "■", ORANGE, "last exit"),
    ExitReason.DEADLINE: ("t", "▼", VERMILLION, "deadline"),
    ExitReason.FIXED: ("d", "◆", PURPLE, "fixed"),
    ExitReason.FULL: ("star", "★", SKY, "full"),
}
"""Mark (as pyqtgraph calls it and as a character), colour and name of every reason to leave."""


class ExitPanel(Panel):
    """A line through the exit layers of the last minute, a mark a chunk."""

    def __init__(self) -> None:
        super().__init__("Exit layer")
        self._plot = make_plot("time, newest chunk at 0 [s]", "exit layer [1]")
        self._plot.setXRange(-WINDOW_S, 0.0)
        self._line = self._plot.plot()
        self._marks = {}
        for reason, (mark, _, colour, _) in MARKS.items():
            item = pyqtgraph.ScatterPlotItem(symbol=mark, size=7, pen=None, brush=colour)
            self._plot.addItem(item)
            self._marks[reason] = item
        self._layers = 0
        self.body.addWidget(make_legend(entry[1:] for entry in MARKS.values()))
        self.body.addWidget(self._plot, 1)

    def refresh(self, state: RunState) -> None:
        """Draw the last minute."""
        stamps_s = state.chunks.column("stamp_s")
        first = int(np.searchsorted(stamps_s, stamps_s[-1] - WINDOW_S)) if stamps_s.size else 0
        times_s = stamps_s[first:] - stamps_s[-1:]
        layers = state.chunks.column("exit_layer")[first:]
        reasons = state.chunks.column("reason")[first:]
        self._line.setData(times_s, layers)
        for reason, item in self._marks.items():
            chosen = reasons == reason
            if chosen.any() or item.data.size:
                item.setData(times_s[chosen], layers[chosen])
        if state.num_layers != self._layers:
            self._set_layers(state.num_layers)
        if layers.size:
            self.note.set_text(f"layer {layers[-1]:.0f} of {state.num_layers}")

    def _set_layers(self, layers: int) -> None:
        self._layers = layers
        self._plot.setYRange(0.5, layers + 0.5, padding=0)
        step = max(1, round(layers / 8))
        ticks = [(layer, str(layer)) for layer in range(step, layers + 1, step)]
        self._plot.getAxis("left").setTicks([ticks])

    def apply(self, theme: Theme) -> None:
        """Take on the colours of a theme."""
        super().apply(theme)
        colour_plot(self._plot, theme)
        self._line.setPen(pyqtgraph.mkPen(theme.line, width=1))
