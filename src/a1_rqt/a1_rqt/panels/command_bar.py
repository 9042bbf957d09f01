"""Instruction, depth, and the controller's services, on one line."""

from collections.abc import Callable

from a1_msgs.msg import ControllerState, ThresholdsInfo

from a1_rqt.commands import Commands
from a1_rqt.panels.panel import Panel
from a1_rqt.qt import QtCore, QtWidgets
from a1_rqt.run_state import RunState
from a1_rqt.theme import Theme

CONFIRM_MS = 3000
ARMED = (ControllerState.HOLD, ControllerState.TRACKING)
LATCHED = (ControllerState.STOPPED, ControllerState.FAULT)
AT_REST = (ControllerState.DISARMED, ControllerState.SHADOW)


class CommandBar(QtWidgets.QFrame):
    """Stop is there at all times; arming takes two presses, for the arm may move after it."""

    def __init__(self, commands: Commands) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._commands = commands
        self._armed = False
        self.instruction = QtWidgets.QLineEdit()
        self.instruction.setPlaceholderText("instruction, e.g. touch the red cube")
        self.instruction.setMinimumWidth(180)
        self.instruction.setFocusPolicy(QtCore.Qt.FocusPolicy.ClickFocus)
        self.instruction.returnPressed.connect(self._send)
        self.send = self._button("Send", "tell the policy what to do", self._send)
        self.idle = self._button("Idle", "end the task", lambda: commands.instruct(""))
        self.full = self._button(
            "Full depth", "every inference to the last layer; off: exits by the thresholds", None
        )
        self.full.setCheckable(True)
        self.full.clicked.connect(commands.full_depth)
        self.shadow = self._button(
            "Shadow", "the controller judges chunks and moves nothing; from DISARMED only", None
        )
        self.shadow.setCheckable(True)
        self.shadow.clicked.connect(commands.shadow)
        self.arm = self._button("Arm", "press twice: the arm may move then", self._press_arm)
        self.arm.setMinimumWidth(self.fontMetrics().horizontalAdvance("Press again") + 24)
        self.reset = self._button("Reset", "from STOPPED or FAULT to DISARMED", commands.reset)
        self.stop = self._button(
            "STOP", "brake at once; this is software, not the emergency stop", commands.stop
        )
        self._confirm = QtCore.QTimer(self)
        self._confirm.setSingleShot(True)
        self._confirm.setInterval(CONFIRM_MS)
        self._confirm.timeout.connect(self._show_arm)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(8, 6, 8, 6)
        row.addWidget(self.instruction, 1)
        for widget in (self.send, self.idle):
            row.addWidget(widget)
        row.addSpacing(12)
        row.addWidget(self.full)
        row.addSpacing(12)
        for widget in (self.shadow, self.arm, self.reset, self.stop):
            row.addWidget(widget)

    def refresh(self, state: RunState) -> None:
        """Offer what is possible now."""
        if state.thresholds is not None:
            self.full.setChecked(state.thresholds.mode == ThresholdsInfo.FULL)
        told = None if state.controller_fell_silent else state.controller
        mode = None if told is None else told.mode
        self._armed = mode in ARMED
        self.shadow.setChecked(mode == ControllerState.SHADOW)
        self.shadow.setEnabled(mode in AT_REST)
        self.arm.setEnabled(self._armed or mode == ControllerState.DISARMED)
        self.reset.setEnabled(mode in LATCHED)
        if not self._confirm.isActive():
            self._show_arm()

    def apply(self, theme: Theme) -> None:
        """Take on the colours of a theme."""
        Panel.apply(self, theme)
        self.stop.setStyleSheet(
            "background: #B34700; color: white; font-weight: bold; padding: 4px 16px;"
            "border: none; border-radius: 3px;"
        )

    def _button(
        self, text: str, tip: str, pressed: Callable[[], None] | None
    ) -> QtWidgets.QPushButton:
        button = QtWidgets.QPushButton(text)
        button.setToolTip(tip)
        button.setFocusPolicy(QtCore.Qt.FocusPolicy.TabFocus)
        if pressed is not None:
            button.clicked.connect(pressed)
        return button

    def _send(self) -> None:
        text = self.instruction.text().strip()
        if text:
            self._commands.instruct(text)

    def _press_arm(self) -> None:
        if self._armed:
            self._commands.arm(False)
        elif self._confirm.isActive():
            self._confirm.stop()
            self._commands.arm(True)
            self._show_arm()
        else:
            self._confirm.start()
            self.arm.setText("Press again")

    def _show_arm(self) -> None:
        self.arm.setText("Disarm" if self._armed else "Arm")
