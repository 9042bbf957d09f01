"""What the controller does and why, and its verdicts on the policy's chunks."""

import math

from a1_msgs.msg import ControllerState

from a1_rqt.panels.elided_label import ElidedLabel
from a1_rqt.panels.panel import Panel
from a1_rqt.qt import QtCore, QtWidgets
from a1_rqt.run_state import RunState
from a1_rqt.theme import GREEN, ORANGE, PURPLE, SKY, VERMILLION

MODES = {
    ControllerState.DISARMED: ("DISARMED", "#9AA5AE"),
    ControllerState.SHADOW: ("SHADOW", PURPLE),
    ControllerState.HOLD: ("HOLD", SKY),
    ControllerState.TRACKING: ("TRACKING", GREEN),
    ControllerState.STOPPED: ("STOPPED", ORANGE),
    ControllerState.FAULT: ("FAULT", VERMILLION),
}
UNHEARD = ("no controller heard", "transparent")
SILENT = ("SILENT", VERMILLION)
VERDICT_LINES = 3


class ControllerPanel(Panel):
    """Mode, reason, ages and counters; below, how many chunks got which verdict."""

    def __init__(self) -> None:
        super().__init__("Controller")
        self._mode = QtWidgets.QLabel()
        self._mode.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self._shown = ""
        self._reason = ElidedLabel(lines=3)
        self._ages = ElidedLabel(quiet=True)
        self._counters = ElidedLabel(lines=2, quiet=True)
        self._verdicts = [ElidedLabel() for _ in range(VERDICT_LINES)]
        self._objection = ElidedLabel(lines=2, quiet=True)
        heading = QtWidgets.QLabel("Verdicts on chunks")
        font = heading.font()
        font.setBold(True)
        heading.setFont(font)
        for widget in (
            self._mode,
            self._reason,
            self._ages,
            self._counters,
            heading,
            *self._verdicts,
            self._objection,
        ):
            self.body.addWidget(widget)
        self.body.addStretch(1)
        self._show_mode(*UNHEARD)

    def mode(self) -> str:
        """The mode that is shown."""
        return self._mode.text()

    def refresh(self, state: RunState) -> None:
        """Show the newest control tick and the counts."""
        msg = state.controller
        if msg is not None:
            mode = MODES.get(msg.mode, (f"mode {msg.mode}", "transparent"))
            silent = state.controller_fell_silent
            self._show_mode(*(SILENT if silent else mode))
            self._reason.set_text(
                f"nothing heard for {state.silence_s:.0f} s, before it was {mode[0]}: has the node "
                "ended, or was it deactivated?"
                if silent
                else msg.reason
            )
            self._ages.set_text(f"joints {_age(msg.state_age_ms)}, chunk {_age(msg.chunk_age_ms)}")
            self._counters.set_text(
                f"tracking error {msg.tracking_error:.3f} rad, clamped {msg.clamped}, "
                f"slowed {msg.slowed}, underruns {msg.underruns}, late ticks {msg.late_ticks}"
            )
        lines = verdict_lines(state)
        for label, line in zip(self._verdicts, lines, strict=True):
            label.set_text(line)
        self._objection.set_text(f"last: {state.last_objection}" if state.last_objection else "")

    def _show_mode(self, mode: str, colour: str) -> None:
        if mode != self._shown:
            self._shown = mode
            self._mode.setText(mode)
            dark = "" if colour == "transparent" else "color: #101214;"
            self._mode.setStyleSheet(
                f"background: {colour}; {dark} font-weight: bold; padding: 5px; border-radius: 3px;"
            )


def verdict_lines(state: RunState) -> list[str]:
    """The most frequent verdicts, one a line; the last line sums up what has no line left."""
    counts = state.verdicts.most_common()
    if len(counts) > VERDICT_LINES:
        rest = sum(count for _, count in counts[VERDICT_LINES - 1 :])
        kinds = len(counts) - VERDICT_LINES + 1
        counts = [*counts[: VERDICT_LINES - 1], (f"{kinds} other codes", rest)]
    lines = [f"{name}: {count}" for name, count in counts]
    return lines + [""] * (VERDICT_LINES - len(lines))


def _age(value_ms: float) -> str:
    if math.isnan(value_ms):
        return "of unknown age"
    return f"{value_ms:.0f} ms old" if value_ms < 10_000 else f"{value_ms / 1e3:.0f} s old"
