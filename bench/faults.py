"""Fault table: how long the arm moves on after each fault, and what is needed to go on.

    make bench-faults                  every fault, five to six minutes; ARGS="--only link" for one

The whole system runs in real time with the shipped checkpoint: simulator, controller, policy and
the managers that bring them up are processes, which talk over DDS; the policy is on a computer of
its own, a network namespace with a cable to the robot's (bench/_hosts.py). The arm is on its way to
put a cube into the bowl when it happens.

Times are the robot's, from the fault to the last moment at which its trajectory controller had the
arm move (`time_to_rest_s`), and at which the arm, whose simulated servos trail behind, was measured
to (`arm_to_rest_s`). Allowed are the stop within the operating limits from the fastest state until
then, two control periods, and what the spec and the controller's settings let pass before the fault
counts: `noticed_within_s`. Then the action that docs/faults.md names is taken, and `recovers` says
whether the arm follows the policy again. Written to out/bench/faults.json, one row a fault.

The eighth row, the robot's own reflex, is played over Franka's protocol with franky-sim in place of
the simulator (_reflex.py): there the times of the command are our clock's and those of the arm the
robot's, and the adapter's way to learn of it counts as `noticed_within_s`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import _hosts
import _reflex
from _fault_system import SPEC, START_S, ArmWatch, OneHost, System, TwoHosts, running
from a1_msgs.msg import ControllerState
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from std_srvs.srv import Trigger

from a1_controllers.mode import Mode
from a1_controllers.settings import ControllerSettings
from a1_core.assembler import IMAGES_KEPT
from a1_core.errors import A1Error
from a1_core.spec import RobotSpec, load_spec
from a1_ros.domain import isolate
from a1_sim.operator_node import Operator
from a1_sim.plans import evaluation_plans
from a1_sim.records import EpisodePlan
from a1_sim.stage import spinning

ROOT = Path(__file__).parents[1]
OUT = ROOT / "out/bench/faults.json"
LOGS = ROOT / "out/bench/faults"
MOTION_S, REST_S = 180.0, 120.0
FAST_RAD_S, MOVES_RAD_S = 0.25, 0.03
CUT_S, JUMP_S = 2.0, 2.0
LONGEST_STOP_S = 0.6
NOT_MEASURED = {"name": "", "time_to_rest_s": None, "allowed_s": None, "recovers": False}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row: what is done to the system and what is done to go on.

    Attributes:
        noticed_s: what may pass before it counts as that fault (s).
        needs: the action of docs/faults.md.
        task_again: the action includes to give the policy its task again.
        since_s: the robot's time of the fault itself, where it is not that of the strike.
        blind: what the arm's trajectory controller tells right after it says nothing of the arm.
    """

    name: str
    strike: Callable[[Bench], object]
    noticed_s: float
    mend: Callable[[Bench], object]
    needs: str
    task_again: bool = False
    since_s: Callable[[Bench], float] | None = None
    blind: bool = False


def faults_of(spec: RobotSpec, settings: ControllerSettings) -> list[Fault]:
    """All that the simulator plays, in the order of the table."""
    open_loop_s = spec.policy.max_open_loop_s
    frozen_s = max(IMAGES_KEPT / camera.rate_hz for camera in spec.cameras)
    lost_s = min(source.max_age_s for source in spec.state_sources)
    return [
        Fault(
            name="stop called",
            strike=lambda bench: bench.call("stop"),
            noticed_s=0.0,
            mend=lambda bench: (bench.call("reset"), bench.operator.arm()),
            needs="a1/reset, a1/arm, the task again",
            task_again=True,
        ),
        Fault(
            name="policy killed",
            strike=lambda bench: bench.system.kill("policy"),
            noticed_s=open_loop_s,
            mend=lambda bench: bench.system.start_policy(),
            needs="start the policy again, the task again",
            task_again=True,
        ),
        Fault(
            name="controller killed",
            strike=lambda bench: bench.system.kill("controller"),
            noticed_s=settings.window_s,
            mend=lambda bench: bench.system.start_controller(),
            needs="start the controller again, a1/arm; the task again where it was given up",
            task_again=True,
        ),
        Fault(
            name=f"link cut for {CUT_S:.0f} s",
            strike=lambda bench: bench.system.cable.cut(bench.system.process("policy")),
            noticed_s=open_loop_s,
            mend=lambda bench: bench.system.cable.mend(bench.system.process("policy")),
            needs="nothing: it goes on by itself within hold_timeout_s",
        ),
        Fault(
            name="camera frozen",
            strike=lambda bench: bench.set_fault("cameras_frozen", ["front", "wrist"]),
            noticed_s=frozen_s + open_loop_s,
            mend=lambda bench: bench.set_fault("cameras_frozen", [""]),
            needs="restart the camera's driver; it goes on by itself within hold_timeout_s",
        ),
        Fault(
            name="joint state lost",
            strike=lambda bench: bench.set_fault("joint_states_silent", True),
            noticed_s=lost_s,
            mend=lambda bench: bench.set_fault("joint_states_silent", False),
            needs="bring the joint states back; it goes on by itself within hold_timeout_s",
            since_s=lambda bench: bench.watch.state_s,
        ),
        Fault(
            name="clock jump",
            # Without the link cut the policy would have it go on before its rest can be seen.
            strike=lambda bench: (
                bench.system.cable.cut(bench.system.process("policy")),
                bench.set_fault("clock_offset_s", JUMP_S),
            ),
            noticed_s=0.0,
            mend=lambda bench: bench.system.cable.mend(bench.system.process("policy")),
            needs="nothing: it goes on by itself in simulation; hardware: a1/reset, a1/arm",
            since_s=lambda bench: bench.watch.jumped_s,
            blind=True,
        ),
    ]


class Bench:
    """One running system; `operator` and `watch` are spun elsewhere."""

    def __init__(
        self, system: System, operator: Operator, watch: ArmWatch, settings: ControllerSettings
    ) -> None:
        self.system, self.operator, self.watch = system, operator, watch
        self._period_s = 1.0 / settings.rate_hz
        self._goal: Any = None
        self._simulator = AsyncParameterClient(operator, "simulator")
        self._services = {
            name: operator.create_client(Trigger, f"a1/{name}") for name in ("stop", "reset")
        }

    def call(self, name: str) -> None:
        """The controller's service a1/`name`."""
        client = self._services[name]
        answer = self.operator.answer(client.call_async(Trigger.Request()), f"a1/{name}")
        if not answer.success:
            raise A1Error(f"a1/{name}: {answer.message}")

    def set_fault(self, name: str, value: Any) -> None:
        """The simulator's parameter fault.`name`."""
        parameter = Parameter(f"fault.{name}", value=value)
        self.operator.answer(self._simulator.set_parameters([parameter]), "simulator")

    def row(self, fault: Fault, plan: EpisodePlan) -> dict[str, Any]:
        """Strike while the arm moves, see it come to rest, mend, see it move again."""
        operator, watch = self.operator, self.watch.motion
        operator.disarm()
        instruction, _ = operator.reset(plan)
        operator.arm()
        self._begin(instruction)
        self._wait(lambda: self._tracks() and watch.speed > FAST_RAD_S, "a motion", MOTION_S)
        struck_s, speed = watch.now_s, watch.speed
        watch.begin()
        fault.strike(self)
        noticed_s = fault.noticed_s + 2.0 * self._period_s
        # A pause of the task before the fault counts is no rest.
        late_s = struck_s + max(CUT_S, noticed_s + LONGEST_STOP_S)
        rested = partial(self._rested, fault, struck_s, late_s)
        self._wait(lambda: rested() is not None, f"{fault.name}: rest", REST_S)
        since_s, told_s, arm_s = rested()
        said = operator.controller
        braking_s = watch.braking_s(since_s if fault.blind else since_s + noticed_s)
        row = {
            "name": fault.name,
            "time_to_rest_s": round(told_s - since_s, 3),
            "allowed_s": round(braking_s + noticed_s, 3),
            "recovers": False,
            "arm_to_rest_s": round(arm_s - since_s, 3),
            "noticed_within_s": round(fault.noticed_s, 3),
            "braking_s": round(braking_s, 3),
            "speed_rad_s": round(speed, 3),
            "controller": f"{Mode(said.mode).name}: {said.reason}",
            "needs": fault.needs,
        }
        fault.mend(self)
        began_s = time.monotonic()
        row["recovers"] = self._recovers(fault, instruction)
        row["recovery_s"] = round(time.monotonic() - began_s, 1)
        self._goal.cancel_goal_async()  # nothing of it is left for the next fault
        return row

    def _recovers(self, fault: Fault, instruction: str) -> bool:
        try:
            for name in ("controller", "policy"):
                self._wait(partial(self.system.is_up, name), f"an active {name}", START_S)
            self._wait(self._armed, "arming", START_S)
            if fault.task_again:
                self._begin(instruction)
            self._wait(
                lambda: self._tracks() and self.watch.motion.speed > MOVES_RAD_S, "motion", START_S
            )
        except A1Error as error:
            print(f"{fault.name}: {error}", file=sys.stderr)
            return False
        return True

    def _begin(self, instruction: str) -> None:
        """Give the task; again where a policy that is dead, but still in the graph, was asked."""
        until_s = time.monotonic() + START_S
        while True:
            try:
                self._goal = self.operator.begin(instruction)
            except A1Error:
                if time.monotonic() > until_s:
                    raise
            else:
                return

    def _tracks(self) -> bool:
        state = self.operator.controller
        return state is not None and state.mode == ControllerState.TRACKING

    def _armed(self) -> bool:
        return self.operator.controller.mode in (ControllerState.HOLD, ControllerState.TRACKING)

    def _rested(
        self, fault: Fault, struck_s: float, late_s: float
    ) -> tuple[float, float, float] | None:
        """When it happened, when the arm was told to stand still and when it did; None: not yet."""
        motion = self.watch.motion
        since_s = struck_s if fault.since_s is None else fault.since_s(self)
        rest_s = motion.last_rest_s() if motion.now_s > late_s else None
        return None if rest_s is None else (since_s, *rest_s)

    def _wait(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        self.operator.wait_for(condition, what, timeout_s)


def measure(only: str, speed: float) -> dict[str, Any]:
    """The rows of the faults whose names hold `only`; A1Error where there is none."""
    spec, settings = load_spec(SPEC), ControllerSettings()
    faults = [fault for fault in faults_of(spec, settings) if only in fault.name]
    if not faults and only not in _reflex.NAME:
        names = ", ".join([*(fault.name for fault in faults_of(spec, settings)), _reflex.NAME])
        raise A1Error(f"--only {only}: no fault's name holds that; there are: {names}")
    with _cable() as cable:
        rows = _simulated(faults, spec, settings, cable, speed) if faults else []
        if only in _reflex.NAME:
            rows.append(_measured(_reflex.NAME, lambda: _reflex.row(LOGS)))
        return {"link": cable.how, "speed": speed, "rows": rows}


def _simulated(
    faults: Sequence[Fault],
    spec: RobotSpec,
    settings: ControllerSettings,
    cable: TwoHosts | OneHost,
    speed: float,
) -> list[dict[str, Any]]:
    with running(LOGS, cable, speed) as system, spinning() as spin:
        operator, watch = spin(Operator()), spin(ArmWatch(spec))
        operator.watch_controller()
        operator.health = system.check
        operator.wait_ready(timeout_s=START_S)
        operator.wait_armed()
        operator.wait_for(lambda: system.is_up("policy"), "an active policy", START_S)
        operator.let_the_world_judge()
        bench = Bench(system, operator, watch, settings)
        plans = evaluation_plans("bowl", len(faults))
        return [
            _measured(fault.name, partial(bench.row, fault, plan))
            for fault, plan in zip(faults, plans, strict=True)
        ]


def _measured(name: str, row: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The row, told as soon as it is there; one that says why where it could not be measured."""
    try:
        told = row()
    except A1Error as error:
        told = {**NOT_MEASURED, "name": name, "error": str(error)}
    print(json.dumps(told), file=sys.stderr, flush=True)
    return told


@contextmanager
def _cable() -> Iterator[TwoHosts | OneHost]:
    if not _hosts.inside():
        yield OneHost()
        return
    with _hosts.Hosts() as hosts:
        yield TwoHosts(hosts)


def main() -> int:
    """Exit status 1 when the arm came to rest too late, or did not go on."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="faults whose names hold this")
    parser.add_argument("--speed", type=float, default=1.0, help="less on a machine that is busy")
    options = parser.parse_args()
    if _hosts.possible():
        _hosts.become_robot_host()
    isolate()
    try:
        result = measure(options.only, options.speed)
    except A1Error as error:
        print(f"faults: {error}", file=sys.stderr)
        return 2
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({"bench": "faults", **result}))
    good = [row["recovers"] and row["time_to_rest_s"] <= row["allowed_s"] for row in result["rows"]]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
