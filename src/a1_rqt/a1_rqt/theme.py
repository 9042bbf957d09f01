"""Colours that readers of every colour vision tell apart (Okabe and Ito), on light and on dark.

M. Okabe, K. Ito: Color Universal Design, 2002. No colour is the only sign of anything: marks
differ in shape as well, and modes are written out.
"""

from dataclasses import dataclass

from a1_rqt.qt import QtGui

ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#8C8C8C"
STAGE_COLOURS = {
    "age": GREY,
    "preprocess": PURPLE,
    "vision": SKY,
    "backbone": BLUE,
    "head": ORANGE,
    "publish": GREEN,
}
"""As on the page and in the report of a1_views."""


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours of what is no data; `line` is the one data colour that differs."""

    name: str
    window: str
    panel: str
    field: str
    text: str
    quiet: str
    border: str
    line: str


LIGHT = Theme(
    name="light",
    window="#ECEFF1",
    panel="#FFFFFF",
    field="#FFFFFF",
    text="#16191C",
    quiet="#50585F",
    border="#C5CCD2",
    line=BLUE,
)
DARK = Theme(
    name="dark",
    window="#14171A",
    panel="#1F2429",
    field="#2A3037",
    text="#ECEFF1",
    quiet="#A9B3BC",
    border="#3A424A",
    line=SKY,
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


def theme_of(palette: QtGui.QPalette) -> Theme:
    """The theme that goes with a palette, which the desktop or rqt chose."""
    return DARK if palette.color(QtGui.QPalette.ColorRole.Window).lightness() < 128 else LIGHT


def palette_of(theme: Theme) -> QtGui.QPalette:
    """The palette of a window of our own."""
    role, group = QtGui.QPalette.ColorRole, QtGui.QPalette.ColorGroup
    palette = QtGui.QPalette()
    for target, colour in (
        (role.Window, theme.window),
        (role.Base, theme.field),
        (role.AlternateBase, theme.panel),
        (role.Button, theme.field),
        (role.WindowText, theme.text),
        (role.Text, theme.text),
        (role.ButtonText, theme.text),
        (role.ToolTipBase, theme.panel),
        (role.ToolTipText, theme.text),
        (role.Highlight, BLUE),
        (role.HighlightedText, "#FFFFFF"),
        (role.PlaceholderText, theme.quiet),
    ):
        palette.setColor(target, QtGui.QColor(colour))
    for target in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(group.Disabled, target, QtGui.QColor(theme.quiet))
    return palette
