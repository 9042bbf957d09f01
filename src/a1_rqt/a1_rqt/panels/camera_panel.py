"""The cameras' images that the policy acted on."""

from a1_rqt.panels.panel import Panel
from a1_rqt.qt import QtCore, QtGui, QtWidgets
from a1_rqt.run_state import RunState

GAP = 6
"""Between two images [px]."""

MOST_TIMES = 3


class CameraPanel(Panel):
    """The thumbnails as large as they fit, never beyond MOST_TIMES their size."""

    def __init__(self) -> None:
        super().__init__("What the policy saw")
        self._picture = Picture()
        self.body.addWidget(self._picture, 1)
        self._shown: object = None

    def refresh(self, state: RunState) -> None:
        """Show the newest thumbnails; their frame_id names the cameras."""
        msg = state.thumbnails
        if msg is None or msg is self._shown:
            return
        self._shown = msg
        image = QtGui.QImage.fromData(bytes(msg.data))
        self._picture.show_image(image, msg.header.frame_id.split("|"))


class Picture(QtWidgets.QWidget):
    """Images that came as one, each with its name below."""

    def __init__(self) -> None:
        super().__init__()
        self._image = QtGui.QImage()
        self._names: list[str] = []
        self.setMinimumHeight(70)

    def show_image(self, image: QtGui.QImage, names: list[str]) -> None:
        """Show another image of `names`, each of the same width."""
        self._image, self._names = image, names
        self.update()

    def places(self) -> list[QtCore.QRect]:
        """Where each image goes: beside or below each other, whichever shows them larger."""
        line, count = self.fontMetrics().lineSpacing(), len(self._names)
        one = QtCore.QSize(self._image.width() // count, self._image.height())
        layouts = []
        for columns, rows in ((count, 1), (1, count)):
            room = QtCore.QSize(
                (self.width() - GAP * (columns - 1)) // columns,
                (self.height() - GAP * (rows - 1)) // rows - line,
            )
            keep = QtCore.Qt.AspectRatioMode.KeepAspectRatio
            layouts.append((columns, one.scaled(room, keep).boundedTo(MOST_TIMES * one)))
        columns, size = max(layouts, key=lambda layout: layout[1].width())
        left = (self.width() - columns * size.width() - GAP * (columns - 1)) // 2
        step = QtCore.QSize(size.width() + GAP, size.height() + line + GAP)
        corners = [
            QtCore.QPoint(left + k % columns * step.width(), k // columns * step.height())
            for k in range(count)
        ]
        return [QtCore.QRect(corner, size) for corner in corners]

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Paint the images and their names."""
        painter = QtGui.QPainter(self)
        if self._image.isNull():
            centre = QtCore.Qt.AlignmentFlag.AlignCenter
            painter.drawText(self.rect(), centre, "no thumbnails heard")
        else:
            painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
            width = self._image.width() // len(self._names)
            for number, (name, place) in enumerate(zip(self._names, self.places(), strict=True)):
                part = QtCore.QRect(number * width, 0, width, self._image.height())
                painter.drawImage(place, self._image, part)
                self._write_below(painter, place, name)
        painter.end()

    def _write_below(self, painter: QtGui.QPainter, place: QtCore.QRect, name: str) -> None:
        metrics, elide = self.fontMetrics(), QtCore.Qt.TextElideMode.ElideRight
        painter.drawText(
            place.left(),
            place.bottom() + 1 + metrics.ascent(),
            metrics.elidedText(name, elide, place.width()),
        )
