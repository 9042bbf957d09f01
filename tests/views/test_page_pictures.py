"""The page as a person sees it, in a real browser."""

from contextlib import closing

import numpy as np
import pytest
from browser import SCHEMES, SIZES, overlaps
from PIL import Image
from rclpy.parameter import Parameter
from ros_rig import Ros
from staged_run import Stage, staged
from std_srvs.srv import SetBool
from views_rig import Viewer
from waiting import wait_for

from a1_ros.times import NS_PER_S, node_now_ns
from a1_views.page import PageNode

OFTEN = ("/a1/controller_state", "/a1/thumbnails")

DRAWN = (
    "document.querySelectorAll('#statuses .level').length > 2 "
    "&& document.querySelector('#pictures img')"
)


FITTED = """() => {
  const charts = [...document.querySelectorAll('.chart')];
  return charts.length === 3 && charts.every((chart) => {
    const canvas = chart.querySelector('canvas');
    return canvas && Math.abs(canvas.getBoundingClientRect().width - chart.clientWidth) < 2;
  });
}"""
FAINT = """() => {
  // Texts whose contrast with what is behind them is below WCAG's 4.5, but for legends' marks.
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (element) => {
    for (let box = element; box; box = box.parentElement) {
      const ground = parts(getComputedStyle(box).backgroundColor);
      if (ground.length === 3 || ground[3] === 1) return ground;
    }
  };
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility()) continue;
    if (element.matches(".legend span span, :disabled")) continue;
    const both = [parts(getComputedStyle(element).color), behind(element)].map(luminance);
    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    if (ratio < 4.5) found.push(`${node.data.trim()}: ${ratio.toFixed(1)}`);
  }
  return found;
}"""
BATCH = 6
"""Chunks that are told at once: their messages fit a subscription's queue."""


@pytest.fixture(scope="module")
def ros():
    """One for all tests of this file, since the staged run takes a while to tell."""
    running = Ros()
    yield running
    running.shutdown()


@pytest.fixture(scope="module")
def served(ros):
    """The address of a page that has heard twenty seconds of a run."""
    stage = Stage(ros.node("stager"))
    overrides = [Parameter("port", value=0), Parameter("title", value="Franka")]
    page = ros.add(PageNode(parameter_overrides=overrides, use_global_arguments=False))
    assert wait_for(lambda: stage.heard_by("/a1/exit_state"))
    run = staged(node_now_ns(page) - 20 * NS_PER_S, 20.0)
    with closing(Viewer(page.address)) as viewer:
        told = 0
        for one in run:
            if one.topic not in OFTEN:
                stage.say(one)
            told += one.topic == "/a1/exit_state"
            if one.topic == "/a1/exit_state" and told % BATCH == 0:
                assert wait_for(lambda: len(viewer.ticks) == told), told  # noqa: B023
    newest = [next(one for one in reversed(run) if one.topic == topic) for topic in OFTEN]
    stage.node.create_timer(0.1, lambda: [stage.say(one) for one in newest])
    return page.address


@pytest.fixture(scope="module")
def opened(browser, served):
    """The page, what it asked for, and what went wrong in it."""
    asked: list[str] = []
    wrong: list[str] = []
    page = browser.new_page(bypass_csp=True)
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.goto(served)
    page.wait_for_function(DRAWN)
    yield page, asked, wrong
    page.close()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_everything_is_drawn_and_no_text_lies_over_another(opened, size, scheme, tmp_path):
    page, _, wrong = opened
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.wait_for_function(FITTED)
    assert page.locator(".chart .empty:visible").count() == 0
    assert overlaps(page) == []
    assert cut_off(page) == []
    assert page.evaluate(FAINT) == []
    scrolled = page.evaluate("document.documentElement.scrollHeight - innerHeight")
    assert scrolled <= 0, "all of it is seen at once"
    path = tmp_path / "page.png"
    page.screenshot(path=path)
    assert wrong == []
    looks_like(path, size, scheme)


def test_it_asks_nobody_but_the_node(opened, served):
    _, asked, _ = opened
    assert f"{served}news" in asked
    assert [url for url in asked if not url.startswith((served, "data:"))] == []


def cut_off(page) -> list[str]:
    """Headings and badges of which a part is not shown."""
    return page.evaluate(
        "[...document.querySelectorAll('h2, .badge')].filter((e) => e.scrollWidth > e.clientWidth)"
        ".map((e) => e.textContent)"
    )


def looks_like(path, size, scheme) -> None:
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=float)
    assert pixels.shape == (size[1], size[0], 3)
    bright = pixels.mean()
    assert bright > 200 if scheme == "light" else bright < 70
    # Every stage of the latency is in the picture, in its own colour.
    for colour in ((0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00), (0xF0, 0xE4, 0x42)):
        assert (np.abs(pixels - colour).max(axis=2) < 12).sum() > 20, colour


def test_it_says_why_no_chunk_comes_until_one_does(browser, make_page, stage):
    node = make_page()
    assert wait_for(lambda: stage.heard_by("/a1/exit_state") and stage.heard_by("/a1/refusal"))
    page = browser.new_page(bypass_csp=True)
    page.goto(node.address)
    run = staged(node_now_ns(node), 20.0)
    refused = next(k for k, one in enumerate(run) if one.topic == "/a1/refusal")
    chunk = next(one for one in run[refused:] if one.topic == "/a1/exit_state")

    def notes(text: str) -> None:
        page.wait_for_function(
            f"document.getElementById('exit-note').textContent.startsWith('{text}')"
        )

    stage.say(run[refused])
    notes("no chunk: CAMERA_STALE: camera wrist: nothing for 0.8 s")
    stage.say(chunk)
    notes(f"{chunk.msg.exit_layer} of {chunk.msg.num_layers}")
    page.close()


def test_it_says_when_the_node_is_gone(browser, make_page, ros):
    node = make_page()
    page = browser.new_page(bypass_csp=True)
    page.goto(node.address)
    page.wait_for_function("document.getElementById('link').textContent.startsWith('live')")
    ros.remove(node)
    page.wait_for_function("document.getElementById('link').textContent === 'the node is gone'")
    page.close()


def test_without_controls_there_are_no_buttons_and_with_them_there_are(browser, make_page):
    for controls in (False, True):
        node = make_page(controls=controls)
        page = browser.new_page(bypass_csp=True)
        page.goto(node.address)
        page.wait_for_function("document.getElementById('link').textContent.startsWith('live')")
        assert page.locator("button:visible").count() == (8 if controls else 0)
        if controls:
            page.get_by_role("button", name="Stop").click()
            page.wait_for_function(
                "document.getElementById('answer').textContent.includes('nobody offers')"
            )
            assert overlaps(page) == []
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                bad = "document.getElementById('mode').className = 'badge bad'"
                assert page.evaluate(f"() => {{ {bad}; return ({FAINT})(); }}") == []
        page.close()


def test_arming_takes_two_presses_and_nothing_is_done_in_silence(browser, make_page, ros):
    robot, armed = ros.node("robot"), []

    def arm(request, response):
        armed.append(request.data)
        response.success = True
        return response

    robot.create_service(SetBool, "a1/arm", arm)
    node = make_page(controls=True)
    page = browser.new_page(bypass_csp=True)
    page.goto(node.address)
    page.wait_for_function("document.getElementById('link').textContent.startsWith('live')")

    def says(text: str) -> None:
        page.wait_for_function(f"document.getElementById('answer').textContent.includes('{text}')")

    def answered() -> bool:
        page.get_by_role("button", name="Disarm").click()
        return bool(armed)

    assert wait_for(answered), "the page has found the service"
    page.get_by_role("button", name="Arm", exact=True).click()
    page.get_by_role("button", name="Send").click()
    assert True not in armed
    page.get_by_role("button", name="Press again").click()
    assert wait_for(lambda: True in armed)
    ros.remove(node)
    page.get_by_role("button", name="Stop").click()
    says("stop: NOT DONE")
    page.close()
