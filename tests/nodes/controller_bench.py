"""The controller without ROS, on a made-up clock, and an arm that follows it."""

import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np

from a1_controllers.adapter import Readiness
from a1_controllers.controller import Controller
from a1_controllers.mode import Mode
from a1_controllers.output import Output
from a1_controllers.settings import ControllerSettings, Now
from a1_core.chunk import ActionChunk, ActionSpace, Source, joint_chunk
from a1_core.limits import SafetyGate
from a1_core.spec import RobotSpec, load_spec
from a1_core.verdict import VerdictCode

SPEC = load_spec(Path(__file__).parents[2] / "config/robots/franka.yaml")
TICK_NS = 20_000_000
READY = Readiness(ok=True, message="")
HOME_D = np.append(SPEC.home, 1.0)
FINGER = SPEC.gripper.joint
SESSION = str(uuid.UUID(int=1))


def chunk(
    stamp_ns: int, seq: int = 1, *, reach: float = 0.15, opening: float = 1.0, **changes
) -> ActionChunk:
    """Joint 1 runs to `reach` (rad) within the chunk, the gripper goes to `opening`."""
    actions_HD = np.zeros((16, 8))
    actions_HD[:, 0] = np.linspace(0.0, reach, 16)
    actions_HD[:, 7] = opening
    made = joint_chunk(
        SPEC,
        stamp_ns=stamp_ns,
        session_id=SESSION,
        seq=seq,
        source=Source.POLICY,
        actions_HD=actions_HD,
        action_space=ActionSpace.JOINT_DELTA,
    )
    return replace(made, **changes)


class Bench:
    """A controller and an arm that is always where it is commanded to be."""

    def __init__(
        self, gate: SafetyGate | None = None, *, spec: RobotSpec = SPEC, **settings
    ) -> None:
        self.now = Now(node_ns=10_000_000_000, watch_ns=77_000_000_000)
        values = {"hardware": False} | settings
        gate = gate or SafetyGate(spec, None)
        self.controller = Controller(spec, ControllerSettings(**values), gate, self.now)
        self.arm_D = HOME_D.copy()
        self.speaking = True
        self.outputs: list[Output] = []

    def step(self, ticks: int = 1) -> Output:
        for _ in range(ticks):
            self.now = Now(node_ns=self.now.node_ns + TICK_NS, watch_ns=self.now.watch_ns + TICK_NS)
            if self.speaking:
                self.speak()
            output = self.controller.tick(self.now)
            self.outputs.append(output)
            setpoint = self.controller.setpoint
            if self.controller.mode.armed or self.controller.mode.latched:
                self.arm_D = setpoint.q_D.copy() if setpoint is not None else self.arm_D
        return output

    def speak(self) -> None:
        sensing, stamp_ns = self.controller.sensing, self.now.node_ns
        names = list(reversed(SPEC.joint_names))
        sensing.push(0, stamp_ns, names, self.arm_D[6::-1], np.zeros(7), self.now)
        width = SPEC.gripper.from_unit(self.arm_D[7])
        sensing.push(1, stamp_ns, [FINGER], [width], [0.0], self.now)

    def armed(self) -> "Bench":
        self.step(2)
        answer = self.controller.arm(READY, self.now)
        assert answer.ok, answer.message
        self.step()
        return self

    def tracking(self) -> "Bench":
        self.armed()
        assert self.judge() is VerdictCode.ACCEPTED
        self.step(15)
        assert self.mode is Mode.TRACKING
        return self

    def judge(self, seq: int = 1, **changes) -> VerdictCode:
        made = chunk(changes.pop("stamp_ns", self.now.node_ns), seq, **changes)
        self.verdict = self.controller.judge(made, self.now)
        return self.verdict.code

    @property
    def mode(self) -> Mode:
        return self.controller.mode.mode

    @property
    def reason(self) -> str:
        return self.controller.mode.reason

    @property
    def speed(self) -> float:
        return float(np.abs(self.controller.setpoint.qd_D[:7]).max())
