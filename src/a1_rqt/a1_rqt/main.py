"""`exits`: the widget in a window of its own, for machines without rqt."""

import argparse
import os
import signal
import sys
from collections.abc import Mapping

import rclpy
from rclpy.utilities import remove_ros_args

from a1_rqt.qt import QtCore, QtWidgets
from a1_rqt.spinning import Spinning
from a1_rqt.theme import THEMES, palette_of
from a1_rqt.window import ExitsWidget


def make_application(theme: str) -> QtWidgets.QApplication:
    """The application; theme "system" leaves the desktop's palette."""
    application = QtWidgets.QApplication(sys.argv[:1])
    application.setApplicationName("A1 exits")
    if theme in THEMES:
        application.setStyle("Fusion")
        application.setPalette(palette_of(THEMES[theme]))
    return application


def display_missing(environment: Mapping[str, str] = os.environ) -> str:
    """Why no window can be opened here, with what to do instead; empty where one can.

    Qt itself would end the process with a core dump.
    """
    if any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")):
        return ""
    return (
        "exits: there is no display here (DISPLAY and WAYLAND_DISPLAY are empty): start it in a "
        "terminal of a desktop or through ssh -X, or look with a browser: "
        "./a1 launch page.launch.xml"
    )


def main() -> int:
    """Show the window until it is closed or interrupted; 1 where there is no display."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--theme", choices=["system", *THEMES], default="system")
    parser.add_argument("--namespace", default="", help="that policy and controller run under")
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    if missing := display_missing():
        print(missing, file=sys.stderr)
        return 1
    application = make_application(arguments.theme)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Through a timer: quitting before the event loop runs would be forgotten.
        signal.signal(number, lambda *_: QtCore.QTimer.singleShot(0, application.quit))
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    with Spinning("exits") as node:
        widget = ExitsWidget(node, arguments.namespace)
        widget.resize(1280, 800)
        widget.show()
        # Python's signal handlers run when Python does: the widget's timers see to that.
        code = application.exec()
        widget.shut_down()
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
