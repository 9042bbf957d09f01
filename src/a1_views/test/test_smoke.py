from importlib.resources import files

from a1_views.board import Board


def test_the_page_comes_with_the_package():
    assets = files("a1_views") / "assets"
    names = ["page.html", "page.css", "page.js", "charts.js"]
    names += [f"uplot/{name}" for name in ("uPlot.iife.min.js", "uPlot.min.css", "LICENSE")]
    assert [name for name in names if not (assets / name).is_file()] == []


def test_nothing_is_known_before_anything_is_heard():
    news = Board().news(0, 0)
    assert news["ticks"] == []
    assert news["saved"] is None
