"""The controller node: chunks in, verdicts and robot commands out."""

from typing import Any

from a1_msgs.msg import ActionChunk, ChunkVerdict, ControllerState, LockstepAck
from a1_msgs.srv import GoHome
from rclpy.clock import Clock, ClockType
from rosgraph_msgs.msg import Clock as ClockMsg
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger

from a1_controllers.adapters import make_robot, refuse_unserved
from a1_controllers.controller import Controller
from a1_controllers.output import Counters, Output
from a1_controllers.report import Reporter
from a1_controllers.robot import Robot
from a1_controllers.settings import ControllerSettings, Now
from a1_core.errors import A1Error
from a1_core.limits import SafetyGate
from a1_core.spec import load_spec
from a1_core.verdict import Verdict, VerdictCode
from a1_ros.diagnostics import Status
from a1_ros.guard import refuse_foreign_endpoints
from a1_ros.lifecycle import A1LifecycleNode
from a1_ros.messages import chunk_to_msg, floats, msg_to_chunk, msg_to_uuid, verdict_to_msg
from a1_ros.parameters import settings_from, specs_of
from a1_ros.qos import RELIABLE, qos_from_spec
from a1_ros.realtime import ask_for_realtime
from a1_ros.times import node_now_ns, ns_to_stamp, stamp_to_ns, steady_now_ns
from a1_world.inverse_kinematics import InverseKinematics
from a1_world.self_collision import SelfCollision

REFRESH_S = 0.5


class ControllerNode(A1LifecycleNode):
    """Wiring: every callback reads the clocks, asks the Controller, sends what it says.

    In lockstep the simulator's /clock message is the tick itself and the only clock, so that no
    tick depends on when a timer wakes up.
    """

    def __init__(self, **node_kwargs: Any) -> None:
        super().__init__("controller", specs_of(ControllerSettings), **node_kwargs)
        self._adapter: Robot | None = None
        self._controller: Controller | None = None
        self._active: list[tuple[Any, Any]] = []  # destroyer, what it destroys
        self._ready_message = ""
        self._lockstep = False

    def on_configured(self) -> None:
        """Load the spec, begin to ask the robot's side about itself."""
        settings = self._settings = self._settings_now()
        if not settings.robot:
            raise A1Error("controller: parameter robot is empty; give the file of a robot spec")
        if not settings.hardware:
            refuse_foreign_endpoints(self, [], settle_s=0.0)
        self._spec = load_spec(settings.robot)
        refuse_unserved(self._spec, hardware=settings.hardware)
        self._gate = SafetyGate(
            self._spec,
            self._spec.kinematics,
            self_collision=self._self_collision(),
            pose_solver=None if self._spec.kinematics is None else InverseKinematics(self._spec),
        )
        if settings.realtime_priority:
            refusal = ask_for_realtime(settings.realtime_priority)
            if refusal:
                raise A1Error(f"controller: {refusal}")
        self._counters = Counters()
        self._simulated = bool(self.get_parameter("use_sim_time").value)
        self._adapter = make_robot(
            self, self._spec, hardware=settings.hardware, address=settings.robot_address
        )
        self._adapter.start()
        self._refresh_timer = self.create_timer(
            REFRESH_S, self._refresh, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def _settings_now(self) -> ControllerSettings:
        return settings_from(ControllerSettings, self.parameters.values())

    def _self_collision(self) -> SelfCollision | None:
        if not self._settings.self_collision:
            return None
        if self._spec.model is None:
            self.get_logger().warning(
                f"{self._spec.path} names no MuJoCo model: self-collision is not checked"
            )
            return None
        return SelfCollision(self._spec)

    def on_activated(self) -> None:
        """Listen and tick; disarmed."""
        self._tick_ns, self._judged_seq = 0, 0
        self._lockstep = self._settings.lockstep
        self._controller = Controller(
            self._spec, self._settings, self._gate, self._now(), self._counters
        )
        self._reporter = Reporter(self._controller)
        self._told_plans = self._controller.player.plans
        self._plans = self._own(ActionChunk, "a1/plan", RELIABLE)
        self._verdicts = self._own(ChunkVerdict, "a1/chunk_verdict", RELIABLE)
        self._states = self._own(ControllerState, "a1/controller_state", RELIABLE)
        for index, source in enumerate(self._spec.state_sources):
            qos = qos_from_spec(source.qos, where=f"{self._spec.path}: state_sources[{index}].qos")
            self._hear(JointState, source.topic, self._joint_state_callback(index), qos)
        if self._lockstep:
            self._acks = self._own(LockstepAck, "sim/lockstep_ack", RELIABLE)
            self._hear(ClockMsg, "/clock", self._on_clock, RELIABLE)
        else:
            self._timer = self.create_timer(1.0 / self._settings.rate_hz, self._on_timer)
            self._active.append((self.destroy_timer, self._timer))
        self._waiting: list[ActionChunk] = []
        self._hear(ActionChunk, "a1/chunk", self._on_chunk, RELIABLE)
        self._serve(SetBool, "a1/arm", self._on_arm)
        self._serve(Trigger, "a1/stop", self._on_stop)
        self._serve(Trigger, "a1/reset", self._on_reset)
        self._serve(GoHome, "a1/go_home", self._on_go_home)
        self._serve(Trigger, "a1/give_back", self._on_give_back)
        self.diagnostics.set_source("controller", self._status)

    def on_deactivated(self) -> None:
        """Disarm, so brake; then fall silent."""
        self.diagnostics.remove_source("controller")
        if self._controller is not None:
            _, output = self._controller.disarm(self._now())
            self._send(output, self._now())
            self._judge_waiting()
        if self._adapter is not None:
            self._adapter.update(armed=False, measured_D=None)
        for destroy, entity in self._active:
            destroy(entity)
        self._active = []
        self._controller = None

    def on_cleaned_up(self) -> None:
        """Leave the robot's side."""
        if self._adapter is not None:
            self.destroy_timer(self._refresh_timer)
            self._adapter.close()
            self._adapter = None

    def _own(self, kind: Any, topic: str, qos: Any) -> Any:
        publisher = self.create_publisher(kind, topic, qos)
        self._active.append((self.destroy_publisher, publisher))
        return publisher

    def _hear(self, kind: Any, topic: str, callback: Any, qos: Any) -> None:
        subscription = self.create_subscription(kind, topic, callback, qos)
        self._active.append((self.destroy_subscription, subscription))

    def _serve(self, kind: Any, name: str, callback: Any) -> None:
        self._active.append((self.destroy_service, self.create_service(kind, name, callback)))

    def _now(self) -> Now:
        if self._lockstep:
            return Now(node_ns=self._tick_ns, watch_ns=self._tick_ns)
        node_ns = node_now_ns(self)
        return Now(node_ns=node_ns, watch_ns=node_ns if self._simulated else steady_now_ns())

    def _on_clock(self, msg: ClockMsg) -> None:
        self._tick_ns = stamp_to_ns(msg.clock)
        self._on_timer()
        self._acknowledge()

    def _on_timer(self) -> None:
        controller, adapter = self._controller, self._adapter
        assert controller is not None and adapter is not None
        now = self._now()
        fault = adapter.fault()
        if fault:
            controller.robot_fault(fault, now)
        self._send(controller.tick(now), now)
        adapter.update(armed=controller.mode.armed, measured_D=controller.sensing.measured_D)
        self._states.publish(self._reporter.state(now))
        self._tell_plan(now)
        self._judge_waiting()

    def _tell_plan(self, now: Now) -> None:
        """Say what comes when it has changed."""
        controller = self._controller
        assert controller is not None
        if controller.player.plans != self._told_plans:
            self._told_plans = controller.player.plans
            self._plans.publish(chunk_to_msg(controller.told_plan(now)))

    def _send(self, output: Output, now: Now) -> None:
        assert self._adapter is not None
        if output.window is not None and output.braking:
            self._adapter.forget_grippers()
        if output.window is not None:
            self._adapter.command(output.window, stamp_ns=now.node_ns)
        self._adapter.grippers(output.grippers)

    def _joint_state_callback(self, source: int) -> Any:
        def on_joint_state(msg: JointState) -> None:
            assert self._controller is not None
            self._controller.sensing.push(
                source,
                stamp_to_ns(msg.header.stamp),
                msg.name,
                msg.position,
                msg.velocity,
                self._now(),
            )

        return on_joint_state

    def _on_chunk(self, msg: ActionChunk) -> None:
        """Judge it, or have it wait for a tick that is near: judging takes long enough to make the
        tick late, and right after a tick there is most time for it."""
        if (
            not self._lockstep
            and self._timer.time_until_next_call() < self._timer.timer_period_ns // 2
        ):
            self._waiting.append(msg)
        else:
            self._judge(msg)

    def _judge_waiting(self) -> None:
        while self._waiting:
            self._judge(self._waiting.pop(0))

    def _judge(self, msg: ActionChunk) -> None:
        assert self._controller is not None
        now = self._now()
        try:
            verdict = self._controller.judge(msg_to_chunk(msg), now)
        except A1Error as error:
            verdict = Verdict(code=VerdictCode.WRONG_SHAPE, detail=str(error))
            self._controller.counters.refused_for[verdict.code] += 1
        self._tell_plan(now)
        self._verdicts.publish(
            verdict_to_msg(
                verdict,
                session_id=msg_to_uuid(msg.session_id),
                seq=msg.seq,
                stamp_ns=now.node_ns,
                base_frame=self._spec.base_frame,
            )
        )
        self._judged_seq = msg.seq
        if self._lockstep:
            self._acknowledge()

    def _acknowledge(self) -> None:
        self._acks.publish(
            LockstepAck(
                stamp=ns_to_stamp(self._tick_ns),
                node=LockstepAck.CONTROLLER,
                seq=self._judged_seq,
            )
        )

    def _on_arm(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        assert self._controller is not None and self._adapter is not None
        now = self._now()
        if request.data:
            self._controller.settings = self._settings_now()
            answer = self._controller.arm(self._adapter.ready(), now)
        else:
            answer, output = self._controller.disarm(now)
            self._adapter.forget_grippers()
            self._send(output, now)
        return self._answered(response, answer, "arm" if request.data else "disarm")

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        assert self._controller is not None and self._adapter is not None
        now = self._now()
        self._adapter.forget_grippers()
        self._send(self._controller.stop("stop was called", now), now)
        self.get_logger().warning("stopped; reset, then arm to go on")
        response.success, response.message = True, "stopped; reset, then arm to go on"
        return response

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        assert self._controller is not None and self._adapter is not None
        answer = self._controller.reset(self._now())
        if answer.ok:
            self._adapter.recover()
        return self._answered(response, answer, "reset")

    def _on_go_home(self, request: GoHome.Request, response: GoHome.Response) -> GoHome.Response:
        assert self._controller is not None
        answer = self._controller.go_home(request.velocity_scale, self._now())
        if answer.ok:
            response.names = list(self._spec.joint_names)
            response.position = floats(self._spec.home)
        return self._answered(response, answer, "go_home")

    def _on_give_back(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        assert self._controller is not None
        return self._answered(response, self._controller.give_back(self._now()), "give_back")

    def _answered(self, response: Any, answer: Any, what: str) -> Any:
        response.success, response.message = answer.ok, answer.message
        if answer.ok:
            self.get_logger().info(f"{what}: {answer.message}")
        else:
            self.get_logger().warning(
                f"{what} refused: {answer.message}", throttle_duration_sec=1.0
            )
        return response

    def _refresh(self) -> None:
        assert self._adapter is not None
        self._adapter.refresh()
        ready = self._adapter.ready()
        if ready.message != self._ready_message:
            self._ready_message = ready.message
            self.get_logger().info(ready.message or "the robot's side is ready")

    def _status(self) -> Status:
        assert self._adapter is not None
        return self._reporter.status(self._adapter.ready(), self._now())
