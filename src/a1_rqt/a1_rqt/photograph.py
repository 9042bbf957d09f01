"""`photograph`: watches a run in the widget, without a display, and saves pictures of it.

It presses the widget's own buttons: it gives the instructions one after the other, waits for chunks
of each, and photographs the window at every size, light and dark. Files:
FOLDER/rqt-WIDTHxHEIGHT-THEME.png.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import rclpy
from rclpy.utilities import remove_ros_args

from a1_core.errors import A1Error
from a1_rqt.main import make_application
from a1_rqt.qt import QtCore, QtWidgets
from a1_rqt.spinning import Spinning
from a1_rqt.theme import THEMES, palette_of
from a1_rqt.window import ExitsWidget

SIZES = ((1280, 800), (1920, 1080))
SILENCE_S = 5.0


def photograph(widget: ExitsWidget, folder: Path) -> list[Path]:
    """Save the widget as it is now, at every size and in every theme; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    application = QtWidgets.QApplication.instance()
    files = []
    for theme in THEMES.values():
        application.setPalette(palette_of(theme))
        widget.apply(theme)
        for width, height in SIZES:
            widget.resize(width, height)
            application.processEvents()
            path = folder / f"rqt-{width}x{height}-{theme.name}.png"
            draft = path.with_suffix(".draft.png")
            if not widget.grab().save(str(draft)):
                raise A1Error(f"{draft}: cannot be written; choose another --out")
            draft.replace(path)
            files.append(path)
    return files


def watch(widget: ExitsWidget, instructions: Sequence[str], chunks: int, patience_s: float) -> None:
    """Instruct the policy, each time for `chunks` of them, and again when it falls silent.

    Without an instruction it waits for `chunks` of what runs. Returns when controller and
    thumbnails were heard as well; raises A1Error when that does not happen within `patience_s`.
    """
    state, loop = widget.state, QtCore.QEventLoop()
    wanted = chunks * max(1, len(instructions))
    until_s = time.monotonic() + patience_s
    told, seen, silent_since_s = "", 0, -math.inf
    while len(state.chunks) < wanted or state.controller is None or state.thumbnails is None:
        now_s = time.monotonic()
        if now_s > until_s:
            raise A1Error(
                f"within {patience_s:.0f} s came {len(state.chunks)} of {wanted} chunks, "
                f"{'' if state.thumbnails else 'no '}thumbnails; controller: "
                f"{widget.controller.mode()}; {widget.status.text()}"
            )
        if state.chunks.total > seen:
            seen, silent_since_s = state.chunks.total, now_s
        turn = min(len(state.chunks) // chunks, len(instructions) - 1)
        if instructions and (told != instructions[turn] or now_s - silent_since_s > SILENCE_S):
            told, silent_since_s = instructions[turn], now_s
            widget.bar.instruction.setText(told)
            widget.bar.send.click()
        QtCore.QTimer.singleShot(50, loop.quit)
        loop.exec()
    widget.draw()
    widget.refresh()


def main() -> int:
    """Console entry; see --help. Exit status 1 when there was nothing to photograph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/screenshots"), help="folder")
    parser.add_argument(
        "--instruction", action="append", default=[], help="may be repeated; none: what runs"
    )
    parser.add_argument("--chunks", type=int, default=60, help="to wait for, of each instruction")
    parser.add_argument("--patience", type=float, default=300.0, help="seconds to wait for them")
    parser.add_argument("--namespace", default="")
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    application = make_application("light")
    rclpy.init(args=[])
    with Spinning("photograph") as node:
        widget = ExitsWidget(node, arguments.namespace)
        widget.show()
        try:
            watch(widget, arguments.instruction, arguments.chunks, arguments.patience)
            for path in photograph(widget, arguments.out):
                print(path)
        except A1Error as error:
            print(f"photograph: {error}", file=sys.stderr)
            return 1
        finally:
            widget.shut_down()
            application.processEvents()
    return 0


if __name__ == "__main__":
    sys.exit(main())
