"""What the panels show of messages that came over DDS."""

import math

import numpy as np
import pytest
import rqt_rig as rig
from a1_msgs.msg import ChunkVerdict, ControllerState, ObservationRefusal, ThresholdsInfo

from a1_core.policy import ExitReason
from a1_rqt.panels.camera_panel import Picture
from a1_rqt.panels.discrepancy_panel import decade_ticks, points_of
from a1_rqt.panels.elided_label import ElidedLabel
from a1_rqt.qt import QtCore, QtGui, QtWidgets, pyqtgraph

LAYERS = [2, 3, 3, 5, 8, 4, 4, 4, 6, 8]


@pytest.fixture
def played(graph, widget, application):
    """The widget after one chunk for each of LAYERS."""
    graph.play(widget, application, LAYERS)
    widget.draw()
    widget.refresh()
    return widget


def shown(panel) -> list[str]:
    """All text of a panel, in no order."""
    texts = [label.text() for label in panel.findChildren(QtWidgets.QLabel)]
    return texts + [label.text() for label in panel.findChildren(ElidedLabel)]


def scatters(panel):
    return [
        item
        for item in panel.findChild(pyqtgraph.PlotWidget).listDataItems() + plot_items(panel)
        if isinstance(item, pyqtgraph.ScatterPlotItem) and item.data.size
    ]


def plot_items(panel):
    return panel.findChild(pyqtgraph.PlotWidget).getPlotItem().items


def test_exit_layers_are_drawn_against_time(played):
    (line,) = (i for i in plot_items(played.exits) if isinstance(i, pyqtgraph.PlotDataItem))
    times_s, layers = line.getData()
    np.testing.assert_array_equal(layers, LAYERS)
    np.testing.assert_allclose(times_s, np.arange(-9, 1) * 0.1, atol=1e-6)
    assert played.exits.note.text() == "layer 8 of 8"


def test_why_it_stopped_is_a_mark_of_its_own(played):
    marks = {item.opts["symbol"]: item.data.size for item in set(scatters(played.exits))}
    assert marks == {"o": 8, "s": 2}


def test_every_reason_has_another_mark_and_colour():
    from a1_rqt.panels.exit_panel import MARKS

    assert MARKS.keys() == set(ExitReason)
    for part in range(4):
        assert len({mark[part] for mark in MARKS.values()}) == len(MARKS)


def test_comparisons_at_every_exit_are_drawn(played):
    points_N4 = points_of(played.state)
    # Nothing is compared at the first exit: a chunk that left at layer L was compared L - 2 times.
    assert len(points_N4) == sum(layer - 2 for layer in LAYERS)
    marks = {
        i.opts["symbol"]: i for i in set(scatters(played.discrepancies)) if i.opts["size"] < 10
    }
    within = points_N4[:, 1] <= points_N4[:, 2]
    assert marks["o"].data.size == within.sum() > 0
    assert marks["x"].data.size == (~within).sum() > 0
    np.testing.assert_allclose(sorted(marks["o"].data["y"]), sorted(np.log10(points_N4[within, 1])))


def test_exits_are_counted_and_the_saving_said(played):
    (bars,) = (i for i in plot_items(played.histogram) if isinstance(i, pyqtgraph.BarGraphItem))
    shares = {x: h for x, h in zip(bars.opts["x"], bars.opts["height"], strict=True) if h}
    assert shares == pytest.approx({2: 10, 3: 20, 4: 30, 5: 10, 6: 10, 8: 20})
    saved = 100 * (1 - np.mean(LAYERS) / rig.LAYERS)
    assert played.histogram.note.text() == f"compute saved {saved:.0f} %, of 10 chunks"


def test_latencies_are_tabulated(played):
    figures = {key: float(label.text()) for key, label in played.latency.figures.items()}
    assert figures["age", 50] == figures["age", 99] == 6.0
    assert figures["backbone", 50] == pytest.approx(3 * np.median(LAYERS), abs=0.05)
    whole = 22.0 + 3.0 * np.array(LAYERS)
    for percentile in (50, 95, 99):
        assert figures["whole", percentile] == pytest.approx(
            np.percentile(whole, percentile), abs=0.051
        )


def test_mode_and_reason_of_the_controller(graph, widget, wait_for):
    graph.mode(ControllerState.FAULT, "joint 3 is 0.4 rad from its command", clamped=3)
    assert wait_for(lambda: widget.controller.mode() == "FAULT")
    assert "joint 3 is 0.4 rad from its command" in shown(widget.controller)
    assert any("clamped 3" in text for text in shown(widget.controller))


def test_a_controller_that_says_nothing_any_more_is_silent(graph, widget, wait_for):
    graph.mode(ControllerState.TRACKING, "chunk 3 of POLICY")
    assert wait_for(lambda: widget.controller.mode() == "TRACKING")
    assert widget.bar.arm.text() == "Disarm"
    graph.fall_silent()
    assert wait_for(lambda: widget.controller.mode() == "SILENT")
    assert any("before it was TRACKING" in text for text in shown(widget.controller))
    assert not widget.bar.arm.isEnabled()
    assert widget.bar.stop.isEnabled()
    graph.mode(ControllerState.HOLD)
    assert wait_for(lambda: widget.controller.mode() == "HOLD")


def test_verdicts_are_counted_and_the_last_objection_said(graph, widget, wait_for):
    for code in (0, 0, 0, 6, 14):
        graph.verdicts.publish(ChunkVerdict(code=code, detail="z = -0.03 m" if code else ""))
    assert wait_for(lambda: "ACCEPTED: 3" in shown(widget.controller))
    assert {"STALE: 1", "WORKSPACE: 1"} <= set(shown(widget.controller))
    assert "last: WORKSPACE: z = -0.03 m" in shown(widget.controller)


def test_thresholds_file_and_certificate(graph, widget, wait_for):
    graph.thresholds.publish(rig.thresholds_info())
    assert wait_for(lambda: any("known.yaml ababababab" in t for t in shown(widget.thresholds)))
    assert widget.thresholds.note.text() == "adaptive"
    assert "certified: episode loss ≤ 5 % at confidence 90 %, 45 episodes" in shown(
        widget.thresholds
    )


def test_without_thresholds_nothing_is_certified(graph, widget, wait_for):
    graph.thresholds.publish(
        rig.thresholds_info(mode=ThresholdsInfo.FULL, thresholds_digest="", certified=False)
    )
    assert wait_for(lambda: "no thresholds file" in shown(widget.thresholds))
    assert "not certified" in shown(widget.thresholds)
    assert widget.bar.full.isChecked()


def test_thumbnails_are_painted(graph, widget, wait_for):
    def colours() -> tuple[int, int]:
        image = widget.cameras.grab().toImage()
        pixels = [
            image.pixelColor(x, y)
            for x in range(0, image.width(), 4)
            for y in range(0, image.height(), 4)
        ]
        red = sum(p.red() > 180 and p.blue() < 90 for p in pixels)
        blue = sum(p.blue() > 180 and p.red() < 90 for p in pixels)
        return red, blue

    assert colours() == (0, 0)
    graph.picture()
    assert wait_for(lambda: widget.state.thumbnails is not None)
    widget.refresh()
    assert min(colours()) > 50


def test_a_refusal_is_said_until_the_next_chunk(graph, widget, application, wait_for):
    graph.refusals.publish(ObservationRefusal(code="CAMERA_STALE", message="CAMERA_STALE: old"))
    assert wait_for(lambda: "no chunk: CAMERA_STALE: old" in widget.status.text())
    graph.play(widget, application, [4])
    assert wait_for(lambda: "CAMERA_STALE" not in widget.status.text())


def test_logarithmic_labels_are_round_numbers():
    assert [text for _, text in decade_ticks(-2, 0)][:4] == ["0.01", "0.02", "0.05", "0.1"]
    assert [text for _, text in decade_ticks(-4, 0)] == ["0.0001", "0.001", "0.01", "0.1", "1"]
    assert all(place == pytest.approx(math.log10(float(t))) for place, t in decade_ticks(-3, 1))


@pytest.mark.parametrize(("size", "beside"), [((400, 150), True), ((200, 600), False)])
def test_images_stand_where_they_are_larger_and_never_over_each_other(application, size, beside):
    picture = Picture()
    picture.resize(*size)
    picture.show_image(QtGui.QImage(192, 96, QtGui.QImage.Format.Format_RGB32), ["front", "wrist"])
    front, wrist = picture.places()
    assert (front.top() == wrist.top(), front.left() == wrist.left()) == (beside, not beside)
    assert front.width() == front.height() == wrist.width() > 120
    below = QtCore.QMargins(0, 0, 0, picture.fontMetrics().lineSpacing())
    assert not front.marginsAdded(below).intersects(wrist.marginsAdded(below))
    assert picture.rect().contains(front.marginsAdded(below))
    assert picture.rect().contains(wrist.marginsAdded(below))
