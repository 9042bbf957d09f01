"""Pictures of the page in the browser and of a report, in out/screenshots.

`python screenshots/page.py` after `source setup/env.sh`; needs Chromium or Chrome.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from pathlib import Path

from a1_ros.domain import own_domain

os.environ.setdefault("ROS_DOMAIN_ID", str(own_domain()))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
sys.path.insert(0, str(Path(__file__).parent))

import rclpy
from browser import pictures, running_browser
from rclpy.parameter import Parameter
from staged_run import Stage, staged, write_bag

from a1_ros.executor import SpinThread, make_executor
from a1_ros.times import NS_PER_S, node_now_ns
from a1_views.page import PageNode
from a1_views.report import write_report

OUT = Path(__file__).parents[1] / "out/screenshots"
PAST_S, LONGEST_S = 60.0, 120.0
OFTEN = ("/a1/controller_state", "/a1/thumbnails")
DECODED = (
    "[...document.images].every((image) => image.complete)"
    " && [...document.querySelectorAll('video')].every((video) => video.readyState >= 2)"
)
FULL = (
    "document.querySelector('#pictures img') && document.querySelectorAll('canvas').length === 3"
    " && document.querySelector('#mode').textContent !== 'no controller'"
)


def take(folder: Path = OUT) -> list[Path]:
    """Stage a run, look at the page and at two reports; the pictures' files."""
    with running_browser() as browser, tempfile.TemporaryDirectory() as scratch:
        taken = _live(browser, folder)
        bags = [Path(scratch) / name for name in ("franka_one", "franka_two")]
        told = {"robot": "franka", "outcome": "success", "instruction": "put the cube in the bowl"}
        for bag, seconds in zip(bags, (24.0, 18.0), strict=True):
            write_bag(bag, seconds, custom=told)
        for name, shown in (("report", bags[:1]), ("report_two", bags)):
            page = Path(scratch) / f"{name}.html"
            write_report(page, shown)
            taken += pictures(browser, page.as_uri(), folder, name, ready=DECODED, whole=True)
    return taken


def _live(browser, folder: Path) -> list[Path]:
    rclpy.init()
    stager = rclpy.create_node("stager")
    node = PageNode(
        parameter_overrides=[
            Parameter("port", value=0),
            Parameter("title", value="Franka"),
        ]
    )
    executor = make_executor()
    for each in (stager, node):
        executor.add_node(each)
    spinning = SpinThread(executor)
    present, ended = threading.Event(), threading.Event()
    telling = threading.Thread(target=_tell, args=(stager, present, ended), daemon=True)
    telling.start()
    try:
        present.wait()
        return pictures(browser, node.address, folder, "page", ready=FULL)
    finally:
        ended.set()
        telling.join()
        spinning.stop()
        node.destroy_node()
        stager.destroy_node()
        rclpy.shutdown()


def _tell(stager, present: threading.Event, ended: threading.Event) -> None:
    """The past minute at once, then the run goes on until the pictures are taken.

    `present` is set when what is told is no longer of the past.
    """
    stage = Stage(stager)
    while not stage.heard_by("/a1/exit_state"):
        if ended.wait(0.05):
            return
    now_ns = node_now_ns(stager)
    for one in staged(now_ns - round(PAST_S * NS_PER_S), PAST_S + LONGEST_S):
        if one.at_ns < now_ns and one.topic in OFTEN:
            continue
        ahead_s = (one.at_ns - node_now_ns(stager)) / NS_PER_S
        if ahead_s > 0.0:
            present.set()
        # No reader keeps more than its queue: what is past is told as fast as it is taken.
        if ended.wait(max(0.001, ahead_s)):
            return
        stage.say(one)


def main() -> None:
    """Take the pictures and name them."""
    for path in take():
        print(path.relative_to(OUT.parents[1]))


if __name__ == "__main__":
    main()
