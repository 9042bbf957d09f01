"""What the page costs: time to its first picture, and what watching adds to the policy node.

page_first_picture_s: from asking for the page to the first news drawn in headless Chromium, over
loopback, with 200 chunks to show: the median of some visits, and the slowest.
policy_p95_added_ms: p95 of the policy node's overhead (camera stamp until the chunk is heard, less
model and waiting time, as in bench/node.py) with a page that is looked at, less the same without.
One run of policy and robot, in which blocks of a few seconds without and with the page take turns;
_low and _high hold the difference with 95 % confidence (`_paired`): where the machine is noisy,
they lie apart. policy_p50_added_ms is of the median; policy_cpu_added_ms of the CPU time that the
policy's process spends on a chunk, which other work disturbs less. Prints its rows for `views`.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from a1_ros.domain import own_domain

os.environ.setdefault("ROS_DOMAIN_ID", str(own_domain()))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "screenshots"))

import numpy as np
import rclpy
from _paired import Values, added
from browser import running_browser
from node import NODE, SPEC
from rclpy.parameter import Parameter
from staged_run import Stage, staged

from a1_ros.compose import Composition
from a1_ros.executor import SpinThread, make_executor
from a1_ros.times import NS_PER_S, node_now_ns
from a1_views.page import PageNode
from a1_views.serving import NICENESS

HERE = Path(__file__).parent
RUN_S = 60.0
SETTLE_S = 1.0
"""After the page came or went; endpoints that do so cost their neighbours something, once."""
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
    spinning = SpinThread(executor)
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
    spinning.stop()
    for node in (page, stager):
        node.destroy_node()
    rclpy.shutdown()
    return found[1:]  # The browser itself was still starting in the first.


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some seconds without a page, or with one that is looked at."""

    watched: bool
    begin_s: float
    end_s: float
    cpu_s: float


@contextmanager
def watching() -> Iterator[Callable[[bool], None]]:
    """`switch(on)`: whether another process serves a page and looks at it; it waits for that."""
    command = [sys.executable, __file__, "--watched-page"]
    page = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def switch(on: bool) -> None:
        page.stdin.write(f"{'on' if on else 'off'}\n")
        page.stdin.flush()
        if not page.stdout.readline():
            raise RuntimeError("the page's process ended; its errors are above")

    try:
        yield switch
    finally:
        page.kill()
        page.wait()


def take_turns(switch: Callable[[bool], None], pairs: int, seconds: float) -> list[Block]:
    """Blocks, two neighbours a pair, the order within a pair by chance."""
    rng = np.random.default_rng(0)
    pause = threading.Event()
    blocks = []
    for first in rng.integers(0, 2, pairs):
        for watched in (bool(first), not first):
            switch(watched)
            pause.wait(SETTLE_S)
            begin_s, cpu_s = time.time(), time.process_time()
            pause.wait(seconds)
            spent_s = time.process_time() - cpu_s
            blocks.append(Block(watched=watched, begin_s=begin_s, end_s=time.time(), cpu_s=spent_s))
    return blocks


def loads(pairs: int, seconds: float) -> tuple[list[Block], list[dict[str, float]]]:
    """What the policy node did in blocks without and with a page: they, and all its chunks."""
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
        with Composition([NODE], parameters=parameters) as composition, watching() as switch:
            composition.bring_up()
            switch(False)
            command = [sys.executable, str(HERE / "node.py"), "--robot", "--seconds", "inf"]
            robot = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            blocks = take_turns(switch, pairs, seconds)
            robot.terminate()
            answer, _ = robot.communicate()
        rclpy.shutdown()
    return blocks, json.loads(answer.splitlines()[-1])


def by_pair(
    blocks: Sequence[Block], chunks: Sequence[dict[str, float]]
) -> tuple[list[tuple[Values, Values]], list[tuple[Values, Values]]]:
    """Overhead of every chunk [ms], and CPU time for a chunk [ms]: pairs of (without, with).

    A pair of which a block has no chunks is left out, as those have before the robot is up.
    """
    overheads, cpu = [], []
    for pair in zip(blocks[::2], blocks[1::2], strict=True):
        sides = sorted(pair, key=lambda block: block.watched)
        values = [
            np.array([c["overhead"] for c in chunks if side.begin_s <= c["stamp_s"] < side.end_s])
            for side in sides
        ]
        if all(value.size for value in values):
            overheads.append((values[0], values[1]))
            each = [
                np.array([1000 * side.cpu_s / value.size])
                for side, value in zip(sides, values, strict=True)
            ]
            cpu.append((each[0], each[1]))
    return overheads, cpu


def be_watched_page() -> None:
    """Another process: at "on" the page's node and a viewer who takes all its news, until "off"."""
    os.nice(NICENESS)
    on = False
    with ExitStack() as stack:
        for line in sys.stdin:
            wanted = line.strip() == "on"
            if wanted and not on:
                stack.enter_context(watched_page())
            elif on and not wanted:
                stack.close()
            on = wanted
            print(line.strip(), flush=True)


@contextmanager
def watched_page() -> Iterator[None]:
    """A page of which a viewer has had the first news."""
    rclpy.init()
    page = PageNode(parameter_overrides=[Parameter("port", value=0)])
    executor = make_executor()
    executor.add_node(page)
    spinning = SpinThread(executor)
    looked = threading.Event()

    def look() -> None:
        with suppress(OSError), urllib.request.urlopen(f"{page.address}news") as news:
            for _ in news:
                looked.set()

    threading.Thread(target=look, daemon=True).start()
    looked.wait()
    try:
        yield
    finally:
        spinning.stop()
        page.destroy_node()
        rclpy.shutdown()


def rows(pairs: int = 24, seconds: float = 2.5, visits: int = 7) -> list[dict]:
    """The figures of this file, one row each: name, value, unit."""
    pictures_s = first_pictures_s(visits)
    overheads, cpu = by_pair(*loads(pairs, seconds))
    p95 = added(overheads, lambda values: float(np.percentile(values, 95)))
    p50 = added(overheads, lambda values: float(np.median(values)))
    spent = added(cpu, lambda values: float(np.median(values)))
    without, watched = (np.concatenate([pair[arm] for pair in overheads]) for arm in (0, 1))
    figures = [
        ("page_first_picture_s", float(np.median(pictures_s)), "s"),
        ("page_first_picture_max_s", max(pictures_s), "s"),
        ("policy_p95_added_ms", p95.value, "ms"),
        ("policy_p95_added_low_ms", p95.low, "ms"),
        ("policy_p95_added_high_ms", p95.high, "ms"),
        ("policy_p50_added_ms", p50.value, "ms"),
        ("policy_p50_added_low_ms", p50.low, "ms"),
        ("policy_p50_added_high_ms", p50.high, "ms"),
        ("policy_overhead_p95_without_ms", float(np.percentile(without, 95)), "ms"),
        ("policy_cpu_added_ms", spent.value, "ms"),
        ("policy_cpu_added_low_ms", spent.low, "ms"),
        ("policy_cpu_added_high_ms", spent.high, "ms"),
        ("chunks_without", without.size, "1"),
        ("chunks_watched", watched.size, "1"),
    ]
    return [{"name": n, "value": round(v, 3), "unit": unit} for n, v, unit in figures]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--pairs", type=int, default=24, help="of blocks, without and with the page"
    )
    parser.add_argument("--seconds", type=float, default=2.5, help="of every block")
    parser.add_argument("--visits", type=int, default=7, help="of the browser")
    parser.add_argument("--watched-page", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watched_page:
        be_watched_page()
        return
    print(json.dumps({"rows": rows(arguments.pairs, arguments.seconds, arguments.visits)}))


if __name__ == "__main__":
    main()
