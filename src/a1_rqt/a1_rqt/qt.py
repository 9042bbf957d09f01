"""The Qt binding: rqt's own where it is installed (Qt 5 or 6), PySide6 elsewhere.

Qt and pyqtgraph are imported from here alone: pyqtgraph takes the binding that is loaded already.
"""

from importlib.util import find_spec

if find_spec("python_qt_binding") is not None:
    from python_qt_binding import QtCore, QtGui, QtWidgets
else:
    from PySide6 import QtCore, QtGui, QtWidgets
import pyqtgraph

__all__ = ["QtCore", "QtGui", "QtWidgets", "pyqtgraph"]
