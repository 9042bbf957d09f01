"""How often every layer was left at, and what was saved by leaving early."""

import numpy as np

from a1_rqt.panels.panel import Panel, colour_plot, make_plot
from a1_rqt.qt import pyqtgraph
from a1_rqt.run_state import RunState
from a1_rqt.theme import Theme


class HistogramPanel(Panel):
    """A bar a layer; the note says how much of full depth was not computed."""

    def __init__(self) -> None:
        super().__init__("Exits")
        self._plot = make_plot("exit layer [1]", "share [%]")
        self._bars = pyqtgraph.BarGraphItem(x=[], height=[], width=0.8)
        self._plot.addItem(self._bars)
        self._plot.setYRange(0, 105, padding=0)
        self.body.addWidget(self._plot, 1)

    def refresh(self, state: RunState) -> None:
        """Count the chunks that are held."""
        layers = state.chunks.column("exit_layer")
        if not layers.size:
            self._bars.setOpts(x=[], height=[])
            self.note.set_text("")
            return
        shares = np.bincount(layers.astype(int), minlength=state.num_layers + 1)[1:] / layers.size
        numbers = np.arange(1, shares.size + 1)
        self._bars.setOpts(x=numbers, height=100 * shares)
        # A little more than a round number: the label at the top has room.
        self._plot.setYRange(0, 10.5 * np.ceil(10 * shares.max()), padding=0)
        self._plot.setXRange(0.4, shares.size + 0.6, padding=0)
        step = max(1, round(shares.size / 8))
        self._plot.getAxis("bottom").setTicks(
            [[(number, str(number)) for number in numbers if number % step == 0]]
        )
        saved = 1.0 - float(np.mean(state.chunks.column("flops_fraction")))
        self.note.set_text(f"compute saved {100 * saved:.0f} %, of {layers.size} chunks")

    def apply(self, theme: Theme) -> None:
        """Take on the colours of a theme."""
        super().apply(theme)
        colour_plot(self._plot, theme)
        self._bars.setOpts(brush=theme.line, pen=theme.panel)
