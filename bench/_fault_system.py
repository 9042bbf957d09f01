"""The system that bench/faults.py breaks: every node a process of its own, and a watch on the arm.

Simulator, controller and this process are on the robot's computer, the policy is on another.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from _hosts import Hosts, die_with_parent
from control_msgs.msg import JointTrajectoryControllerState
from numpy.typing import ArrayLike, NDArray
from rclpy.node import Node
from sensor_msgs.msg import JointState

from a1_core.errors import A1Error
from a1_core.motion import Brake
from a1_core.spec import RobotSpec
from a1_ros.qos import RELIABLE
from a1_ros.times import stamp_to_ns

ROOT = Path(__file__).parents[1]
SPEC = ROOT / "config/robots/franka.yaml"
CHECKPOINT = ROOT / "checkpoints/tiny"
# Patience with a busy machine.
START_S = 600.0
# Told to stand still: rounding. Measured to: what a servo trembles when it holds.
TOLD_REST_RAD_S = 1e-3
ARM_REST_RAD_S = 0.02
# Between two messages of the arm's trajectory controller more is a jump of the clock.
JUMP_S = 1.0
# At rest is who stays at rest for so long.
STAYS_S = 0.6


class Cable(Protocol):
    """Where the policy runs, and what is between it and the robot."""

    how: str

    def on_policy_host(
        self, argv: Sequence[str], environment: Mapping[str, str]
    ) -> tuple[list[str], dict[str, str]]:
        """Command and environment of a process there."""

    def cut(self, policy: subprocess.Popen[bytes]) -> None:
        """Nothing passes any more."""

    def mend(self, policy: subprocess.Popen[bytes]) -> None:
        """All is as before."""


class TwoHosts:
    """Two network namespaces."""

    how = "cable pulled between two network namespaces"

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self.on_policy_host = hosts.on_policy_host

    def cut(self, policy: subprocess.Popen[bytes]) -> None:
        self._hosts.pull_the_cable()

    def mend(self, policy: subprocess.Popen[bytes]) -> None:
        self._hosts.plug_it_in()


class OneHost:
    """Where namespaces are not allowed: one computer, and a policy that is frozen in the middle."""

    how = "policy's process stopped (SIGSTOP): this machine allows no network namespaces"

    def on_policy_host(
        self, argv: Sequence[str], environment: Mapping[str, str]
    ) -> tuple[list[str], dict[str, str]]:
        return list(argv), dict(environment)

    def cut(self, policy: subprocess.Popen[bytes]) -> None:
        os.kill(policy.pid, 19)

    def mend(self, policy: subprocess.Popen[bytes]) -> None:
        os.kill(policy.pid, 18)


class System:
    """Processes by name; what they say goes to `out`/NAME.log."""

    def __init__(self, out: Path, cable: Cable, speed: float) -> None:
        self.cable = cable
        self._speed = speed
        self._out = out
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        out.mkdir(parents=True, exist_ok=True)

    def start_simulator(self) -> None:
        self._node("simulator", "a1_sim.main", "sim.yaml", robot=SPEC, speed=self._speed)

    def start_controller(self) -> None:
        """Controller and the manager that brings it up and, this being a simulation, arms it."""
        self._node(
            "controller", "a1_controllers.main", "controller.yaml", robot=SPEC, hardware=False
        )
        first = "simulator " if "controller_manager" not in self._processes else ""
        self._manager("controller", first + "controller", arm=True)

    def start_policy(self) -> None:
        """Policy and its manager, on the other computer."""
        files = {"robot": SPEC, "checkpoint": CHECKPOINT}
        self._node("policy", "a1_policy_node.main", "policy.yaml", **files)
        self._manager("policy", "policy", arm=False)

    def process(self, name: str) -> subprocess.Popen[bytes]:
        return self._processes[name]

    def kill(self, name: str) -> None:
        """kill -9, of the node and of its manager, which would be of no use any more."""
        for each in (name, f"{name}_manager"):
            self._processes[each].kill()
            self._processes[each].wait()

    def check(self) -> None:
        """A1Error when a process has ended by itself."""
        for name, process in self._processes.items():
            if process.poll() not in (None, -9):
                raise A1Error(f"{name} ended by itself: {self._out / name}.log says why")

    def is_up(self, name: str) -> bool:
        """Whether the manager of a node has said that it is active."""
        return b"active: " in (self._out / f"{name}_manager.log").read_bytes()

    def close(self) -> None:
        """End what still runs: asked first, made to after 10 s; says who had to be made to."""
        running = {n: p for n, p in self._processes.items() if p.poll() is None}
        for process in running.values():
            process.terminate()
        until_s = time.monotonic() + 10.0
        for process in running.values():
            try:
                process.wait(max(until_s - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _node(self, name: str, module: str, config: str, **parameters: Any) -> None:
        words = ["--params-file", str(ROOT / "config" / config)]
        for key, value in {"use_sim_time": name != "simulator", **parameters}.items():
            given = str(value).lower() if isinstance(value, bool) else value
            words += ["-p", f"{key}:={given}"]
        self._start(name, module, words)

    def _manager(self, name: str, nodes: str, *, arm: bool) -> None:
        words = ["-r", f"__node:={name}_manager", "-p", f"nodes:={nodes}"]
        words += ["-p", f"arm:={str(arm).lower()}", "-p", "use_sim_time:=true"]
        words += ["-p", f"step_timeout:={START_S}"]
        self._start(f"{name}_manager", "a1_ros.lifecycle_manager", words)

    def _start(self, name: str, module: str, words: Sequence[str]) -> None:
        code = f"from {module} import main; main()"
        argv = [sys.executable, "-c", code, "--ros-args", *words]
        environment = dict(os.environ)
        if name.startswith("policy"):
            argv, environment = self.cable.on_policy_host(argv, environment)
        with (self._out / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                argv,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,  # noqa: PLW1509  (nothing here holds a lock)
            )


class Motion:
    """What an arm is told and what it does, from the messages of who tells it.

    Attributes:
        told: (time (s), q, qd, qdd [J] each) of every message since `begin`.
        speeds: (time (s), fastest joint told, fastest joint measured (rad/s)).
        now_s: time of the newest message.
    """

    def __init__(self, spec: RobotSpec) -> None:
        self._limits = spec.operating_limits
        self.now_s = 0.0
        self.told: list[tuple[float, NDArray, NDArray, NDArray]] = []
        self.speeds: list[tuple[float, float, float]] = []

    def begin(self) -> None:
        """Forget what was."""
        self.told, self.speeds = [], []

    def hear(self, time_s: float, told: Sequence[ArrayLike], measured_rad_s: float) -> None:
        """Positions, velocities and accelerations told, and how fast the arm is."""
        self.now_s = time_s
        q, qd, qdd = (np.array(each) for each in told)
        self.told.append((time_s, q, qd, qdd))
        self.speeds.append((time_s, float(np.abs(qd).max()), measured_rad_s))

    @property
    def speed(self) -> float:
        """How fast the arm is told to be, rad/s."""
        return self.speeds[-1][1] if self.speeds else 0.0

    def told_rest_s(self) -> float | None:
        """From when on the arm has been told to stand still; None when it has not, or not long."""
        return self._rest_s(1, TOLD_REST_RAD_S)

    def arm_rest_s(self) -> float | None:
        """From when on it has stood still; None when it has not, or not long."""
        return self._rest_s(2, ARM_REST_RAD_S)

    def last_rest_s(self) -> tuple[float, float] | None:
        """From when on it has been told to stand still, and has stood; None unless for long."""
        told, arm = self.told_rest_s(), self.arm_rest_s()
        return None if told is None or arm is None else (told, arm)

    def _rest_s(self, column: int, limit_rad_s: float) -> float | None:
        if not self.speeds:
            return None
        late = next((s for s in reversed(self.speeds) if s[column] > limit_rad_s), self.speeds[0])
        return late[0] if self.now_s - late[0] > STAYS_S else None

    def braking_s(self, until_s: float) -> float:
        """The longest stop within the limits from any state that was told before `until_s`."""
        limits = self._limits
        stops = [
            Brake(q, qd, qdd, limits.acceleration, limits.jerk).duration_s
            for time_s, q, qd, qdd in list(self.told)
            if time_s <= until_s
        ]
        return max(stops, default=0.0)


class ArmWatch(Node):
    """Listens to the arm's trajectory controller, on the robot's clock.

    Attributes:
        motion: what it tells; jumps of its clock are taken out of the times.
        jumped_s, state_s: when that clock jumped last, and when a joint state was heard last.
    """

    def __init__(self, spec: RobotSpec) -> None:
        super().__init__("arm_watch", start_parameter_services=False)
        self.motion = Motion(spec)
        self._stamp_s = 0.0
        self.jumped_s, self.state_s = 0.0, 0.0
        topic = f"{spec.command.controller}/controller_state"
        self.create_subscription(JointTrajectoryControllerState, topic, self._hear, RELIABLE)
        for source in spec.state_sources:
            self.create_subscription(JointState, source.topic, self._hear_state, RELIABLE)

    def _hear(self, msg: JointTrajectoryControllerState) -> None:
        before_s, self._stamp_s = self._stamp_s, stamp_to_ns(msg.header.stamp) / 1e9
        passed_s, time_s = self._stamp_s - before_s, self.motion.now_s
        if 0.0 <= passed_s < JUMP_S:
            time_s += passed_s
        else:
            self.jumped_s = time_s
        told = msg.reference
        self.motion.hear(
            time_s,
            (told.positions, told.velocities, told.accelerations),
            float(np.abs(msg.feedback.velocities).max()),
        )

    def _hear_state(self, msg: JointState) -> None:
        self.state_s = self.motion.now_s


@contextmanager
def running(out: Path, cable: Cable, speed: float) -> Iterator[System]:
    """The system, started; its processes are ended whatever happens."""
    system = System(out, cable, speed)
    try:
        system.start_simulator()
        system.start_controller()
        system.start_policy()
        yield system
    finally:
        system.close()
