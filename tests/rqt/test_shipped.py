"""What rqt and the shell find: plugin, perspective, the programs of their own."""

import ast
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import pytest
import rqt_rig as rig

from a1_rqt.qt import QtCore, QtGui, QtWidgets
from a1_rqt.window import ExitsWidget

PACKAGE = Path(__file__).parents[2] / "src/a1_rqt"


def test_the_plugin_that_is_declared_is_there():
    root = ElementTree.parse(PACKAGE / "package.xml").getroot()
    assert root.find("export/rqt_gui").get("plugin") == "${prefix}/plugin.xml"
    declared = ElementTree.parse(PACKAGE / "plugin.xml").getroot().find("class")
    assert declared.get("base_class_type") == "rqt_gui_py::Plugin"
    module, _, name = declared.get("type").rpartition(".")
    tree = ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text())
    (plugin,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    methods = {n.name for n in plugin.body if isinstance(n, ast.FunctionDef)}
    assert {"shutdown_plugin", "save_settings", "restore_settings"} <= methods


class Context:
    """What rqt hands a plugin, as `qt_gui.plugin_context.PluginContext` does."""

    def __init__(self, node, *argv: str, serial_number: int = 1) -> None:
        self.node = node
        self.argv = lambda: list(argv)
        self.serial_number = lambda: serial_number
        self.widgets: list = []
        self.add_widget = self.widgets.append


class Settings(dict):
    """As `qt_gui.settings.Settings`."""

    set_value = dict.__setitem__
    value = dict.get


@pytest.fixture
def plugin_class(monkeypatch):
    """The plugin on a base that does nothing, for rqt is not to be had everywhere."""

    class Plugin(QtCore.QObject):
        def __init__(self, context) -> None:
            super().__init__()

    base = ModuleType("rqt_gui_py.plugin")
    base.Plugin = Plugin
    for name, module in (("rqt_gui_py", ModuleType("rqt_gui_py")), (base.__name__, base)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "a1_rqt.plugin", raising=False)
    yield importlib.import_module("a1_rqt.plugin").ExitsPlugin
    del sys.modules["a1_rqt.plugin"]


def test_the_plugin_watches_the_namespace_that_it_was_given(
    ros, application, plugin_class, wait_for
):
    left, right = rig.Graph(ros, "left"), rig.Graph(ros, "right")
    context = Context(ros.node("rqt"), "--namespace", "left", serial_number=2)
    plugin = plugin_class(context)
    (widget,) = context.widgets
    assert widget.windowTitle() == "A1 exits (2)"
    assert wait_for(left.exits.get_subscription_count)
    plugin.restore_settings(Settings(), Settings(namespace="right"))
    kept = Settings()
    plugin.save_settings(Settings(), kept)
    assert kept == {"namespace": "left"}
    assert right.exits.get_subscription_count() == 0
    plugin.shutdown_plugin()
    assert wait_for(lambda: not left.exits.get_subscription_count())


def test_the_plugin_goes_to_the_namespace_of_the_perspective(
    ros, application, plugin_class, wait_for
):
    graph, context = rig.Graph(ros, "right"), Context(ros.node("rqt"))
    plugin = plugin_class(context)
    plugin.restore_settings(Settings(), Settings(namespace="right"))
    assert wait_for(graph.exits.get_subscription_count)
    (frame,) = context.widgets
    watching = frame.findChildren(ExitsWidget)[-1]
    graph.play_blindly([3])
    assert wait_for(lambda: watching.state.chunks.total == 1)
    plugin.shutdown_plugin()
    assert wait_for(lambda: not graph.exits.get_subscription_count())


def test_the_perspective_shows_the_plugin():
    perspective = json.loads((PACKAGE / "perspectives/a1.perspective").read_text())
    running = perspective["groups"]["pluginmanager"]["keys"]["running-plugins"]["repr"]
    name = ElementTree.parse(PACKAGE / "plugin.xml").getroot().find("class").get("name")
    assert ast.literal_eval(running) == {f"a1_rqt/{name}": [1]}


def test_qt_takes_the_perspective_for_a_window_of_its_own(application):
    perspective = json.loads((PACKAGE / "perspectives/a1.perspective").read_text())
    window = QtWidgets.QMainWindow()
    dock = QtWidgets.QDockWidget(window)
    dock.setObjectName("a1_rqt__A1 exits__1__A1ExitsFrame")
    kept = perspective["groups"]["mainwindow"]["keys"]
    for what, restore in (("geometry", window.restoreGeometry), ("state", window.restoreState)):
        written = re.fullmatch(
            r"QtCore\.QByteArray\(b'([0-9a-f]+)'\)", kept[what]["repr(QByteArray.hex)"]
        )
        assert restore(QtCore.QByteArray.fromHex(written[1].encode())), what
    assert window.dockWidgetArea(dock) == QtCore.Qt.DockWidgetArea.BottomDockWidgetArea


@pytest.fixture
def start():
    """`start(module, *arguments)`: a program of the package, ended with the test."""
    running = []

    def make(module: str, *arguments: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield make
    for process in running:
        process.kill()
        process.wait()


def test_the_window_opens_and_ends_at_a_signal(graph, start, wait_for):
    process = start("a1_rqt.main", "--theme", "dark")
    assert wait_for(graph.exits.get_subscription_count, timeout_s=120.0)
    graph.play_blindly([3])
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_without_a_display_it_says_what_to_do_instead(start, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    process = start("a1_rqt.main")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    (line,) = errors.splitlines()
    assert "no display" in line and "page.launch.xml" in line


def test_photograph_instructs_waits_and_saves(graph, start, wait_for, tmp_path):
    arguments = ["--out", str(tmp_path), "--instruction", "touch it", "--chunks", "3"]
    process = start("a1_rqt.photograph", *arguments)
    assert wait_for(lambda: ("instruct", "touch it") in graph.calls, timeout_s=120.0)
    graph.thresholds.publish(rig.thresholds_info())

    def ended() -> bool:
        graph.play_blindly([3, 5, 8])
        graph.mode(3)
        graph.picture()
        return process.poll() is not None

    assert wait_for(ended, timeout_s=120.0)
    assert process.returncode == 0, process.stderr.read()
    assert len(list(tmp_path.iterdir())) == 4
    assert not any(QtGui.QImage(str(path)).isNull() for path in tmp_path.iterdir())


def test_photograph_without_a_run_says_what_is_missing(start, tmp_path):
    process = start("a1_rqt.photograph", "--out", str(tmp_path), "--patience", "0.2")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "came 0 of 60 chunks, no thumbnails; controller: no controller heard" in errors
    assert list(tmp_path.iterdir()) == []
