"""A label whose text never leaves its box: the end is cut with an ellipsis, the tooltip has all."""

from a1_rqt.qt import QtCore, QtGui, QtWidgets
from a1_rqt.theme import Theme


class ElidedLabel(QtWidgets.QWidget):
    """Plain text on at most `lines` lines, broken at words."""

    def __init__(self, lines: int = 1, *, quiet: bool = False) -> None:
        super().__init__()
        self._lines = lines
        self._text = ""
        self._quiet = quiet
        self._ink: QtGui.QColor | None = None
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)

    def text(self) -> str:
        """The whole text."""
        return self._text

    def set_text(self, text: str) -> None:
        """Show another text."""
        if text != self._text:
            self._text = text
            self.setToolTip(text)
            self.update()

    def apply(self, theme: Theme) -> None:
        """Take on the colours of a theme, below a style sheet too, where Qt 5 hands none down."""
        self._ink = QtGui.QColor(theme.quiet if self._quiet else theme.text)
        self.update()

    def sizeHint(self) -> QtCore.QSize:  # noqa: N802  Qt's name
        """Room for all lines."""
        return QtCore.QSize(40, self._lines * self.fontMetrics().lineSpacing() + 1)

    def shown(self) -> list[str]:
        """The lines as they are painted at this width."""
        metrics, width = self.fontMetrics(), self.width()
        lines: list[str] = []
        words = self._text.split()
        while words:
            if len(lines) == self._lines - 1:
                elide = QtCore.Qt.TextElideMode.ElideRight
                lines.append(metrics.elidedText(" ".join(words), elide, width))
                break
            taken = 1
            while (
                taken < len(words)
                and metrics.horizontalAdvance(" ".join(words[: taken + 1])) <= width
            ):
                taken += 1
            elide = QtCore.Qt.TextElideMode.ElideRight
            lines.append(metrics.elidedText(" ".join(words[:taken]), elide, width))
            words = words[taken:]
        return lines

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Paint the lines."""
        painter = QtGui.QPainter(self)
        painter.setPen(self._ink or self.palette().color(QtGui.QPalette.ColorRole.WindowText))
        spacing, ascent = self.fontMetrics().lineSpacing(), self.fontMetrics().ascent()
        for number, line in enumerate(self.shown()):
            painter.drawText(0, ascent + number * spacing, line)
        painter.end()
