"""A bag as the recorder writes it: joint 1 turns evenly, the controller commands a bit more."""

from pathlib import Path

import numpy as np
from a1_msgs.msg import ControllerState
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from a1_core.chunk import Source
from a1_core.policy import ExitReason, ExitTrace, PolicyOutput
from a1_core.spec import RobotSpec
from a1_data.definitions import Definitions
from a1_model.exit_study import ExitStudy
from a1_recorder.bag_writer import BagWriter
from a1_ros.images import to_image
from a1_ros.messages import to_joint_state, trace_to_msg
from a1_ros.times import ns_to_stamp

MS = 1_000_000
START = 1_700_000_000_000 * MS
SECONDS, TURN_RAD_S, AHEAD_RAD = 4.0, 0.2, 0.01
EXITS = 4
INSTRUCTION = "touch the red cube"


def joint_1(stamp_ns: int) -> float:
    return TURN_RAD_S * (stamp_ns - START) * 1e-9


class KnownPolicy:
    """Exit k of K says (k + 1) / K of the motion to come; it leaves at `taken`."""

    def __init__(self, spec: RobotSpec, taken: int) -> None:
        self._spec, self._taken = spec, taken

    def actions(self, exit_index: int) -> np.ndarray:
        actions_HD = np.zeros((self._spec.policy.horizon, 8), np.float32)
        due_s = self._spec.policy.period_s * np.arange(self._spec.policy.horizon)
        actions_HD[:, 0] = (exit_index + 1) / EXITS * TURN_RAD_S * due_s
        actions_HD[:, 7] = 0.5
        return actions_HD

    def all_exits(self, observations) -> ExitStudy:
        one = np.stack([self.actions(k) for k in range(EXITS)])
        actions_KNHD = np.repeat(one[:, None], len(observations), axis=1)
        nothing_KN = np.zeros(actions_KNHD.shape[:2])
        return ExitStudy(
            normalised_KNHD=actions_KNHD,
            actions_KNHD=actions_KNHD,
            full_NHD=actions_KNHD[-1],
            deltas_KN=nothing_KN,
            end_KN=nothing_KN,
        )

    def act(self, observation, *, setting, deadline_s=None) -> PolicyOutput:
        return PolicyOutput(
            actions_HD=self.actions(self._taken), end_of_substep=0.0, trace=trace(self._taken)
        )


def trace(exit_index: int, excess: float = 0.5) -> ExitTrace:
    nan = float("nan")
    return ExitTrace(
        exit_layer=exit_index + 1,
        num_layers=EXITS,
        exit_index=exit_index,
        depth_fraction=(exit_index + 1) / EXITS,
        flops_fraction=0.5,
        discrepancy=nan,
        threshold=nan,
        reason=ExitReason.CONVERGED,
        preprocess_ms=0.0,
        vision_ms=0.0,
        backbone_ms=0.0,
        head_ms=0.0,
        total_ms=0.0,
        exits_evaluated=(0, 1, 2),
        discrepancies=(nan, 4.0 * excess, 2.0 * excess),
        thresholds=(nan, 2.0, 2.0),
    )


def write_run(
    path: Path,
    spec: RobotSpec,
    *,
    commands: bool = True,
    exits: dict[int, ExitTrace] | None = None,
    taken_over_ns: int | None = None,
) -> Path:
    """`exits`: traces by ms of their observation; at `taken_over_ns` a person takes the arm."""
    definitions, topics, messages = Definitions(), {}, []

    def add(topic: str, msgtype: str, at_ns: int, msg) -> None:
        messages.append((at_ns + 5 * MS, topics.setdefault((topic, msgtype), len(topics)), msg))

    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    arm, hand = spec.state_sources
    add("/a1/instruction", "std_msgs/msg/String", START - 9 * MS, String(data=INSTRUCTION))
    for at_ms in range(0, round(1e3 * SECONDS), 20):
        stamp = START + at_ms * MS
        q = spec.home.copy()
        q[0] = joint_1(stamp)
        kind = "sensor_msgs/msg/JointState"
        add(arm.topic, kind, stamp, to_joint_state(arm.joints, q, stamp))
        add(hand.topic, kind, stamp, to_joint_state(hand.joints, [0.02], stamp))
        if at_ms % 100 == 0:
            for camera in spec.cameras:
                picture = to_image(np.roll(pixels, at_ms, axis=1), stamp, camera.name)
                add(camera.topic, "sensor_msgs/msg/Image", stamp, picture)
        if commands:
            state = commanded(spec, stamp, taken_over_ns)
            add("/a1/controller_state", "a1_msgs/msg/ControllerState", stamp, state)
    for at_ms, told in (exits or {}).items():
        stamp = START + at_ms * MS
        msg = trace_to_msg(
            told, stamp_ns=stamp, base_frame="", seq=1, end_of_substep=0.0,
            observation_age_ms=0.0, camera_skew_ms=0.0, wait_ms=0.0, publish_ms=0.0,
        )  # fmt: skip
        add("/a1/exit_state", "a1_msgs/msg/ExitState", stamp, msg)
    bag = BagWriter(path, {})
    for topic, msgtype in topics:
        bag.add_channel(topic, definitions.of(msgtype))
    for received_ns, channel, msg in sorted(messages, key=lambda message: message[0]):
        bag.write(channel, received_ns, received_ns, bytes(serialize_message(msg)))
    return Path(bag.finish({}))


def commanded(spec: RobotSpec, stamp_ns: int, taken_over_ns: int | None) -> ControllerState:
    taken = taken_over_ns is not None and stamp_ns >= taken_over_ns
    q = np.append(spec.home, 0.5)
    q[0] = joint_1(stamp_ns) + AHEAD_RAD
    msg = ControllerState(mode=ControllerState.TRACKING, names=list(spec.action_names))
    msg.source = int(Source.TAKEOVER if taken else Source.POLICY)
    msg.position = q.tolist()
    msg.header.stamp = ns_to_stamp(stamp_ns)
    return msg
