"""The rqt plugin: the widget in rqt's shell, on rqt's node."""

import argparse
from typing import Any

from rqt_gui_py.plugin import Plugin

from a1_rqt.qt import QtWidgets
from a1_rqt.window import ExitsWidget


class ExitsPlugin(Plugin):
    """`--args --namespace NS` on rqt's command line counts, else what the perspective keeps."""

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self.setObjectName("A1Exits")
        parser = argparse.ArgumentParser(prog="a1_rqt", add_help=False)
        parser.add_argument("--namespace", default="")
        arguments, _ = parser.parse_known_args(context.argv())
        self._node = context.node
        self._namespace = arguments.namespace
        self._frame = QtWidgets.QWidget()
        self._frame.setObjectName("A1ExitsFrame")
        number = context.serial_number()
        self._frame.setWindowTitle("A1 exits" if number < 2 else f"A1 exits ({number})")
        layout = QtWidgets.QVBoxLayout(self._frame)
        layout.setContentsMargins(0, 0, 0, 0)
        self._exits = ExitsWidget(self._node, self._namespace)
        layout.addWidget(self._exits)
        context.add_widget(self._frame)

    def shutdown_plugin(self) -> None:
        """Take down what the node was given."""
        self._exits.shut_down()

    def save_settings(self, plugin_settings: Any, instance_settings: Any) -> None:
        """Keep the namespace in the perspective."""
        instance_settings.set_value("namespace", self._namespace)

    def restore_settings(self, plugin_settings: Any, instance_settings: Any) -> None:
        """Show the perspective's namespace unless the command line gave one."""
        namespace = instance_settings.value("namespace", "")
        if namespace and not self._namespace:
            self._namespace = namespace
            self._exits.shut_down()
            anew = ExitsWidget(self._node, namespace)
            self._frame.layout().replaceWidget(self._exits, anew)
            self._exits.deleteLater()
            self._exits = anew
