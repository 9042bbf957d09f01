"""franky-sim in a process of its own, and the spec of the robot that it plays."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import yaml

from a1_core.spec import RobotSpec, load_spec

SHIPPED = Path(__file__).parents[2] / "config/robots/franka_libfranka.yaml"
SERVER = Path(__file__).with_name("franka_server.py")
CONTROLLER = Path(__file__).with_name("controller_process.py")
# Where franky-sim's arm stands when it starts.
START = [0.0, 0.0, 0.0, -1.5708, 0.0, 1.5708, 0.7854]
# How fast its last joint may tremble after a stop (rad/s).
TREMBLES_RAD_S = 0.2


def own_address() -> str:
    """One of this machine's own, which no other process uses that asks here."""
    return f"127.0.{1 + os.getpid() % 250}.{1 + os.getpid() // 250 % 250}"


def write_spec(copy: Path, address: str) -> RobotSpec:
    """The shipped spec, for a robot at `address` that starts elsewhere and is slower than time."""
    content = yaml.safe_load(SHIPPED.read_text())
    content["home"]["value"] = START
    content["command"]["address"] = address
    content["state_sources"][0]["max_age_s"] = 20.0
    content["command"]["stream"]["arguments"]["max_lag_s"] = 30.0
    # Slow, so that one sees what goes on while the hand moves.
    content["gripper"]["command"]["arguments"]["speed"] = 0.05
    copy.write_text(yaml.safe_dump(content))
    return load_spec(copy)


class Franky:
    """The robot, listening at `address` when this returns; what it complains of goes to `log`."""

    def __init__(self, address: str, log: IO[str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self._to, self._from = self.process.stdin, self.process.stdout
        said = self._from.readline()
        assert said.startswith("ready"), said

    def hit(self) -> None:
        """Run into something: a reflex, once a motion is on."""
        self._say("reflex")

    def state(self) -> dict[str, Any]:
        """What it says of itself; franka_server.py tells the keys."""
        self._say("state")
        return json.loads(self._from.readline())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def _say(self, word: str) -> None:
        self._to.write(word + "\n")
        self._to.flush()
