"""A Qt application without a display, and a policy and a controller to watch over DDS."""

import os
import sys
from functools import partial
from pathlib import Path

import pytest

os.environ["QT_QPA_PLATFORM"] = "offscreen"
sys.path.insert(0, str(Path(__file__).parent))

import rqt_rig as rig
from ros_rig import RosApart
from waiting import wait_for

from a1_rqt.main import make_application
from a1_rqt.window import ExitsWidget


@pytest.fixture(scope="session")
def application():
    return make_application("light")


@pytest.fixture
def ros():
    running = RosApart()
    yield running
    running.shutdown()


@pytest.fixture(name="wait_for")
def wait_for_fixture(application):
    """`wait_for(predicate)`: whether it came true while Qt's events ran."""
    return partial(wait_for, meanwhile=application.processEvents)


@pytest.fixture
def graph(ros):
    """Policy and controller."""
    return rig.Graph(ros)


@pytest.fixture
def show(ros, wait_for):
    """`show(graph)`: the widget, connected to the graph; `namespace` as there."""
    shown = []

    def make(graph, namespace: str = "") -> ExitsWidget:
        node = ros.node("exits")
        widget = ExitsWidget(node, namespace)
        shown.append(widget)
        widget.resize(1280, 800)
        widget.show()
        publishers = (graph.exits, graph.refusals, graph.thresholds, graph.thumbnails)
        publishers += (graph.verdicts, graph.states)
        assert wait_for(lambda: all(p.get_subscription_count() for p in publishers))
        # A reader that has not met its writer yet drops what is sent best effort.
        assert wait_for(lambda: all(s.get_publisher_count() for s in heard_of(node)))
        assert wait_for(lambda: not widget.commands.absent())
        return widget

    yield make
    for widget in shown:
        widget.shut_down()
        widget.close()


def heard_of(node) -> list:
    return [s for s in node.subscriptions if "/a1/" in s.topic_name]


@pytest.fixture
def widget(graph, show):
    """The widget, connected to the graph."""
    return show(graph)
