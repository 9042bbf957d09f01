"""What is known of the run that is watched. No Qt, no node: messages in, numbers out."""

from collections import Counter, deque
from dataclasses import dataclass

import numpy as np
from a1_msgs.msg import ChunkVerdict, ControllerState, ExitState, ObservationRefusal, ThresholdsInfo
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from a1_core.verdict import VerdictCode
from a1_ros.times import NS_PER_S, stamp_to_ns
from a1_rqt.history import Ring

CHUNKS_KEPT = 4096
SILENT_S = 2.0
"""A controller that is active says what it does at every control tick."""
TICKS_SHOWN = 40
STAGES = ("age", "preprocess", "vision", "backbone", "head", "publish")
"""Parts of a chunk's latency [ms], in the order they are spent."""

COLUMNS = ("stamp_s", "exit_layer", "flops_fraction", "reason", *STAGES, "whole")
AGREED = (VerdictCode.ACCEPTED.name, VerdictCode.SHADOW.name)
VERDICT_NAMES = {code.value: code.name for code in VerdictCode}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The exits that one inference looked at, as indices [n], and what it compared there."""

    exits_n: NDArray[np.intp]
    discrepancies_n: NDArray[np.float64]
    thresholds_n: NDArray[np.float64]


class RunState:
    """Takes the messages of one run; all that grows has a bound.

    A stamp that lies before the one of the chunk before begins a new run: a bag was started again,
    or a simulator. What was drawn against time is then forgotten.

    Attributes:
        controller: the newest control tick.
        silence_s: since it came; whoever takes the messages says it.
    """

    def __init__(self) -> None:
        self.chunks = Ring(COLUMNS, CHUNKS_KEPT)
        self.evaluations: deque[Evaluation] = deque(maxlen=TICKS_SHOWN)
        self.num_layers = 0
        self.verdicts: Counter[str] = Counter()
        self.last_objection = ""
        self.refusal = ""
        self.controller: ControllerState | None = None
        self.silence_s = 0.0
        self.thresholds: ThresholdsInfo | None = None
        self.thumbnails: CompressedImage | None = None

    def note_exit(self, msg: ExitState) -> None:
        """An inference."""
        stamp_s = stamp_to_ns(msg.header.stamp) / NS_PER_S
        held = self.chunks.column("stamp_s")
        if held.size and stamp_s < held[-1]:
            self.chunks.clear()
            self.evaluations.clear()
        stages = (
            msg.observation_age_ms,
            msg.preprocess_ms,
            msg.vision_ms,
            msg.backbone_ms,
            msg.head_ms,
            msg.publish_ms,
        )
        whole = msg.observation_age_ms + msg.total_ms + msg.publish_ms
        self.chunks.append(
            (stamp_s, msg.exit_layer, msg.flops_fraction, msg.reason, *stages, whole)
        )
        self.evaluations.append(
            Evaluation(
                exits_n=np.asarray(msg.exits_evaluated, np.intp),
                discrepancies_n=np.asarray(msg.discrepancies, np.float64),
                thresholds_n=np.asarray(msg.thresholds, np.float64),
            )
        )
        self.num_layers = msg.num_layers
        self.refusal = ""

    def note_verdict(self, msg: ChunkVerdict) -> None:
        """The controller's answer to a chunk."""
        name = VERDICT_NAMES.get(msg.code, f"code {msg.code}")
        self.verdicts[name] += 1
        if name not in AGREED:
            self.last_objection = f"{name}: {msg.detail}" if msg.detail else name

    def note_refusal(self, msg: ObservationRefusal) -> None:
        """An observation of which no chunk came; forgotten with the next chunk."""
        self.refusal = msg.message

    def note_controller(self, msg: ControllerState) -> None:
        """A control tick; the newest one counts."""
        self.controller = msg

    def note_thresholds(self, msg: ThresholdsInfo) -> None:
        """What decides the exits from now on."""
        self.thresholds = msg

    def note_thumbnails(self, msg: CompressedImage) -> None:
        """What the policy saw."""
        self.thumbnails = msg

    @property
    def controller_fell_silent(self) -> bool:
        """Whether there was a controller, and it says nothing any more."""
        return self.controller is not None and self.silence_s > SILENT_S

    def layer_of(self, exit_index: int) -> int | None:
        """Layer of an exit, counted from 1; None until a1/thresholds_info says it."""
        info = self.thresholds
        if info is None or exit_index >= len(info.exits):
            return None
        return int(info.exits[exit_index])
