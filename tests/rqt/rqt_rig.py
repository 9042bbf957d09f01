"""The nodes that the window watches: they publish real messages over DDS and answer its calls."""

import math
from functools import partial

import cv2
import numpy as np
from a1_msgs.msg import ChunkVerdict, ControllerState, ExitState, ObservationRefusal, ThresholdsInfo
from a1_msgs.srv import SetInstruction
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.parameter import Parameter
from ros_rig import RosApart
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import SetBool, Trigger
from waiting import wait_for

from a1_ros.images import to_jpeg
from a1_ros.messages import floats
from a1_ros.qos import LATCHED, RELIABLE, STATUS
from a1_ros.times import NS_PER_S, ns_to_stamp

LAYERS = 8
EXITS = tuple(range(2, LAYERS + 1))
ETA = (0.02, 0.03, 0.03, 0.04, 0.05, 0.05, math.inf)
START_NS = 1_700_000_000 * NS_PER_S
PERIOD_NS = NS_PER_S // 10


def exit_state(seq: int, *, layer: int, stamp_ns: int | None = None, **changes) -> ExitState:
    """An inference that left after `layer`, having looked at every exit up to it."""
    index = EXITS.index(layer)
    rng = np.random.default_rng(seq)
    deltas = [math.nan, *(ETA[:-1] * 10 ** rng.uniform(0.1, 0.8, len(ETA) - 1))][: index + 1]
    if 0 < index < len(EXITS) - 1:
        deltas[index] = ETA[index] * 0.6
    msg = ExitState(
        seq=seq,
        exit_layer=layer,
        num_layers=LAYERS,
        exit_index=index,
        depth_fraction=layer / LAYERS,
        flops_fraction=layer / LAYERS,
        discrepancy=deltas[-1],
        threshold=ETA[index],
        reason=ExitState.LAST_EXIT if layer == LAYERS else ExitState.CONVERGED,
        observation_age_ms=6.0,
        preprocess_ms=2.0,
        vision_ms=8.0,
        backbone_ms=3.0 * layer,
        head_ms=5.0,
        total_ms=15.0 + 3.0 * layer,
        publish_ms=1.0,
        exits_evaluated=np.arange(index + 1, dtype=np.uint32),
        discrepancies=floats(deltas),
        thresholds=floats([math.nan, *ETA[1 : index + 1]]),
    )
    msg.header.stamp = ns_to_stamp(START_NS + seq * PERIOD_NS if stamp_ns is None else stamp_ns)
    for name, value in changes.items():
        setattr(msg, name, value)
    return msg


def thresholds_info(**changes) -> ThresholdsInfo:
    """Certified thresholds in force."""
    values = {
        "mode": ThresholdsInfo.ADAPTIVE,
        "fixed_exit": -1,
        "thresholds_digest": "ab" * 32,
        "checkpoint_digest": "cd" * 32,
        "head": "mlp",
        "num_steps": 1,
        "start": "shared",
        "metric": "l2",
        "fit": "mass",
        "distribution": "exponential",
        "parameter": 0.8,
        "samples": 600,
        "episodes": 30,
        "certified": True,
        "risk": 0.05,
        "failure": 0.1,
        "tolerance": 0.01,
        "certificate_episodes": 45,
        "exits": np.array(EXITS, np.uint32),
        "thresholds": floats(ETA),
        **changes,
    }
    return ThresholdsInfo(**values)


class Graph:
    """A policy and a controller as the window knows them, and what was asked of them."""

    def __init__(self, ros: RosApart, namespace: str = "") -> None:
        self.calls: list = []
        self._sent = 0
        self.answer = (True, "as you say")
        self.policy = ros.node("policy", namespace)
        self.controller = ros.node("controller", namespace)
        for node, values in (
            (
                self.policy,
                {"mode": "adaptive", "thresholds": "/t/known.yaml", "checkpoint": "/c/k"},
            ),
            (self.controller, {"shadow": False}),
        ):
            for name, value in values.items():
                node.declare_parameter(name, value)
            node.add_post_set_parameters_callback(self._note_parameters)
        policy, controller = self.policy, self.controller
        self.exits = policy.create_publisher(ExitState, "a1/exit_state", RELIABLE)
        self.refusals = policy.create_publisher(ObservationRefusal, "a1/refusal", RELIABLE)
        self.thresholds = policy.create_publisher(ThresholdsInfo, "a1/thresholds_info", LATCHED)
        self.thumbnails = policy.create_publisher(CompressedImage, "a1/thumbnails", STATUS)
        self.verdicts = controller.create_publisher(ChunkVerdict, "a1/chunk_verdict", RELIABLE)
        self.states = controller.create_publisher(ControllerState, "a1/controller_state", RELIABLE)
        policy.create_service(SetInstruction, "a1/set_instruction", self._on("instruct"))
        controller.create_service(SetBool, "a1/arm", self._on("arm"))
        controller.create_service(Trigger, "a1/stop", self._on("stop"))
        controller.create_service(Trigger, "a1/reset", self._on("reset"))
        controller.create_service(ChangeState, "controller/change_state", self._change)
        self._ticking: ControllerState | None = None
        controller.create_timer(0.1, self._tick)

    def _on(self, what: str):
        def answer(request, response):
            self.calls.append(
                (what, getattr(request, "data", getattr(request, "instruction", None)))
            )
            response.success, response.message = self.answer
            return response

        return answer

    def _change(self, request, response):
        self.calls.append(("change", request.transition.id))
        response.success = self.answer[0]
        return response

    def _note_parameters(self, parameters: list[Parameter]) -> None:
        self.calls.extend((p.name, p.value) for p in parameters)

    def play(self, widget, application, layers) -> None:
        """An exit state for every layer given, none of them lost on the way."""
        chunks, first = widget.state.chunks, widget.state.chunks.total + 1
        for seq, layer in enumerate(layers, first):
            self.exits.publish(exit_state(seq, layer=layer))
            # What is not yet heard fits into the publisher's history.
            assert wait_for(partial(reached, chunks, seq - 5), meanwhile=application.processEvents)
        assert wait_for(partial(reached, chunks, seq), meanwhile=application.processEvents)

    def play_blindly(self, layers) -> None:
        """An exit state for every layer given, for whoever hears it."""
        for layer in layers:
            self._sent += 1
            self.exits.publish(exit_state(self._sent, layer=layer))

    def picture(self) -> None:
        """Two cameras: a red square and a blue one."""
        row = np.full((64, 128, 3), 200, np.uint8)
        cv2.rectangle(row, (20, 20), (44, 44), (220, 30, 30), -1)
        cv2.rectangle(row, (84, 20), (108, 44), (30, 30, 220), -1)
        self.thumbnails.publish(to_jpeg(row, START_NS, "front|wrist", quality=95))

    def mode(self, mode: int, reason: str = "", **changes) -> None:
        """Control ticks of this mode from now on."""
        self._ticking = ControllerState(mode=mode, reason=reason, **changes)
        self._tick()

    def fall_silent(self) -> None:
        """No control ticks from now on."""
        self._ticking = None

    def _tick(self) -> None:
        ticking = self._ticking
        if ticking is not None:
            self.states.publish(ticking)


def reached(counter, total: int) -> bool:
    return counter.total >= total


SHADOW_TRANSITIONS = [
    ("change", Transition.TRANSITION_DEACTIVATE),
    ("change", Transition.TRANSITION_CLEANUP),
    ("shadow", True),
    ("change", Transition.TRANSITION_CONFIGURE),
    ("change", Transition.TRANSITION_ACTIVATE),
]
