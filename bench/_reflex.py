"""The row of bench/faults.py that the simulator cannot play: the robot's own reflex.

franky-sim is an FR3 behind Franka's own protocol, the controller's libfranka adapter drives it, a
script stands in for the policy. The reflex is tests/adapters/franka_server.py's, because franky-sim
has none: the robot ends the motion and takes no other until it was asked to recover.

Its millisecond is Python and longer than ours. What the controller commands is therefore timed by
our clock, what the arm does by the robot's.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from _fault_system import ARM_REST_RAD_S, ROOT, STAYS_S, Motion
from _hosts import die_with_parent
from a1_msgs.msg import ControllerState
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from a1_controllers.libfranka import POLL_S
from a1_controllers.mode import Mode
from a1_controllers.settings import ControllerSettings
from a1_core.errors import A1Error
from a1_core.spec import RobotSpec
from a1_ros.qos import RELIABLE
from a1_ros.times import stamp_to_ns
from a1_sim.script_source import ScriptSource
from a1_sim.stage import spinning

NAME = "robot reflex"
NEEDS = "free the arm, a1/reset (which runs the automatic error recovery), a1/arm, the task again"
PATIENCE_S = 60.0
FAST_RAD_S, MOVES_RAD_S = 0.08, 0.03
# Of the robot's milliseconds: one ends the motion, in the next one the adapter reads of it.
READ_MS = 2
# franky-sim's last joint trembles.
STEADY_JOINTS = 6


class CommandWatch(Node):
    """The controller's command as it tells it itself, by its own clock."""

    def __init__(self, spec: RobotSpec) -> None:
        super().__init__("command_watch", start_parameter_services=False)
        self.motion = Motion(spec)
        self._joints = len(spec.joint_names)
        self.create_subscription(ControllerState, "a1/controller_state", self._hear, RELIABLE)

    def _hear(self, msg: ControllerState) -> None:
        told = (msg.position, msg.velocity, msg.acceleration)
        time_s = stamp_to_ns(msg.header.stamp) / 1e9
        self.motion.hear(time_s, [each[: self._joints] for each in told], 0.0)


class ReflexBench:
    """Robot, script and watch; the controller is a process of its own."""

    def __init__(self, robot: Any, controller: subprocess.Popen[bytes], spin: Any, spec: RobotSpec):
        self._robot, self._controller = robot, controller
        self._script = spin(ScriptSource(spec))
        self._motion = spin(CommandWatch(spec)).motion
        self._arm = self._script.create_client(SetBool, "a1/arm")
        self._reset = self._script.create_client(Trigger, "a1/reset")

    def row(self) -> dict[str, Any]:
        """A reflex while the arm moves, its rest, and the way back."""
        self._call(self._arm, SetBool.Request(data=True))
        began_s, time_s = time.monotonic(), self._robot.state()["time_s"]
        self._script.begin()
        self._wait(
            lambda: self._tracks(FAST_RAD_S) and _fastest(self._robot.state()) > MOVES_RAD_S,
            "a motion",
        )
        rate = (self._robot.state()["time_s"] - time_s) / (time.monotonic() - began_s)
        speed = self._motion.speed
        self._motion.begin()
        self._robot.hit()
        arm_to_rest_s, hit_s = self._watch_arm()
        self._wait(lambda: self._script.mode == ControllerState.FAULT, "FAULT")
        self._wait(lambda: self._motion.told_rest_s() is not None, "rest")
        self._script.end()
        reason = self._script.reason
        noticed_s = POLL_S + READ_MS * 1e-3 / rate
        within_s = noticed_s + 2.0 / ControllerSettings().rate_hz
        braking_s = self._motion.braking_s(hit_s + within_s)
        row = {
            "name": NAME,
            "time_to_rest_s": round(self._motion.told_rest_s() - hit_s, 3),
            "allowed_s": round(braking_s + within_s, 3),
            "recovers": False,
            "arm_to_rest_s": round(arm_to_rest_s, 3),
            "noticed_within_s": round(noticed_s, 3),
            "braking_s": round(braking_s, 3),
            "speed_rad_s": round(speed, 3),
            "controller": f"{Mode(self._script.mode).name}: {reason}",
            "needs": NEEDS,
            "robot_seconds_a_second": round(rate, 3),
        }
        began_s = time.monotonic()
        row["recovers"] = self._recovers()
        row["recovery_s"] = round(time.monotonic() - began_s, 1)
        return row

    def _watch_arm(self) -> tuple[float, float]:
        """How long the robot itself moves on, by its clock, and when it was hit, by ours (s)."""
        late_s: float | None = None
        told: dict[str, Any] = {}

        def stays() -> bool:
            nonlocal late_s, told
            told = self._robot.state()
            if told["hit_s"] is None:
                return False
            moves = _fastest(told) > ARM_REST_RAD_S
            late_s = told["time_s"] if moves else late_s or told["hit_s"]
            return told["time_s"] - late_s > STAYS_S

        self._wait(stays, "the arm's rest")
        assert late_s is not None
        return late_s - told["hit_s"], told["hit_ns"] / 1e9

    def _recovers(self) -> bool:
        try:
            self._call(self._reset, Trigger.Request())
            self._call(self._arm, SetBool.Request(data=True))
            self._script.begin()
            self._wait(lambda: self._tracks(MOVES_RAD_S), "motion")
        except A1Error as error:
            print(f"{NAME}: {error}", file=sys.stderr)
            return False
        return True

    def _tracks(self, speed_rad_s: float) -> bool:
        tracks = self._script.mode == ControllerState.TRACKING
        return tracks and self._motion.speed > speed_rad_s

    def _call(self, client: Any, request: Any) -> None:
        """Until it succeeds: the robot's side may not be there yet."""
        said = "no answer"

        def tried() -> bool:
            nonlocal said
            if not client.wait_for_service(timeout_sec=0.5):
                return False
            future = client.call_async(request)
            self._wait(future.done, client.srv_name)
            said = future.result().message
            return future.result().success

        self._wait(tried, lambda: f"{client.srv_name}: {said}")

    def _wait(self, condition: Callable[[], bool], what: str | Callable[[], str]) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not condition():
            if self._controller.poll() is not None:
                raise A1Error("the controller ended by itself: its log says why")
            if time.monotonic() > until_s:
                told = what if isinstance(what, str) else what()
                raise A1Error(f"not within {PATIENCE_S:.0f} s: {told}")
            time.sleep(0.01)


def _fastest(state: dict[str, Any]) -> float:
    return float(np.abs(state["dq"][:STEADY_JOINTS]).max())


def row(logs: Path) -> dict[str, Any]:
    """The row; A1Error where it cannot be measured. `logs`: folder for what the processes say."""
    with (
        TemporaryDirectory() as folder,
        _running(Path(folder), logs) as (robot, controller, spec),
        spinning() as spin,
    ):
        return ReflexBench(robot, controller, spin, spec).row()


@contextmanager
def _running(folder: Path, logs: Path) -> Iterator[tuple[Any, subprocess.Popen[bytes], RobotSpec]]:
    sys.path.insert(0, str(ROOT / "tests/adapters"))
    from franky import CONTROLLER, TREMBLES_RAD_S, Franky, own_address, write_spec

    logs.mkdir(parents=True, exist_ok=True)
    address = own_address()
    spec = write_spec(folder / "franka.yaml", address)
    words = ["--ros-args", "-p", f"max_arming_speed_rad_s:={TREMBLES_RAD_S}"]
    with (logs / "reflex.log").open("w") as log:
        robot = Franky(address, log)
        controller = subprocess.Popen(
            [sys.executable, str(CONTROLLER), str(spec.path), *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,  # noqa: PLW1509  (nothing here holds a lock)
        )
        try:
            yield robot, controller, spec
        finally:
            controller.kill()
            controller.wait()
            robot.close()
