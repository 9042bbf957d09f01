"""What the page costs: time to its first picture, and what watching adds to the policy node.

page_first_picture_s: from asking for the page to the first news drawn in headless Chromium, over
loopback, with 200 chunks to show: the median of some visits, and the slowest.
policy_p95_added_ms: p95 of the policy node's overhead (camera stamp until the chunk is heard, less
model and waiting time, as in bench/node.py) with a page that is looked at, less the same without;
rounds of both take turns. policy_cpu_added_ms: CPU time of the policy's process for a chunk, with a
page less without, which other work on the machine disturbs less. Prints its rows for `views`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from a1_ros.domain import own_domain

os.environ.setdefault("ROS_DOMAIN_ID", str(own_domain()))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "screenshots"))

import numpy as np
import rclpy
from browser import running_browser
from node import NODE, SPEC
from rclpy.parameter import Parameter
from staged_run import Stage, staged

from a1_ros.compose import Composition
from a1_ros.executor import make_executor
from a1_ros.times import NS_PER_S, node_now_ns
from a1_views.page import NICENESS, PageNode

HERE = Path(__file__).parent
RUN_S = 60.0
DRAWN = "performance.getEntriesByName('a1-first-picture').length > 0"
MARK = "performance.getEntriesByName('a1-first-picture')[0].startTime"


def first_pictures_s(visits: int) -> list[float]:
    """Time to the first picture of every visit; each comes with an empty cache."""
    rclpy.init()
    stager = rclpy.create_node("stager")
    page = PageNode(parameter_overrides=[Parameter("port", value=0)])
    executor = make_executor()
    for node in (stager, page):
        executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    stage = Stage(stager)
    pause = threading.Event()
    while not stage.heard_by("/a1/exit_state"):
        pause.wait(0.05)
    for one in staged(node_now_ns(stager) - round(RUN_S * NS_PER_S), RUN_S):
        if one.topic not in ("/a1/controller_state", "/a1/thumbnails"):
            stage.say(one)
            pause.wait(0.001)  # No subscription keeps more than its queue.
    found = []
    with running_browser() as browser:
        for _ in range(visits + 1):
            context = browser.new_context(viewport={"width": 1920, "height": 1080}, bypass_csp=True)
            seen = context.new_page()
            seen.goto(page.address)
            seen.wait_for_function(DRAWN)
            found.append(seen.evaluate(MARK) / 1000)
            context.close()
    executor.shutdown()
    thread.join()
    for node in (page, stager):
        node.destroy_node()
    rclpy.shutdown()
    return found[1:]  # The browser itself was still starting in the first.


@dataclass
class Load:
    """The policy node's overhead of every chunk [ms], and what all of them cost it [s]."""

    overheads_ms: list[float] = field(default_factory=list)
    cpu_s: float = 0.0

    def stream(self, seconds: float) -> None:
        """One more round."""
        before_s = time.process_time()
        command = [sys.executable, str(HERE / "node.py"), "--robot", "--seconds", str(seconds)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        samples = json.loads(answer.stdout.splitlines()[-1])
        self.overheads_ms += [sample["overhead"] for sample in samples]
        self.cpu_s += time.process_time() - before_s

    @property
    def cpu_ms(self) -> float:
        """CPU time for a chunk."""
        return 1000 * self.cpu_s / len(self.overheads_ms)


def loads(seconds: float, rounds: int) -> tuple[Load, Load]:
    """The policy node without a page, and with one that is looked at."""
    without, watched = Load(), Load()
    with tempfile.TemporaryDirectory() as directory:
        checkpoint = Path(directory) / "checkpoint"
        subprocess.run(
            [sys.executable, str(HERE / "node.py"), "--write", str(checkpoint)], check=True
        )
        parameters = {
            NODE: {
                "robot": str(SPEC),
                "checkpoint": str(checkpoint),
                "mode": "full",
                "replan_period": 0.1,
            }
        }
        rclpy.init()
        with Composition([NODE], parameters=parameters) as composition:
            composition.bring_up()
            for _ in range(rounds):
                without.stream(seconds)
                page = subprocess.Popen([sys.executable, __file__, "--watched-page"])
                try:
                    watched.stream(seconds)
                finally:
                    page.kill()
                    page.wait()
        rclpy.shutdown()
    return without, watched


def be_watched_page() -> None:
    """Another process: the page's node, and a viewer who takes all its news."""
    os.nice(NICENESS)
    rclpy.init()
    page = PageNode(parameter_overrides=[Parameter("port", value=0)])

    def look() -> None:
        with urllib.request.urlopen(f"{page.address}news") as news:
            for _ in news:
                pass

    threading.Thread(target=look, daemon=True).start()
    executor = make_executor()
    executor.add_node(page)
    executor.spin()


def rows(seconds: float = 20.0, rounds: int = 3, visits: int = 7) -> list[dict]:
    """The figures of this file, one row each: name, value, unit."""
    pictures_s = first_pictures_s(visits)
    without, watched = loads(seconds, rounds)
    p50, p95 = (
        [float(np.percentile(load.overheads_ms, q)) for load in (without, watched)]
        for q in (50, 95)
    )
    figures = [
        ("page_first_picture_s", float(np.median(pictures_s)), "s"),
        ("page_first_picture_max_s", max(pictures_s), "s"),
        ("policy_p95_added_ms", p95[1] - p95[0], "ms"),
        ("policy_overhead_p95_without_ms", p95[0], "ms"),
        ("policy_p50_added_ms", p50[1] - p50[0], "ms"),
        ("policy_cpu_added_ms", watched.cpu_ms - without.cpu_ms, "ms"),
        ("policy_cpu_without_ms", without.cpu_ms, "ms"),
        ("chunks_without", len(without.overheads_ms), "1"),
        ("chunks_watched", len(watched.overheads_ms), "1"),
    ]
    return [{"name": n, "value": round(v, 3), "unit": unit} for n, v, unit in figures]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of every round")
    parser.add_argument("--rounds", type=int, default=3, help="without and with the page")
    parser.add_argument("--visits", type=int, default=7, help="of the browser")
    parser.add_argument("--watched-page", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watched_page:
        be_watched_page()
        return
    print(json.dumps({"rows": rows(arguments.seconds, arguments.rounds, arguments.visits)}))


if __name__ == "__main__":
    main()
