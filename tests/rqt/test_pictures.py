"""The window as a picture: sizes, light and dark, no text over text, colours for everybody."""

import itertools
import sys
from functools import partial

import pytest
import rqt_rig as rig
from a1_msgs.msg import ChunkVerdict, ControllerState

from a1_rqt import theme as themes
from a1_rqt.panels.elided_label import ElidedLabel
from a1_rqt.photograph import SIZES, photograph
from a1_rqt.qt import QtCore, QtGui, QtWidgets, pyqtgraph
from a1_rqt.theme import THEMES

OKABE_ITO = {"#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000"}
NEUTRAL = {"#8C8C8C"}
TEXTS = (QtWidgets.QLabel, QtWidgets.QPushButton, QtWidgets.QLineEdit, ElidedLabel)
LONG = "row 3 of 16 leaves the workspace by 0.034 m at z = -0.034 m; lower the table, or mend it"


@pytest.fixture
def full(graph, widget, application, wait_for):
    """The widget with something long in every place."""
    graph.thresholds.publish(rig.thresholds_info())
    for code in range(17):
        graph.verdicts.publish(ChunkVerdict(code=code, detail=LONG))
        assert wait_for(partial(counted, widget, code + 1))
    graph.mode(ControllerState.TRACKING, LONG, tracking_error=0.123, late_ticks=123456)
    graph.picture()
    graph.play(widget, application, [2, 8, 3, 7, 4, 6, 5])
    assert wait_for(lambda: widget.commands.files and widget.state.thumbnails)
    widget.refresh()
    return widget


def counted(widget, verdicts: int) -> bool:
    return widget.state.verdicts.total() == verdicts


def place(widget, window) -> QtCore.QRect:
    return QtCore.QRect(widget.mapTo(window, QtCore.QPoint(0, 0)), widget.size())


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_no_text_lies_over_other_text_or_is_cut(full, application, size):
    full.resize(*size)
    application.processEvents()
    texts = [w for kind in TEXTS for w in full.findChildren(kind) if w.isVisible()]
    assert len(texts) > 40
    for one, other in itertools.combinations(texts, 2):
        if not (one.isAncestorOf(other) or other.isAncestorOf(one)):
            overlap = place(one, full).intersects(place(other, full))
            assert not overlap, (one.text(), other.text())
    for widget in texts:
        assert full.rect().contains(place(widget, full)), widget.text()
        if isinstance(widget, QtWidgets.QLabel):
            needed = widget.sizeHint()
            if widget.wordWrap():
                needed = QtCore.QSize(0, widget.heightForWidth(widget.width()))
            assert widget.width() >= needed.width(), widget.text()
            assert widget.height() >= needed.height(), widget.text()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_labels_of_the_axes_keep_apart_and_are_whole(full, application, size):
    full.resize(*size)
    application.processEvents()
    plots = full.findChildren(pyqtgraph.PlotWidget)
    assert len(plots) == 4
    painter = QtGui.QPainter(picture := QtGui.QPixmap(10, 10))
    for plot, side in itertools.product(plots, ("left", "bottom")):
        axis = plot.getAxis(side)
        assert axis.labelText.endswith("]"), "an axis without a unit"
        labels = [QtCore.QRectF(spec[0]) for spec in axis.generateDrawSpecs(painter)[2]]
        assert len(labels) > 1, axis.labelText
        for one, other in itertools.combinations(labels, 2):
            assert not one.intersects(other), (axis.labelText, one, other)
        for label in labels:
            inked = axis.mapRectToScene(label.adjusted(2, 2, -2, -2))
            assert plot.sceneRect().contains(inked), (axis.labelText, inked)
    painter.end()
    assert not picture.isNull()


def test_pictures_at_every_size_and_in_every_theme(full, tmp_path):
    paths = photograph(full, tmp_path / "pictures")
    assert sorted(p.name for p in paths) == sorted(
        f"rqt-{w}x{h}-{theme}.png" for w, h in SIZES for theme in ("light", "dark")
    )
    assert sorted(paths) == sorted((tmp_path / "pictures").iterdir())
    for path in paths:
        image = QtGui.QImage(str(path))
        _, size, theme = path.stem.split("-")
        assert f"{image.width()}x{image.height()}" == size
        corner = QtGui.QColor(image.pixel(2, 2)).lightness()
        assert (corner > 200) if theme == "light" else (corner < 60)


def test_the_window_follows_the_palette(full, application):
    for theme in (themes.DARK, themes.LIGHT):
        application.setPalette(themes.palette_of(theme))
        application.processEvents()
        background = full.exits.findChild(pyqtgraph.PlotWidget).backgroundBrush().color()
        assert background == QtGui.QColor(theme.panel)


def test_data_has_colours_that_every_reader_tells_apart():
    colours = [c for name, c in vars(themes).items() if name.isupper() and isinstance(c, str)]
    colours += [*themes.STAGE_COLOURS.values(), *(theme.line for theme in THEMES.values())]
    assert set(colours) <= OKABE_ITO | NEUTRAL
    assert len(set(themes.STAGE_COLOURS.values())) == len(themes.STAGE_COLOURS)


def test_text_stands_out_from_what_is_behind_it():
    for theme in THEMES.values():
        for ink, ground in itertools.product(
            (theme.text, theme.quiet), (theme.panel, theme.window, theme.field)
        ):
            assert contrast(ink, ground) >= 4.5, (theme.name, ink, ground)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_text_stands_out_in_the_window_itself(full, application, theme):
    for other in (*THEMES.values(), theme):
        application.setPalette(themes.palette_of(other))
        full.apply(other)
        application.processEvents()
    labels = [label for label in full.findChildren(ElidedLabel) if label.text()]
    assert len(labels) > 10
    for label in labels:
        image = label.grab().toImage()
        ground = theme.window if label is full.status else theme.panel
        places = itertools.product(range(image.width()), range(image.height()))
        inks = {image.pixelColor(x, y).name() for x, y in places}
        assert max(contrast(ink, ground) for ink in inks) >= 4.5, label.text()


def contrast(one: str, other: str) -> float:
    """Contrast ratio by WCAG 2.1."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_drawing_gives_back_what_it_borrows(full, application):
    # PySide6 6.12 drops references to None and True that it does not own on Python 3.11.
    before = sys.getrefcount(None), sys.getrefcount(True)
    for seq in range(60):
        full.state.note_exit(rig.exit_state(1000 + seq, layer=2 + seq % 7))
        full.draw()
        application.processEvents()
    after = sys.getrefcount(None), sys.getrefcount(True)
    assert after[0] - before[0] > -1000
    assert after[1] - before[1] > -100
