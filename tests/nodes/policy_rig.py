"""Input of the policy tests: a robot that publishes over DDS, a policy whose output is known."""

import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import yaml
from a1_msgs.action import RunTask
from a1_msgs.msg import ActionChunk, ExitState, LockstepAck, ObservationRefusal
from a1_msgs.srv import SetInstruction
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action import ActionClient
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState

from a1_core.exit_rule import Thresholds
from a1_core.policy import ExitReason, ExitTrace, PolicyOutput
from a1_core.provenance import Evidence
from a1_core.thresholds_file import Certificate, ThresholdsFile, write_thresholds
from a1_ros.images import to_image, to_jpeg
from a1_ros.messages import to_joint_state
from a1_ros.qos import RELIABLE
from a1_ros.times import NS_PER_S, ns_to_duration, ns_to_stamp, stamp_to_ns

TICK_NS = 50_000_000
START_NS = 10 * TICK_NS
EXITS = (1, 2, 3, 4, 5, 6, 7)
LAYERS = 8
ARM = np.linspace(-0.3, 0.3, 7)
CHECKPOINT_DIGEST = "c" * 64
NORMALISER_DIGEST = "d" * 64


FRANKA = Path(__file__).parents[2] / "config/robots/franka.yaml"


def write_quick_spec(path: Path, **changes) -> Path:
    """The Franka's spec with 32x32 cameras at 20 Hz; `changes` replace top-level keys."""
    content = yaml.safe_load(FRANKA.read_text())
    for camera in content["cameras"]:
        camera.update(width=32, height=32, rate_hz=20.0, qos="reliable")
    for source in content["state_sources"]:
        source["qos"] = "reliable"
    path.write_text(yaml.safe_dump({**content, **changes}))
    return path


def result_of(future, timeout_s: float = 10.0):
    """The result of a future that the executor's thread completes."""
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(timeout_s), "no answer"
    return future.result()


CERTIFICATE = Certificate(risk=0.05, failure=0.1, tolerance=0.01, episodes=45)


def certificate(kinematics: str = "", period_s: float = 0.05) -> Certificate:
    """One that says what it is about: ticks `period_s` apart, five rows."""
    evidence = Evidence(
        deviation="tool_tip_m" if kinematics else "joint_rad",
        further_tolerances={"gripper": 0.1},
        tick_loss="binary",
        episode_loss="max",
        test="binomial",
        p_value=0.08,
        observed_risk=0.0,
        member=2,
        members=3,
        executed_rows=5,
        forward_kinematics=kinematics,
        period_s=period_s,
    )
    return Certificate(risk=0.05, failure=0.1, tolerance=0.1, episodes=50, evidence=evidence)


def write_known_thresholds(
    path: Path,
    spec,
    eta: float = 0.1,
    metric: str = "l2",
    certificate: Certificate = CERTIFICATE,
    safer=(),
    exits=EXITS,
    **bindings,
) -> ThresholdsFile:
    """Thresholds for the known checkpoint, certified; `bindings` replace what they are for."""
    thresholds = Thresholds(
        exits=exits,
        eta=(*[eta] * (len(exits) - 1), float("inf")),
        metric=metric,
        bindings={
            "checkpoint": CHECKPOINT_DIGEST,
            "normaliser": NORMALISER_DIGEST,
            "robot_spec": spec.digest,
            "head": "fm",
            "num_steps": 2,
            "start": "shared",
            **bindings,
        },
    )
    rates = (0.0, *[1 / (len(exits) - 1)] * (len(exits) - 1))
    return write_thresholds(
        path,
        ThresholdsFile(
            thresholds=thresholds,
            fit="mass",
            distribution="exponential",
            parameter=0.8,
            samples=600,
            episodes=30,
            requested_rates=rates,
            realised_rates=rates,
            bags={},
            certificate=certificate,
            safer=safer,
        ),
    )


class KnownPolicy:
    """Row r is the observed state plus r / 100; the exit follows the setting."""

    def __init__(self, horizon: int = 16) -> None:
        self.horizon = horizon
        self.observations = []
        self.settings = []
        self.deadlines = []
        self.prefixes = []
        self.resets = 0
        self.end = 0.0
        self.delay_s = 0.0
        self.error: BaseException | None = None
        self.poison = False
        self.cut_short = False

    def reset(self) -> None:
        self.resets += 1

    def act(self, observation, *, setting, deadline_s=None, prefix=None) -> PolicyOutput:
        self.observations.append(observation)
        self.settings.append(setting)
        self.deadlines.append(deadline_s)
        self.prefixes.append(prefix)
        if self.error is not None:
            raise self.error
        time.sleep(self.delay_s)
        rows = np.arange(self.horizon)[:, None] / 100 + observation.state_D[None]
        actions_HD = rows.astype(np.float32)
        if self.poison:
            actions_HD[3, 2] = np.nan
        return PolicyOutput(
            actions_HD=actions_HD, end_of_substep=self.end, trace=self.trace(setting)
        )

    def trace(self, setting) -> ExitTrace:
        block = {"full": EXITS[-1], "fixed": setting.fixed_exit, "adaptive": EXITS[2]}[setting.mode]
        reason = {
            "full": ExitReason.FULL,
            "fixed": ExitReason.FIXED,
            "adaptive": ExitReason.CONVERGED,
        }[setting.mode]
        if self.cut_short:
            reason = ExitReason.DEADLINE
        return ExitTrace(
            exit_layer=block + 1,
            num_layers=LAYERS,
            exit_index=EXITS.index(block),
            depth_fraction=(block + 1) / LAYERS,
            flops_fraction=(block + 1) / LAYERS,
            discrepancy=0.5,
            threshold=0.6,
            reason=reason,
            preprocess_ms=1.0,
            vision_ms=2.0,
            backbone_ms=3.0,
            head_ms=4.0,
            total_ms=10.0,
            exits_evaluated=(0, 1),
            discrepancies=(float("nan"), 0.5),
            thresholds=(float("nan"), 0.6),
        )


def known_checkpoint(policy: KnownPolicy):
    """What the node's loader gives, around a KnownPolicy."""
    return SimpleNamespace(
        policy=policy,
        digest=CHECKPOINT_DIGEST,
        normaliser=SimpleNamespace(digest=NORMALISER_DIGEST),
        config=SimpleNamespace(
            exits=EXITS, head="fm", num_steps=2, start="shared", metric="l2", renoise_tau=0.5
        ),
    )


@dataclass
class Faults:
    """What is wrong with the robot's streams; all at rest by default."""

    silent: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    skew_ns: dict[str, int] = field(default_factory=dict)
    shape: tuple[int, int] = (32, 32)
    shapes: dict[str, tuple[int, int]] = field(default_factory=dict)
    encoding: str = "rgb8"
    missing_joint: bool = False
    not_a_number: bool = False
    reversed_joints: bool = False
    moving: bool = False
    bright: bool = False


class Robot:
    """Publishes the spec's cameras at 20 Hz and joint states at 100 Hz, and hears the node."""

    def __init__(self, ros, spec) -> None:
        self.spec = spec
        self.faults = Faults()
        self.node = ros.node("robot")
        self.images = {
            camera.name: self.node.create_publisher(
                CompressedImage if camera.type == "compressed" else Image, camera.topic, RELIABLE
            )
            for camera in spec.cameras
        }
        self.states = {
            source.topic: self.node.create_publisher(JointState, source.topic, RELIABLE)
            for source in spec.state_sources
        }
        self.chunks: list[ActionChunk] = []
        self.exit_states: list[ExitState] = []
        self.diagnostics: list = []
        self.on_chunk = lambda chunk: None
        self.node.create_subscription(ActionChunk, "a1/chunk", self._hear, RELIABLE)
        self.node.create_subscription(ExitState, "a1/exit_state", self.exit_states.append, RELIABLE)
        self.refusals: list[ObservationRefusal] = []
        self.node.create_subscription(
            ObservationRefusal, "a1/refusal", self.refusals.append, RELIABLE
        )
        self.node.create_subscription(
            DiagnosticArray,
            "/diagnostics",
            lambda msg: self.diagnostics.extend(msg.status),
            RELIABLE,
        )
        self._instruct = self.node.create_client(SetInstruction, "a1/set_instruction")
        self._tasks = ActionClient(self.node, RunTask, "a1/run_task")
        self.sent_ns: list[int] = []
        self._frame = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._stream, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _hear(self, chunk: ActionChunk) -> None:
        self.chunks.append(chunk)
        self.on_chunk(chunk)

    def now_ns(self) -> int:
        return self.node.get_clock().now().nanoseconds

    def mend(self, **changes) -> None:
        """Exchange all faults at once."""
        self.faults = replace(Faults(), **changes)

    def _stream(self) -> None:
        count = 0
        while not self._stop.wait(0.01):
            now_ns = self.now_ns()
            self.send_state(now_ns)
            if count % 5 == 0:
                self.send_images(now_ns)
            count += 1

    def send_images(self, stamp_ns: int) -> None:
        faults = self.faults
        self._frame += 1
        self.sent_ns.append(stamp_ns)
        for name, publisher in self.images.items():
            if name in faults.silent:
                continue
            height, width = faults.shapes.get(name, faults.shape)
            shade = 1 if name in faults.frozen else self._frame % 250
            if faults.bright:
                shade = 251 + self._frame % 4
            pixels = np.full((height, width, 3), shade, np.uint8)
            stamp = stamp_ns - faults.skew_ns.get(name, 0)
            if publisher.msg_type is CompressedImage:
                msg = to_jpeg(pixels, stamp, name)
            else:
                msg = to_image(pixels, stamp, name)
                msg.encoding = faults.encoding
            publisher.publish(msg)

    def send_state(self, stamp_ns: int) -> None:
        faults = self.faults
        positions = dict(zip(self.spec.joint_names, ARM, strict=True))
        gripper = self.spec.gripper
        positions[gripper.joint] = gripper.from_unit(0.25)
        if faults.moving:
            positions[self.spec.joint_names[0]] += 0.2 * np.sin(stamp_ns / 1e8)
        for source in self.spec.state_sources:
            if source.topic in faults.silent:
                continue
            names = list(source.joints)
            values = [positions[name] for name in names]
            if faults.not_a_number:
                values[0] = float("nan")
            if faults.missing_joint:
                names, values = names[1:], values[1:]
            if faults.reversed_joints:
                names, values = names[::-1], values[::-1]
            self.states[source.topic].publish(to_joint_state(names, values, stamp_ns))

    def ask(self, instruction: str) -> SetInstruction.Response:
        """Call a1/set_instruction."""
        request = SetInstruction.Request(instruction=instruction)
        assert self._instruct.wait_for_service(timeout_sec=10.0)
        return result_of(self._instruct.call_async(request))

    def run_task(self, timeout_s: float = 0.0, **goal):
        """Send a goal to a1/run_task; the goal handle, and a list that feedback comes to."""
        feedback = []
        timeout = ns_to_duration(round(timeout_s * NS_PER_S))
        assert self._tasks.wait_for_server(timeout_sec=10.0)
        handle = result_of(
            self._tasks.send_goal_async(
                RunTask.Goal(timeout=timeout, **goal),
                feedback_callback=lambda msg: feedback.append(msg.feedback),
            )
        )
        return handle, feedback

    def messages(self, name: str) -> list[str]:
        """Messages of the node's status `name`, oldest first."""
        return [s.message for s in list(self.diagnostics) if s.name == f"/policy: {name}"]

    def sessions(self) -> list[str]:
        """Session ids of the chunks heard, in order of appearance."""
        return list(
            dict.fromkeys(str(uuid.UUID(bytes=bytes(c.session_id.uuid))) for c in list(self.chunks))
        )


class Stepper:
    """Publishes one tick at a time, and hears the acknowledgements."""

    def __init__(self, robot, wait_for) -> None:
        self.robot = robot
        self.wait_for = wait_for
        self.now_ns = START_NS
        self.acks = []
        self.clock = robot.node.create_publisher(Clock, "/clock", RELIABLE)
        robot.node.create_subscription(
            LockstepAck,
            "sim/lockstep_ack",
            lambda msg: self.acks.append((stamp_to_ns(msg.stamp), msg.seq)),
            RELIABLE,
        )

    def step(self, images_first: bool = False) -> tuple[int, int]:
        """One camera tick; the acknowledgement of it."""
        self.now_ns += TICK_NS
        sends = [self.robot.send_state, self.robot.send_images]
        for send in reversed(sends) if images_first else sends:
            send(self.now_ns)
        self.clock.publish(Clock(clock=ns_to_stamp(self.now_ns)))
        assert self.wait_for(lambda: self.acks and self.acks[-1][0] >= self.now_ns), self.acks
        return self.acks[-1]


def lifecycle_messages(ros) -> list[str]:
    """A list that the messages of the policy node's status `lifecycle` come to."""
    messages: list[str] = []

    def hear(msg: DiagnosticArray) -> None:
        messages.extend(s.message for s in msg.status if s.name == "/policy: lifecycle")

    ros.node("doctor").create_subscription(DiagnosticArray, "/diagnostics", hear, RELIABLE)
    return messages
