"""The lifecycle node `teleop`: joystick, keyboard or leader arm in, chunks out."""

from __future__ import annotations

from typing import Any

import numpy as np
from a1_msgs.msg import ActionChunk, ChunkVerdict, ControllerState
from rclpy.subscription import Subscription
from rclpy.task import Future
from rclpy.timer import Timer
from sensor_msgs.msg import JointState, Joy
from std_srvs.srv import Trigger

from a1_core.chunk import Source
from a1_core.errors import A1Error
from a1_core.spec import RobotSpec, load_spec
from a1_recorder.teleop.controls import KEYBOARD, Controls, Joystick
from a1_recorder.teleop.leader import Leader
from a1_recorder.teleop.pilot import Heard, Phase, Pilot
from a1_recorder.teleop.settings import Settings, fitted_settings
from a1_recorder.teleop.steering import (
    JointSteering,
    LeaderSteering,
    Steering,
    TipSteering,
    load_arms,
    parts_of,
)
from a1_recorder.teleop.target import Target
from a1_ros.diagnostics import Level, Status
from a1_ros.guard import refuse_foreign_endpoints
from a1_ros.lifecycle import A1LifecycleNode
from a1_ros.messages import chunk_to_msg, msg_to_uuid, msg_to_verdict
from a1_ros.parameters import specs_of
from a1_ros.qos import RELIABLE, SENSOR, STATUS
from a1_ros.times import node_now_ns, stamp_to_ns, steady_now_ns

KEYS_TOPIC = "a1/keys"
CONTROLLER_SILENCE_NS = 500_000_000
MODES = {
    getattr(ControllerState, name): name
    for name in ("DISARMED", "SHADOW", "HOLD", "TRACKING", "STOPPED", "FAULT")
}
ARMED = ("HOLD", "TRACKING")


class TeleopNode(A1LifecycleNode):
    """Wiring: what is held and what the controller says go to the pilot, its chunks to the wire."""

    def __init__(self, **node_kwargs: Any) -> None:
        super().__init__("teleop", specs_of(Settings), **node_kwargs)
        self._pilot: Pilot | None = None
        self._timer: Timer | None = None
        self._listening: list[Subscription] = []
        self._state: tuple[int, ControllerState] | None = None
        self._joysticks: list[Joystick] = []
        self._driver: Joystick | None = None
        self._leader: Leader | None = None
        self._told = ""
        self._give_back = self.create_client(Trigger, "a1/give_back")
        self._chunks = self.create_publisher(ActionChunk, "a1/chunk", RELIABLE)

    def on_configured(self) -> None:
        """Read the spec, find the kinematics."""
        values = self.parameters.values()
        if not values["robot"]:
            raise A1Error("teleop: parameter robot is empty; give the file of a robot spec")
        self._spec = load_spec(values["robot"])
        self._settings = settings = fitted_settings(
            values, self._spec.joint_names, len(self._spec.grippers)
        )
        if settings.keyboard:
            refuse_foreign_endpoints(self, (), settle_s=0.0)
        self._steering = make_steering(self._spec, settings)

    def on_activated(self) -> None:
        """Listen; nothing is driven before a button is pressed."""
        settings, spec = self._settings, self._spec
        target = Target(
            spec.operating_limits,
            velocity_share=settings.velocity_share,
            acceleration_share=settings.acceleration_share,
        )
        leading = isinstance(self._steering, LeaderSteering)
        arms = () if leading else tuple(arm.name for arm in spec.arms)
        self._pilot = Pilot(spec, target, self._steering, arms)
        self._state, self._joysticks, self._driver, self._leader = None, [], None, None
        if settings.joy_topic:
            self._add_joystick(settings.joy_topic, settings.layout)
        if settings.keyboard:
            self._add_joystick(KEYS_TOPIC, KEYBOARD)
        if leading:
            self._listen_to_leader(settings)
        self._hear(ControllerState, "a1/controller_state", self._on_state, STATUS)
        self._hear(ChunkVerdict, "a1/chunk_verdict", self._on_verdict, RELIABLE)
        self._timer = self.create_timer(1.0 / settings.rate_hz, self._tick)
        self.diagnostics.set_source("teleop", self._status)

    def on_deactivated(self) -> None:
        """Fall silent: what is under way comes to rest."""
        self.diagnostics.remove_source("teleop")
        if self._timer is not None:
            self.destroy_timer(self._timer)
        for subscription in self._listening:
            self.destroy_subscription(subscription)
        self._listening, self._timer, self._pilot = [], None, None

    def _hear(self, kind: Any, topic: str, callback: Any, qos: Any) -> None:
        self._listening.append(self.create_subscription(kind, topic, callback, qos))

    def _add_joystick(self, topic: str, layout: Any) -> None:
        joints = max(len(arm.joints) for arm in self._spec.arms)
        joystick = Joystick(layout, joints, self._settings.joy_timeout)
        self._joysticks.append(joystick)

        def take(msg: Joy) -> None:
            joystick.take(msg.axes, msg.buttons, steady_now_ns())

        self._hear(Joy, topic, take, SENSOR)

    def _listen_to_leader(self, settings: Settings) -> None:
        leader = self._leader = Leader(
            settings.leader_joints,
            grippers=settings.leader_gripper,
            closed=settings.leader_gripper_closed,
            open=settings.leader_gripper_open,
            timeout_s=settings.leader_timeout,
        )

        def take(msg: JointState) -> None:
            leader.take(msg.name, msg.position, steady_now_ns())

        for topic in settings.leader_topic.split():
            self._hear(JointState, topic, take, SENSOR)

    def _on_state(self, msg: ControllerState) -> None:
        self._state = (steady_now_ns(), msg)

    def _on_verdict(self, msg: ChunkVerdict) -> None:
        assert self._pilot is not None
        session_id = msg_to_uuid(msg.session_id)
        self._pilot.verdict(session_id, msg.seq, msg_to_verdict(msg), self._heard())

    def _tick(self) -> None:
        pilot, now_ns = self._pilot, steady_now_ns()
        assert pilot is not None
        if self._leader is not None and isinstance(self._steering, LeaderSteering):
            self._steering.hear(self._leader.joints(now_ns), self._leader.openings(now_ns))
        step = pilot.tick(node_now_ns(self), self._controls(now_ns), self._heard())
        if step.chunk is not None:
            self._chunks.publish(chunk_to_msg(step.chunk))
        if step.give_back:
            self._give_back.call_async(Trigger.Request()).add_done_callback(self._given_back)
        if pilot.message != self._told:
            self._told = pilot.message
            self.get_logger().info(pilot.message)
            self.diagnostics.publish()

    def _given_back(self, future: Future) -> None:
        answer = future.result()
        if answer is not None and not answer.success:
            self.get_logger().warning(f"a1/give_back: {answer.message}")

    def _controls(self, now_ns: int) -> Controls | None:
        """Of the joystick that drives; while none does, of the first that is held."""
        assert self._pilot is not None
        if self._pilot.phase is Phase.IDLE:
            self._driver = None
        if self._driver is not None:
            return self._driver.controls(now_ns)
        told = [(joystick, joystick.controls(now_ns)) for joystick in self._joysticks]
        for joystick, controls in told:
            if controls is not None and controls.held:
                self._driver = joystick
                return controls
        return next((controls for _, controls in told if controls is not None), None)

    def _heard(self) -> Heard | None:
        if self._state is None or steady_now_ns() - self._state[0] > CONTROLLER_SILENCE_NS:
            return None
        msg = self._state[1]
        mode = MODES.get(msg.mode, str(msg.mode))
        return Heard(
            stamp_ns=stamp_to_ns(msg.header.stamp),
            mode=mode,
            armed=mode in ARMED,
            tracking=mode == "TRACKING",
            session_id=msg_to_uuid(msg.session_id),
            source=Source(msg.source),
            position_D=np.array(msg.position),
            velocity_D=np.array(msg.velocity),
        )

    def _status(self) -> Status:
        assert self._pilot is not None
        complaint = self._leader.complaint if self._leader is not None else ""
        return Status(
            level=Level.WARN if complaint else Level.OK,
            message="; ".join(text for text in (self._pilot.message, complaint) if text),
            values={"phase": self._pilot.phase.value, "source": self._pilot.source.name},
        )


def make_steering(spec: RobotSpec, settings: Settings) -> Steering:
    """What the parameters ask for; A1Error names the one that cannot be served."""
    if settings.steer == "joints":
        return JointSteering(parts_of(spec), spec.operating_limits, settings.joint_share)
    if settings.steer == "leader":
        return LeaderSteering(
            spec.joint_names,
            signs_J=np.array(settings.leader_signs),
            offsets_J=np.array(settings.leader_offsets),
            relative=settings.leader_relative,
            max_apart=settings.leader_max_apart,
        )
    return TipSteering(
        parts_of(spec),
        load_arms(settings.inverse_kinematics, spec),
        [spec.operating_limits.workspaces[arm.name] for arm in spec.arms],
        speed_m_s=settings.tip_speed,
        turn_rad_s=settings.tip_turn,
    )
