"""The cameras' images that the policy acted on."""

from a1_rqt.panels.panel import Panel
from a1_rqt.qt import QtCore, QtGui, QtWidgets
from a1_rqt.run_state import RunState


class CameraPanel(Panel):
    """The thumbnails side by side, as large as they fit, never beyond three times their size."""

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

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Paint the images and their names."""
        painter = QtGui.QPainter(self)
        metrics = self.fontMetrics()
        room = QtCore.QSize(self.width(), self.height() - metrics.lineSpacing())
        if self._image.isNull():
            centre = QtCore.Qt.AlignmentFlag.AlignCenter
            painter.drawText(self.rect(), centre, "no thumbnails heard")
        else:
            keep = QtCore.Qt.AspectRatioMode.KeepAspectRatio
            size = self._image.size().scaled(room, keep).boundedTo(3 * self._image.size())
            target = QtCore.QRect(QtCore.QPoint((self.width() - size.width()) // 2, 0), size)
            painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(target, self._image)
            width = target.width() // len(self._names)
            for number, name in enumerate(self._names):
                elide = QtCore.Qt.TextElideMode.ElideRight
                painter.drawText(
                    target.left() + number * width,
                    target.bottom() + 1 + metrics.ascent(),
                    metrics.elidedText(name, elide, width - 4),
                )
        painter.end()
