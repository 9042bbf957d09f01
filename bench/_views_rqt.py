"""What the rqt widget costs, drawn without a display; prints its rows for `views`.

A process plays policy and controller over DDS: 30 chunks a second with their verdicts, 100 control
ticks a second, thumbnails each second. Another shows the widget at 1280x800. `rqt_fps`: pictures of
the exit plot a second, as Qt asked it to paint. `rqt_core_fraction`: CPU time of that process, its
DDS and rclpy included, over wall time. `rqt_growth_mb_8h`: what the resident memory of the process
grows by while the widget gets 8 hours of messages (at speed, past DDS) and draws one in 100 of
the pictures it would draw; measured after the buffers are full.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from a1_ros.domain import own_domain

os.environ.setdefault("ROS_DOMAIN_ID", str(own_domain()))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["QT_QPA_PLATFORM"] = "offscreen"

import numpy as np
import rclpy
from a1_msgs.msg import ChunkVerdict, ControllerState, ExitState, ThresholdsInfo
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

from a1_ros.executor import make_executor
from a1_ros.images import to_jpeg
from a1_ros.messages import floats
from a1_ros.qos import LATCHED, RELIABLE, STATUS
from a1_ros.times import NS_PER_S, node_now_ns, ns_to_stamp
from a1_rqt.main import make_application
from a1_rqt.qt import QtCore, QtWidgets
from a1_rqt.run_state import CHUNKS_KEPT
from a1_rqt.spinning import Spinning
from a1_rqt.window import ExitsWidget

CHUNK_HZ = 30
TICK_HZ = 100
HOURS = 8
DRAW_EVERY = 100
DIFFERENT = 500
LAYERS = 24
EXITS = tuple(range(2, LAYERS + 1, 2))
ARM = [f"joint{number}" for number in range(1, 9)]
ROWS = {"rqt_fps": "1/s", "rqt_core_fraction": "1", "rqt_growth_mb_8h": "MB"}


def exit_state(seq: int, stamp_ns: int) -> ExitState:
    """An inference that wanders up and down the network."""
    index = round((len(EXITS) - 1) * (0.5 + 0.45 * math.sin(seq / 40)))
    deltas = 0.03 * np.exp(np.sin(np.arange(index + 1) + seq))
    deltas[0] = np.nan
    msg = ExitState(
        seq=seq,
        exit_layer=EXITS[index],
        num_layers=LAYERS,
        exit_index=index,
        flops_fraction=EXITS[index] / LAYERS,
        reason=ExitState.CONVERGED if index + 1 < len(EXITS) else ExitState.LAST_EXIT,
        observation_age_ms=5.0,
        preprocess_ms=1.0,
        vision_ms=4.0,
        backbone_ms=float(EXITS[index]),
        head_ms=3.0,
        total_ms=8.0 + EXITS[index],
        publish_ms=0.5,
        exits_evaluated=np.arange(index + 1, dtype=np.uint32),
        discrepancies=floats(deltas),
        thresholds=floats(np.full(index + 1, 0.05)),
    )
    msg.header.stamp = ns_to_stamp(stamp_ns)
    return msg


class Player(Node):
    """Policy and controller."""

    def __init__(self) -> None:
        super().__init__("views_player")
        self._seq = 0
        self._exits = self.create_publisher(ExitState, "a1/exit_state", RELIABLE)
        self._verdicts = self.create_publisher(ChunkVerdict, "a1/chunk_verdict", RELIABLE)
        self._states = self.create_publisher(ControllerState, "a1/controller_state", RELIABLE)
        self._thumbnails = self.create_publisher(CompressedImage, "a1/thumbnails", STATUS)
        self._info = self.create_publisher(ThresholdsInfo, "a1/thresholds_info", LATCHED)
        info = ThresholdsInfo(metric="l2", exits=np.array(EXITS, np.uint32), thresholds_digest="a")
        info.thresholds = floats([0.05] * (len(EXITS) - 1) + [math.inf])
        self._info.publish(info)
        zeros = floats(np.zeros(len(ARM)))
        self._state = ControllerState(
            mode=ControllerState.TRACKING, reason="following", names=ARM, position=zeros
        )
        self._state.velocity = self._state.acceleration = self._state.measured = zeros
        self._pixels = np.random.default_rng(0).integers(0, 256, (96, 192, 3), dtype=np.uint8)
        self.create_timer(1 / CHUNK_HZ, self._chunk)
        self.create_timer(1 / TICK_HZ, lambda: self._states.publish(self._state))
        self.create_timer(1.0, self._look)

    def _chunk(self) -> None:
        self._seq += 1
        self._exits.publish(exit_state(self._seq, node_now_ns(self)))
        self._verdicts.publish(ChunkVerdict(seq=self._seq))

    def _look(self) -> None:
        self._thumbnails.publish(to_jpeg(self._pixels, node_now_ns(self), "front|wrist"))


class Paints(QtCore.QObject):
    """Counts how often a widget is asked to paint itself."""

    def __init__(self, widget: QtWidgets.QWidget) -> None:
        super().__init__()
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:  # noqa: N802
        self.count += event.type() == QtCore.QEvent.Type.Paint
        return False


def be_player(seconds: float) -> None:
    """Publish for `seconds`."""
    rclpy.init()
    player = Player()
    executor = make_executor()
    executor.add_node(player)
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        executor.spin_once(timeout_sec=0.05)


def run_for(seconds: float) -> None:
    loop = QtCore.QEventLoop()
    QtCore.QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


def be_view(seconds: float) -> None:
    """Show the widget; print pictures a second and share of a core once a minute is full."""
    application = make_application("light")
    rclpy.init()
    with Spinning("views") as node:
        widget = ExitsWidget(node)
        widget.resize(1280, 800)
        widget.show()
        application.processEvents()
        now_ns = time.time_ns()
        for seq in range(60 * CHUNK_HZ):  # the minute that is drawn is full from the start
            age_ns = (60 * CHUNK_HZ - seq) * NS_PER_S // CHUNK_HZ
            widget.state.note_exit(exit_state(seq, now_ns - age_ns))
        while widget.state.verdicts.total() == 0:
            run_for(0.1)
        paints = Paints(widget.exits.findChild(QtWidgets.QGraphicsView).viewport())
        before, chunks = time.process_time(), widget.state.chunks.total
        began_s = time.monotonic()
        run_for(seconds)
        wall_s = time.monotonic() - began_s
        print(
            json.dumps(
                {
                    "rqt_fps": paints.count / wall_s,
                    "rqt_core_fraction": (time.process_time() - before) / wall_s,
                    "chunk_hz": (widget.state.chunks.total - chunks) / wall_s,
                }
            )
        )
        widget.shut_down()


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def be_old(hours: float) -> None:
    """Feed the widget; print what the resident memory grew by."""
    application = make_application("light")
    rclpy.init()
    with Spinning("views") as node:
        widget = ExitsWidget(node)
        widget.resize(1280, 800)
        widget.show()

        messages = [exit_state(seq, 0) for seq in range(DIFFERENT)]

        def feed(first: int, count: int) -> None:
            for seq in range(first, first + count):
                msg = messages[seq % DIFFERENT]
                msg.header.stamp = ns_to_stamp(seq * NS_PER_S // CHUNK_HZ)
                widget.state.note_exit(msg)
                widget.state.note_verdict(ChunkVerdict(seq=seq, code=seq % 17))
                if seq % DRAW_EVERY == 0:
                    widget.draw()
                    widget.refresh()
                    application.processEvents()

        feed(0, 3 * CHUNKS_KEPT)
        before_mb = resident_mb()
        feed(3 * CHUNKS_KEPT, round(hours * 3600 * CHUNK_HZ))
        print(json.dumps({"rqt_growth_mb_8h": (resident_mb() - before_mb) * HOURS / hours}))
        widget.shut_down()


def child(*arguments: str) -> list[str]:
    return [sys.executable, __file__, *arguments]


def answer_of(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def rows(seconds: float = 20.0, hours: float = HOURS) -> list[dict[str, object]]:
    """The rows of the rqt widget: name, value, unit."""
    player = subprocess.Popen(child("--player", "--seconds", str(seconds + 60)))
    try:
        found = answer_of(child("--view", "--seconds", str(seconds)))
    finally:
        player.terminate()
        player.wait()
    found |= answer_of(child("--old", "--hours", str(hours)))
    return [
        {"name": name, "value": round(found[name], 3), "unit": unit} for name, unit in ROWS.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="time of measurement")
    parser.add_argument("--hours", type=float, default=HOURS, help="of messages fed at speed")
    for part in ("--player", "--view", "--old"):
        parser.add_argument(part, action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.player:
        be_player(arguments.seconds)
    elif arguments.view:
        be_view(arguments.seconds)
    elif arguments.old:
        be_old(arguments.hours)
    else:
        print(json.dumps({"rows": rows(arguments.seconds, arguments.hours)}))


if __name__ == "__main__":
    main()
