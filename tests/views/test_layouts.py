"""What the layouts plot is there: every topic with its type, every field with a number."""

import dataclasses
import json
import re
import types
import typing
import xml.etree.ElementTree as ElementTree

import foxglove.layouts
import pytest
from a1_msgs import msg as wire
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CompressedImage

from a1_views.svg import STAGE_COLOURS

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

PLACES = {
    "Plot": foxglove.layouts.PlotConfig,
    "StateTransitions": foxglove.layouts.StateTransitionsConfig,
    "Image": foxglove.layouts.ImageConfig,
    "DiagnosticSummary": foxglove.layouts.DiagnosticsSummaryConfig,
    "RawMessages": foxglove.layouts.RawMessagesConfig,
}
"""What Foxglove's SDK says a panel holds, by the panel's name in an exported layout."""

TITLE = "foxglovePanelTitle"


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
    assert len(plots) == 6
    for plot in plots:
        assert re.search(r" \[[^],]+\]$", plot["yAxisLabel"]), "one unit an axis"
        assert plot["xAxisLabel"] == "time [s]"


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


def test_every_stage_is_plotted_in_the_colour_it_has_everywhere(
    foxglove_layout, plotjuggler_layout
):
    stages = {
        "observation_age_ms" if stage == "age" else f"{stage}_ms": colour
        for stage, colour in STAGE_COLOURS.items()
        if stage != "judge"  # comes of the verdict
    }
    panels = foxglove_layout["configById"].values()
    in_foxglove = {
        path["value"].partition(".")[2]: path.get("color")
        for panel in panels
        for path in panel.get("paths", [])
    }
    in_plotjuggler = {
        curve.get("name").rpartition("/")[2]: curve.get("color")
        for curve in plotjuggler_layout.iter("curve")
    }
    assert stages.items() <= in_foxglove.items()
    assert stages.items() <= in_plotjuggler.items()


def objections(value, wanted, where: str) -> list[str]:
    """Where a part of a layout is not what the SDK's type says."""
    if dataclasses.is_dataclass(wanted):
        hints = typing.get_type_hints(wanted, vars(foxglove.layouts))
        names = {re.sub(r"_(\w)", lambda m: m[1].upper(), name): name for name in hints}
        unknown = [f"{where}: unknown {key}" for key in value if key not in names]
        known = [(key, names[key]) for key in value if key in names]
        parts = [objections(value[key], hints[name], f"{where}.{key}") for key, name in known]
        return unknown + [found for part in parts for found in part]
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        tried = [objections(value, kind, where) for kind in arguments]
        return [] if [] in tried else min(tried, key=len)
    if origin is list and isinstance(value, list):
        parts = [objections(one, arguments[0], f"{where}[{k}]") for k, one in enumerate(value)]
        return [found for part in parts for found in part]
    if origin is typing.Literal:
        return [] if value in arguments else [f"{where}: {value!r} is none of {arguments}"]
    fits = type(value) is wanted or (wanted is float and type(value) is int)
    return [] if fits else [f"{where}: {value!r} is no {wanted}"]


def test_foxglove_panels_hold_what_its_sdk_knows(foxglove_layout):
    for name, panel in foxglove_layout["configById"].items():
        kind, _, own = name.partition("!")
        assert own
        config = {key: value for key, value in panel.items() if key != TITLE}
        assert isinstance(panel[TITLE], str)
        assert objections(config, PLACES[kind], name) == []


@pytest.mark.parametrize(
    "change",
    [
        {"showLegnd": True},
        {"minYValue": [0]},
        {"legendDisplay": "round"},
        {"paths": [{"label": 3}]},
    ],
    ids=str,
)
def test_what_foxglove_does_not_know_is_found(foxglove_layout, change):
    panel = foxglove_layout["configById"]["Plot!a1exit"]
    config = {key: value for key, value in (panel | change).items() if key != TITLE}
    assert len(objections(config, PLACES["Plot"], "Plot")) == 1


def test_foxglove_divides_its_window_in_two_at_every_level(foxglove_layout):
    def look(node) -> None:
        if isinstance(node, str):
            return
        assert node.keys() == {"direction", "first", "second", "splitPercentage"}
        assert node["direction"] in ("row", "column")
        assert 0 < node["splitPercentage"] < 100
        look(node["first"])
        look(node["second"])

    assert foxglove_layout.keys() == {
        *("configById", "globalVariables", "userNodes", "playbackConfig", "layout"),
    }
    look(foxglove_layout["layout"])


# The next follow what PlotJuggler 3 reads: xmlLoadState of TabbedPlotWidget, PlotDocker, PlotWidget
# and, of its ROS plugins, RosParserConfig; MainWindow::loadLayoutFromFile.


def test_plotjuggler_finds_its_window_tabs_and_plots(plotjuggler_layout):
    (window,) = plotjuggler_layout.findall("tabbed_widget")
    assert plotjuggler_layout.tag == "root"
    assert (window.get("parent"), window.get("name")) == ("main_window", "Main Window")
    tabs = window.findall("Tab")
    assert 0 <= int(window.find("currentTabIndex").get("index")) < len(tabs)
    for tab in tabs:
        assert tab.get("tab_name")
        assert int(tab.get("containers")) == len(tab.findall("Container"))
        for container in tab.findall("Container"):
            assert [part.tag for part in container] == ["DockSplitter"]
    for plot in plotjuggler_layout.iter("plot"):
        assert plot.get("mode") == "TimeSeries"
        assert plot.get("style") in (
            *("Lines", "LinesAndDots", "Dots", "Sticks", "Steps", "StepsInv"),
        )
        assert plot.findall("curve")


def test_plotjuggler_divides_its_window_wholly(plotjuggler_layout):
    for splitter in plotjuggler_layout.iter("DockSplitter"):
        assert splitter.get("orientation") in ("-", "|")
        assert sum(map(float, splitter.get("sizes").split(";"))) == pytest.approx(1.0, abs=1e-5)
        for area in splitter:
            assert area.tag == "DockArea"
            assert [part.tag for part in area] == ["plot"]
            assert re.search(r" \[.+\]$", area.get("name")), "the only place for a unit"


def test_plotjuggler_starts_the_stream_of_what_it_plots(plotjuggler_layout):
    (plugin,) = plotjuggler_layout.findall("Plugins/plugin")
    assert plugin.get("ID") == "ROS2 Topic Subscriber"
    assert plotjuggler_layout.find("previouslyLoaded_Streamer").get("name") == plugin.get("ID")
    plotted = {curve.get("name").rpartition("/")[0] for curve in plotjuggler_layout.iter("curve")}
    assert set(plugin.find("selected_topics").get("value").split(";")) == plotted
    assert int(plugin.find("max_array_size").get("value")) > 0
