"""A framed part of the window with a title, and plots that all look alike."""

from collections.abc import Iterable
from typing import Any

from a1_rqt.panels.elided_label import ElidedLabel
from a1_rqt.qt import QtCore, QtWidgets, pyqtgraph
from a1_rqt.run_state import RunState
from a1_rqt.theme import Theme, palette_of


class Panel(QtWidgets.QFrame):
    """`body` takes the content; `note` is a remark beside the title."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setObjectName("panel")
        heading = QtWidgets.QLabel(title)
        font = heading.font()
        font.setBold(True)
        heading.setFont(font)
        self.note = ElidedLabel(quiet=True)
        top = QtWidgets.QHBoxLayout()
        top.setSpacing(10)
        top.addWidget(heading)
        top.addWidget(self.note, 1)
        self.body = QtWidgets.QVBoxLayout(self)
        self.body.setContentsMargins(8, 6, 8, 6)
        self.body.setSpacing(4)
        self.body.addLayout(top)

    def refresh(self, state: RunState) -> None:
        """Show the state as it is now."""

    def apply(self, theme: Theme) -> None:
        """Take on the colours of a theme."""
        self.setPalette(palette_of(theme))
        for label in self.findChildren(ElidedLabel):
            label.apply(theme)
        self.setStyleSheet(
            f"QFrame#panel {{ background: {theme.panel}; border: 1px solid {theme.border};"
            " border-radius: 4px; }"
        )


def make_plot(bottom: str, left: str) -> Any:
    """A plot that nobody drags about; the labels of its axes carry their units."""
    plot = pyqtgraph.PlotWidget()
    plot.setMenuEnabled(False)
    plot.hideButtons()
    plot.setMouseEnabled(x=False, y=False)
    plot.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
    plot.setMinimumSize(120, 90)
    for side, text in (("bottom", bottom), ("left", left)):
        axis = plot.getAxis(side)
        axis.enableAutoSIPrefix(False)
        axis.setLabel(text)
    plot.getViewBox().setDefaultPadding(0.02)
    # Room for the halves of labels at the ends of the axes.
    plot.getPlotItem().layout.setContentsMargins(1, 9, 12, 1)
    plot.disableAutoRange()
    plot.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
    return plot


def colour_plot(plot: Any, theme: Theme) -> None:
    """Give a plot's background and axes the colours of a theme."""
    plot.setBackground(theme.panel)
    for side in ("bottom", "left"):
        axis = plot.getAxis(side)
        axis.setPen(theme.border)
        axis.setTextPen(theme.text)
        axis.setLabel(axis.labelText, color=theme.text)


def make_legend(entries: Iterable[tuple[str, str, str]]) -> QtWidgets.QLabel:
    """A line of marks and names; an entry is a mark as a character, its colour and its name."""
    parts = [
        f'<span style="color: {colour};">{mark}</span>&nbsp;{name}'
        if colour
        else f"{mark}&nbsp;{name}"
        for mark, colour, name in entries
    ]
    legend = QtWidgets.QLabel("&nbsp; ".join(parts))
    legend.setTextFormat(QtCore.Qt.TextFormat.RichText)
    # At a width that does not fit, the plot below is worth more than the end of this line.
    legend.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)
    return legend
