"""A pilot, the controller core it drives and an arm that follows, on a made-up clock."""

import uuid
from pathlib import Path

import numpy as np

from a1_controllers.adapter import Readiness
from a1_controllers.controller import Controller
from a1_controllers.settings import ControllerSettings, Now
from a1_core.chunk import ActionChunk, ActionSpace, Source, joint_chunk
from a1_core.limits import SafetyGate
from a1_core.spec import load_spec
from a1_core.verdict import VerdictCode
from a1_recorder.teleop.controls import Controls
from a1_recorder.teleop.pilot import Heard, Pilot
from a1_recorder.teleop.steering import TipSteering, load_arms, parts_of
from a1_recorder.teleop.target import Target

CONFIG = Path(__file__).parents[2] / "config"
SPEC = load_spec(CONFIG / "robots/franka.yaml")
LIMITS = SPEC.operating_limits
BOX = LIMITS.workspace
TIP = SPEC.kinematics
TICK_NS = 20_000_000
TICKS_A_CHUNK = 3
READY = Readiness(ok=True, message="")
LET_GO = Controls(deadman=False, take_over=False, tip_6=np.zeros(6), joints_J=np.zeros(7))


def held(x=0.0, y=0.0, z=0.0, *, turn=0.0, joint=0.0, gripper=None, take_over=False) -> Controls:
    return Controls(
        deadman=not take_over,
        take_over=take_over,
        tip_6=np.array([x, y, z, 0.0, 0.0, turn]),
        joints_J=np.array([joint, *np.zeros(6)]),
        gripper=gripper,
    )


def tip_steering() -> TipSteering:
    arms = load_arms("", SPEC)
    return TipSteering(parts_of(SPEC), arms, [BOX], speed_m_s=0.15, turn_rad_s=0.6)


class Flight:
    """A pilot, the controller it drives, arms that are where they are commanded to be."""

    def __init__(self, steering, spec=SPEC, *, choose: bool = True) -> None:
        self.spec = spec
        self.now = Now(node_ns=10_000_000_000, watch_ns=77_000_000_000)
        gate = SafetyGate(spec, spec.kinematics)
        self.controller = Controller(spec, ControllerSettings(hardware=False), gate, self.now)
        target = Target(spec.operating_limits, velocity_share=0.5, acceleration_share=0.35)
        arms = [arm.name for arm in spec.arms] if choose else []
        self.pilot = Pilot(spec, target, steering, arms)
        self.arm_D = np.append(spec.home, np.ones(len(spec.grippers)))
        self.verdicts: list[tuple[Source, VerdictCode]] = []
        self.path: list = []
        self.ticks = 0
        self.policy_seq = 0
        self.heard_controller = True
        self.gives_back = lambda: None
        self.fly(LET_GO, 0.1)
        assert self.controller.arm(READY, self.now).ok
        self.fly(LET_GO, 0.1)

    def fly(self, controls: Controls | None, seconds: float, *, policy: bool = False) -> "Flight":
        for _ in range(round(seconds * 1e9 / TICK_NS)):
            self._tick(controls, policy)
        return self

    def _tick(self, controls: Controls | None, policy: bool) -> None:
        self.now = Now(node_ns=self.now.node_ns + TICK_NS, watch_ns=self.now.watch_ns + TICK_NS)
        sensing, stamp_ns = self.controller.sensing, self.now.node_ns
        where = self._joint_positions()
        for number, source in enumerate(self.spec.state_sources):
            positions = [where[name] for name in source.joints]
            sensing.push(
                number, stamp_ns, source.joints, positions, np.zeros(len(positions)), self.now
            )
        self.controller.tick(self.now)
        setpoint = self.controller.setpoint
        if self.controller.mode.armed:
            self.arm_D = setpoint.q_D.copy()
            self.path.append(setpoint)
        self.ticks += 1
        if policy and self.ticks % 15 == 0:
            self.judge(self.policy_chunk())
        if self.ticks % TICKS_A_CHUNK == 0:
            heard = self.heard() if self.heard_controller else None
            step = self.pilot.tick(self.now.node_ns, controls, heard)
            if step.chunk is not None:
                self.judge(step.chunk)
            if step.give_back:
                self.gives_back()
                assert self.controller.give_back(self.now).ok

    def _joint_positions(self) -> dict[str, float]:
        joints = self.spec.operating_limits.joints
        where = dict(zip(self.spec.joint_names, self.arm_D[:joints], strict=True))
        for gripper, opening in zip(self.spec.grippers, self.arm_D[joints:], strict=True):
            where[gripper.joint] = gripper.from_unit(opening)
        return where

    def judge(self, chunk: ActionChunk) -> None:
        verdict = self.controller.judge(chunk, self.now)
        self.verdicts.append((chunk.source, verdict.code))
        self.pilot.verdict(chunk.session_id, chunk.seq, verdict, self.heard())

    def heard(self) -> Heard:
        lock, setpoint = self.controller.admission.lock, self.controller.setpoint
        mode = self.controller.mode
        return Heard(
            stamp_ns=self.now.node_ns,
            mode=mode.mode.name,
            armed=mode.armed,
            tracking=mode.mode.name == "TRACKING",
            session_id=lock.session_id if lock else "",
            source=lock.source if lock else Source.POLICY,
            position_D=setpoint.q_D if setpoint else self.arm_D,
            velocity_D=setpoint.qd_D if setpoint else np.zeros(self.spec.dim),
        )

    def policy_chunk(self) -> ActionChunk:
        """Joint 1 goes on at 0.3 rad/s, the gripper closes."""
        self.policy_seq += 1
        actions_HD = np.zeros((16, 8), np.float32)
        actions_HD[:, 0] = 0.03 * np.arange(16)
        return joint_chunk(
            SPEC,
            stamp_ns=self.now.node_ns - TICK_NS,
            session_id=str(uuid.UUID(int=7)),
            seq=self.policy_seq,
            source=Source.POLICY,
            actions_HD=actions_HD,
            action_space=ActionSpace.JOINT_DELTA,
        )

    @property
    def mode(self) -> str:
        return self.controller.mode.mode.name

    @property
    def tip(self) -> np.ndarray:
        return TIP(self.arm_D[:7])[0]

    def told_by(self, source: Source) -> list[VerdictCode]:
        return [code for sender, code in self.verdicts if sender is source]

    def rests(self) -> bool:
        return self.mode == "HOLD" and not self.path[-1].qd_D.any()
