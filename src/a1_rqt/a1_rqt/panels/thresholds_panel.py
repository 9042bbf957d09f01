"""Which thresholds decide, where they come from, and what is certified of them."""

from collections.abc import Mapping
from pathlib import PurePath

from a1_msgs.msg import ThresholdsInfo

from a1_rqt.panels.elided_label import ElidedLabel
from a1_rqt.panels.panel import Panel
from a1_rqt.run_state import RunState

LINES = 6
MODES = {
    ThresholdsInfo.ADAPTIVE: "adaptive",
    ThresholdsInfo.FIXED: "fixed exit",
    ThresholdsInfo.FULL: "full depth",
}


class ThresholdsPanel(Panel):
    """Lines of text; `files` are the policy's parameters as it answered them."""

    def __init__(self, files: Mapping[str, str]) -> None:
        super().__init__("Thresholds")
        self._files = files
        self._lines = [ElidedLabel(lines=2 if number == 1 else 1) for number in range(LINES)]
        for label in self._lines:
            self.body.addWidget(label)
        self.body.addStretch(1)

    def set_files(self, files: Mapping[str, str]) -> None:
        """What the policy said of its files."""
        self._files = files

    def refresh(self, state: RunState) -> None:
        """Say what is known."""
        info = state.thresholds
        lines = ["no policy heard"] if info is None else describe(info, self._files)
        for label, line in zip(self._lines, lines + [""] * (LINES - len(lines)), strict=True):
            label.set_text(line)
        self.note.set_text("" if info is None else MODES.get(info.mode, ""))


def describe(info: ThresholdsInfo, files: Mapping[str, str]) -> list[str]:
    """File, certificate, fit, checkpoint: a line each."""
    checkpoint = f"checkpoint {_name(files, 'checkpoint')}{info.checkpoint_digest[:12]}"
    head = f"{info.head} head, {info.num_steps} steps, start {info.start}"
    if not info.thresholds_digest:
        return ["no thresholds file", "not certified", checkpoint, head]
    certificate = "not certified"
    if info.certified:
        certificate = (
            f"certified: episode loss ≤ {100 * info.risk:g} % at confidence "
            f"{100 * (1 - info.failure):g} %, {info.certificate_episodes} episodes"
        )
    return [
        f"file {_name(files, 'thresholds')}{info.thresholds_digest[:12]}",
        certificate,
        f"{info.fit}, {info.distribution} ({info.parameter:g}), {info.metric}",
        f"fitted on {info.samples} observations, {info.episodes} episodes",
        checkpoint,
        head,
    ]


def _name(files: Mapping[str, str], parameter: str) -> str:
    name = PurePath(files.get(parameter, "")).name
    return f"{name} " if name else ""
