"""Where the time of a chunk goes: from the cameras' stamp until it is handed to the middleware."""

import numpy as np

from a1_rqt.panels.exit_panel import WINDOW_S
from a1_rqt.panels.panel import Panel, colour_plot, make_plot
from a1_rqt.qt import QtCore, QtWidgets, pyqtgraph
from a1_rqt.run_state import STAGES, RunState
from a1_rqt.theme import STAGE_COLOURS, Theme

BINS = 30
PERCENTILES = (50, 95, 99)
ROWS = (*STAGES, "whole")


class LatencyPanel(Panel):
    """A stack a bin of time (means), and percentiles of every stage over all chunks held."""

    def __init__(self) -> None:
        super().__init__("Latency")
        self._plot = make_plot("time [s]", "mean [ms]")
        self._plot.setXRange(-WINDOW_S, 0.0)
        self._stacks = {}
        for stage in STAGES:
            self._stacks[stage] = pyqtgraph.BarGraphItem(
                x=[], height=[], width=0.9 * WINDOW_S / BINS, brush=STAGE_COLOURS[stage], pen=None
            )
            self._plot.addItem(self._stacks[stage])
        self._top = 0.0
        self.figures: dict[tuple[str, int], QtWidgets.QLabel] = {}
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self._plot, 1)
        row.addLayout(self._table())
        self.body.addLayout(row, 1)

    def _table(self) -> QtWidgets.QGridLayout:
        table = QtWidgets.QGridLayout()
        table.setHorizontalSpacing(10)
        table.setVerticalSpacing(2)
        right = QtCore.Qt.AlignmentFlag.AlignRight
        table.addWidget(QtWidgets.QLabel("[ms]"), 0, 1)
        for column, percentile in enumerate(PERCENTILES, 2):
            table.addWidget(QtWidgets.QLabel(f"p{percentile}"), 0, column, right)
        widest = self.fontMetrics().horizontalAdvance("0000.0")
        # The stack's top is the table's top.
        for row, stage in enumerate((*reversed(STAGES), "whole"), 1):
            swatch = QtWidgets.QFrame()
            swatch.setFixedSize(10, 10)
            colour = STAGE_COLOURS.get(stage, "transparent")
            swatch.setStyleSheet(f"background: {colour};")
            table.addWidget(swatch, row, 0)
            table.addWidget(QtWidgets.QLabel(stage), row, 1)
            for column, percentile in enumerate(PERCENTILES, 2):
                figure = QtWidgets.QLabel("-")
                figure.setAlignment(right)
                figure.setMinimumWidth(widest)
                table.addWidget(figure, row, column)
                self.figures[stage, percentile] = figure
        table.setRowStretch(len(ROWS) + 1, 1)
        return table

    def refresh(self, state: RunState) -> None:
        """Draw the last minute, tabulate all."""
        stamps_s = state.chunks.column("stamp_s")
        if not stamps_s.size:
            return
        bins = np.floor((stamps_s - stamps_s[-1]) * BINS / WINDOW_S - 1e-9).astype(int) + BINS
        recent = bins >= 0
        counts = np.bincount(bins[recent], minlength=BINS)
        base = np.zeros(BINS)
        x = (np.arange(BINS) + 0.5) * WINDOW_S / BINS - WINDOW_S
        for stage in STAGES:
            total = np.bincount(
                bins[recent], weights=state.chunks.column(stage)[recent], minlength=BINS
            )
            mean = total / np.maximum(counts, 1)
            self._stacks[stage].setOpts(x=x, y0=base, height=mean)
            base = base + mean
        self._set_top(float(base.max()))
        for stage in ROWS:
            values = np.percentile(state.chunks.column(stage), PERCENTILES)
            for percentile, value in zip(PERCENTILES, values, strict=True):
                self.figures[stage, percentile].setText(f"{value:.1f}")
        self.note.set_text(f"percentiles of {stamps_s.size} chunks")

    def _set_top(self, highest: float) -> None:
        """The axis grows at once and shrinks late, so that the picture does not tremble."""
        if not 0.4 * self._top < highest < 0.95 * self._top:
            self._top = 1.25 * highest or 1.0
            self._plot.setYRange(0, self._top, padding=0)

    def apply(self, theme: Theme) -> None:
        """Take on the colours of a theme."""
        super().apply(theme)
        colour_plot(self._plot, theme)
