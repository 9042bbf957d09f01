"""The whole widget: what the policy does, what the controller makes of it, what one can do."""

import time

from rclpy.node import Node

from a1_rqt.commands import Commands
from a1_rqt.listener import Listener
from a1_rqt.panels.camera_panel import CameraPanel
from a1_rqt.panels.command_bar import CommandBar
from a1_rqt.panels.controller_panel import ControllerPanel
from a1_rqt.panels.discrepancy_panel import DiscrepancyPanel
from a1_rqt.panels.elided_label import ElidedLabel
from a1_rqt.panels.exit_panel import ExitPanel
from a1_rqt.panels.histogram_panel import HistogramPanel
from a1_rqt.panels.latency_panel import LatencyPanel
from a1_rqt.panels.thresholds_panel import ThresholdsPanel
from a1_rqt.qt import QtCore, QtWidgets
from a1_rqt.run_state import RunState
from a1_rqt.theme import Theme, theme_of

FRAME_MS = 42
"""Between two pictures of what is drawn against time, when something new has come."""

SLOW_MS = 400
"""Between two pictures of the rest: percentiles, counts, text."""

SILENCE_S = 2.0
SIDE_WIDTH = (310, 440)
"""Least and largest width of the column beside the plots [px]."""


class ExitsWidget(QtWidgets.QWidget):
    """Shows what `node` hears below `namespace`; somebody else spins the node.

    `theme` None follows the palette of the application, also when that changes.
    """

    def __init__(self, node: Node, namespace: str = "", theme: Theme | None = None) -> None:
        super().__init__()
        self.setObjectName("A1Exits")
        self.setWindowTitle("A1 exits")
        self.state = RunState()
        self._follow = theme is None
        self._theme: Theme | None = None
        self._listener = Listener(node, namespace)
        self.commands = Commands(node, namespace)
        self.bar = CommandBar(self.commands)
        self.exits = ExitPanel()
        self.discrepancies = DiscrepancyPanel()
        self.histogram = HistogramPanel()
        self.latency = LatencyPanel()
        self.controller = ControllerPanel()
        self.cameras = CameraPanel()
        self.thresholds = ThresholdsPanel({})
        self.status = ElidedLabel()
        self._said = ""
        self._drawn = -1
        self._heard_s = time.monotonic()
        self._info: object = None
        self._arrange()
        self.apply(theme or theme_of(self.palette()))
        self._fast = self._every(FRAME_MS, self.draw)
        self._slow = self._every(SLOW_MS, self.refresh)
        self.refresh()

    def draw(self) -> None:
        """Take what came, and draw it if it is new."""
        self._listener.deliver(self.state)
        if self.state.chunks.total != self._drawn:
            self._drawn = self.state.chunks.total
            self._heard_s = time.monotonic()
            self.exits.refresh(self.state)
            self.discrepancies.refresh(self.state)

    def refresh(self) -> None:
        """Bring the slow panels up to date."""
        self._listener.deliver(self.state)
        self._listener.deliver_controller(self.state, time.monotonic())
        self.commands.check_time()
        if self.state.thresholds is not self._info:
            self._info = self.state.thresholds
            self.commands.ask_files()
        self.thresholds.set_files(self.commands.files)
        for panel in (
            self.bar,
            self.histogram,
            self.latency,
            self.controller,
            self.cameras,
            self.thresholds,
        ):
            panel.refresh(self.state)
        self.status.set_text(self._status())

    def apply(self, theme: Theme) -> None:
        """Take on the colours of a theme."""
        self._theme = theme
        for panel in (
            self.bar,
            self.exits,
            self.discrepancies,
            self.histogram,
            self.latency,
            self.controller,
            self.cameras,
            self.thresholds,
        ):
            panel.apply(theme)

    def shut_down(self) -> None:
        """Stop drawing and destroy what the node was given."""
        self._fast.stop()
        self._slow.stop()
        self._listener.destroy()
        self.commands.destroy()

    def changeEvent(self, event: QtCore.QEvent) -> None:  # noqa: N802  Qt's name
        """Follow the palette."""
        super().changeEvent(event)
        if event.type() == QtCore.QEvent.Type.PaletteChange and self._theme and self._follow:
            theme = theme_of(self.palette())
            if theme is not self._theme:
                self.apply(theme)

    def _every(self, period_ms: int, call: object) -> QtCore.QTimer:
        timer = QtCore.QTimer(self)
        timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        timer.timeout.connect(call)
        timer.start(period_ms)
        return timer

    def _arrange(self) -> None:
        plots = QtWidgets.QGridLayout()
        plots.setSpacing(6)
        plots.addWidget(self.exits, 0, 0)
        plots.addWidget(self.discrepancies, 0, 1)
        plots.addWidget(self.histogram, 1, 0)
        plots.addWidget(self.latency, 1, 1)
        plots.setColumnStretch(0, 1)
        plots.setColumnStretch(1, 1)
        plots.setRowStretch(0, 1)
        plots.setRowStretch(1, 1)
        side = QtWidgets.QVBoxLayout()
        side.setSpacing(6)
        side.addWidget(self.controller)
        side.addWidget(self.cameras, 1)
        side.addWidget(self.thresholds)
        right = QtWidgets.QWidget()
        right.setMinimumWidth(SIDE_WIDTH[0])
        right.setMaximumWidth(SIDE_WIDTH[1])
        right.setLayout(side)
        side.setContentsMargins(0, 0, 0, 0)
        middle = QtWidgets.QHBoxLayout()
        middle.setSpacing(6)
        middle.addLayout(plots, 7)
        middle.addWidget(right, 2)
        whole = QtWidgets.QVBoxLayout(self)
        whole.setContentsMargins(6, 6, 6, 6)
        whole.setSpacing(6)
        whole.addWidget(self.bar)
        whole.addLayout(middle, 1)
        whole.addWidget(self.status)

    def _status(self) -> str:
        """The last answer to a command, who is missing, and what keeps chunks from coming."""
        while self.commands.answers:
            answer = self.commands.answers.popleft()
            self._said = f"{answer.what}: {answer.message}"
        parts = [self._said] if self._said else []
        absent = self.commands.absent()
        if absent:
            parts.append(f"no active {' and no '.join(absent)} in this ROS_DOMAIN_ID and namespace")
        silence_s = time.monotonic() - self._heard_s
        if self.state.refusal:
            parts.append(f"no chunk: {self.state.refusal}")
        elif silence_s > SILENCE_S:
            parts.append(f"no chunk for {silence_s:.0f} s")
        return "   |   ".join(parts) or "chunks arrive"
