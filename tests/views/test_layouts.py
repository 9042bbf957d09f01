"""What the layouts plot is there: every topic with its type, every field with a number."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from a1_msgs import msg as wire
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CompressedImage

TYPES = {
    "/a1/exit_state": wire.ExitState,
    "/a1/controller_state": wire.ControllerState,
    "/a1/chunk_verdict": wire.ChunkVerdict,
    "/a1/thresholds_info": wire.ThresholdsInfo,
    "/a1/refusal": wire.ObservationRefusal,
    "/a1/thumbnails": CompressedImage,
    "/diagnostics": DiagnosticArray,
}
# Okabe and Ito's, with a grey for what is not in the foreground.
COLOURS = {
    *("#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9", "#cc79a7", "#f0e442", "#8c8c8c"),
}


@pytest.fixture(scope="module")
def foxglove_layout(request):
    root = request.path.parents[2]
    return json.loads((root / "config/views/foxglove.json").read_text())


@pytest.fixture(scope="module")
def plotjuggler_layout(request):
    root = request.path.parents[2]
    return ElementTree.parse(root / "config/views/plotjuggler.xml").getroot()


def is_number(topic: str, field: str) -> bool:
    kind = TYPES[topic].get_fields_and_field_types()[field]
    return re.fullmatch(r"u?int\d+|float|double|octet", kind) is not None


def leaves(node) -> list[str]:
    if isinstance(node, str):
        return [node]
    return leaves(node["first"]) + leaves(node["second"])


def test_foxglove_plots_numbers_that_are_there(foxglove_layout):
    panels = foxglove_layout["configById"]
    paths = [path for panel in panels.values() for path in panel.get("paths", [])]
    assert len(paths) > 12
    for path in paths:
        topic, _, field = path["value"].partition(".")
        assert is_number(topic, field), path["value"]
        assert path.get("color", "#0072b2") in COLOURS


def test_foxglove_shows_topics_that_are_there(foxglove_layout):
    panels = foxglove_layout["configById"].values()
    shown = [panel.get("topicPath") or panel.get("topicToRender") for panel in panels]
    shown += [panel.get("imageMode", {}).get("imageTopic") for panel in panels]
    named = {topic for topic in shown if topic}
    assert named <= TYPES.keys()
    assert {"/a1/thumbnails", "/diagnostics", "/a1/thresholds_info"} <= named


def test_every_foxglove_panel_has_its_place(foxglove_layout):
    placed = leaves(foxglove_layout["layout"])
    assert sorted(placed) == sorted(foxglove_layout["configById"])


def test_foxglove_axes_say_their_units(foxglove_layout):
    plots = [p for name, p in foxglove_layout["configById"].items() if name.startswith("Plot!")]
    assert all(plot["yAxisLabel"] and plot["xAxisLabel"] == "time [s]" for plot in plots)


def test_plotjuggler_plots_numbers_that_are_there(plotjuggler_layout):
    curves = list(plotjuggler_layout.iter("curve"))
    assert len(curves) > 15
    for curve in curves:
        topic, _, field = curve.get("name").rpartition("/")
        assert is_number(topic, field), curve.get("name")
        assert curve.get("color") in COLOURS


def test_plotjuggler_counts_what_it_holds(plotjuggler_layout):
    for splitter in plotjuggler_layout.iter("DockSplitter"):
        areas = splitter.findall("DockArea")
        assert int(splitter.get("count")) == len(areas)
        assert len(splitter.get("sizes").split(";")) == len(areas)
