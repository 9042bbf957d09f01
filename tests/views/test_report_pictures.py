"""The report as a person sees it, in a real browser."""

from itertools import product

import pytest
from browser import SCHEMES, SIZES, overlaps


@pytest.mark.parametrize("name", ["one", "two"])
def test_nothing_overlaps_and_nothing_is_wider_than_the_window(browser, reports, name):
    asked, wrong = [], []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((reports / f"{name}.html").as_uri())
    page.wait_for_function("[...document.images].every((image) => image.naturalWidth > 0)")
    for scheme, (width, height) in product(SCHEMES, SIZES):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": height})
        assert overlaps(page) == [], (scheme, width)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        ink = page.evaluate("getComputedStyle(document.querySelector('.time svg')).color")
        bright = sum(int(part) for part in ink[4:-1].split(","))
        assert bright > 600 if scheme == "dark" else bright < 200
    page.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert wrong == []


def test_a_click_on_the_timeline_goes_to_that_moment_of_the_film(browser, reports):
    page = browser.new_page()
    page.goto((reports / "one.html").as_uri())
    page.wait_for_function("document.querySelector('video').readyState >= 1")
    box = page.locator(".time").bounding_box()
    left, right, seconds = page.evaluate(
        "(({left, right, seconds}) => [+left, +right, +seconds])"
        "(document.querySelector('.time').dataset)"
    )
    at = left + 0.5 * (right - left)
    page.locator(".time").click(position={"x": at * box["width"], "y": 60})
    page.wait_for_function(
        f"Math.abs(document.querySelector('video').currentTime - {seconds / 2}) < 0.05"
    )
    line = page.locator(".cursor").bounding_box()
    assert abs(line["x"] - box["x"] - at * box["width"]) < 3
    page.close()
