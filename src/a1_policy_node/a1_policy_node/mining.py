"""Ticks worth more data: where the policy ran deepest, was corrected, or the audit differs.

What a bag recorded tells of depth and corrections. With a checkpoint the policy goes over the bag
again, which also tells of bags that no policy drove, and by how much a chunk that left early
differs from full depth: what the audit looks at, here at every tick.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from a1_msgs.msg import ControllerState, ExitState
from rclpy.serialization import deserialize_message

from a1_core.chunk import Source
from a1_core.deviation import DeviationMeter
from a1_data.episodes import Episode
from a1_data.reader import Bag
from a1_data.storage import look, read
from a1_policy_node.open_loop import CONTROLLER_STATE, CONTROLLER_TOPIC, OpenLoop

EXIT_TOPIC = "/a1/exit_state"
EXIT_STATE = "a1_msgs/msg/ExitState"
KINDS = {EXIT_TOPIC: EXIT_STATE, CONTROLLER_TOPIC: CONTROLLER_STATE}
DEEP, CORRECTED, AUDIT = "deep", "corrected", "audit"
# The chunk that was corrected is the one of this time before the person took over, at most.
BEFORE_NS = 1_000_000_000
# Ticks of one episode nearer to each other are one moment.
MOMENT_NS = 1_000_000_000


@dataclass(kw_only=True)
class MinedTick:
    """One inference of a bag, and why it is worth more data.

    Attributes:
        time_s: since the episode's first inference.
        depth: share of the layers.
        excess: how near it came to leaving before: the least that a discrepancy was, in multiples
            of its threshold (None where there was none).
        deviation: from full depth, share of the tolerance (None without a checkpoint).
        reasons: of deep, corrected, audit; empty where nothing is to be learnt here.
    """

    bag: str
    episode: int
    instruction: str
    stamp_ns: int
    time_s: float = 0.0
    exit_layer: int
    depth: float
    excess: float | None = None
    deviation: float | None = None
    reasons: list[str] = field(default_factory=list)

    @property
    def rank(self) -> tuple[float, ...]:
        """Larger is more worth it: corrections, then disagreement, then depth."""
        return (
            float(CORRECTED in self.reasons),
            self.deviation or 0.0,
            self.depth,
            self.excess or 0.0,
        )

    def told(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def recorded_ticks(bag: Bag) -> list[MinedTick]:
    """What the bag tells of the policy that drove: its inferences, and which were corrected."""
    found: list[MinedTick] = []
    taken_ns: list[int] = []
    source = Source.POLICY
    for topic, received_ns, msg in _messages(bag):
        if topic == CONTROLLER_TOPIC:
            before, source = source, Source(msg.source)
            if source is Source.TAKEOVER and before is not Source.TAKEOVER:
                taken_ns.append(_stamp_ns(msg))
            continue
        episode = _episode_of(bag.episodes, received_ns)
        if episode is not None:
            found.append(_recorded(bag, episode, received_ns, msg))
    for at_ns in taken_ns:
        earlier = [tick for tick in found if 0 <= at_ns - tick.stamp_ns <= BEFORE_NS]
        if earlier:
            _correct(max(earlier, key=lambda tick: tick.stamp_ns))
    return _timed(found)


def computed_ticks(
    bag: Bag, run: OpenLoop, meter: DeviationMeter, tolerance_C: Sequence[float]
) -> list[MinedTick]:
    """What the policy would have done; a deviation above the tolerance is the audit's.

    Args:
        tolerance_C: of what the meter measures.
    """
    deviation_NC = meter(run.taken_NHD[None], run.full_NHD, run.state_ND)[0]
    shares_N = (deviation_NC / np.asarray(tolerance_C)).max(axis=-1)
    found = []
    for tick, trace, share in zip(run.ticks, run.traces, shares_N.tolist(), strict=True):
        found.append(
            MinedTick(
                bag=str(bag.path),
                episode=tick.episode,
                instruction=tick.instruction,
                stamp_ns=tick.stamp_ns,
                exit_layer=trace.exit_layer,
                depth=trace.depth_fraction,
                excess=_excess(trace.discrepancies, trace.thresholds),
                deviation=share,
                reasons=[AUDIT] if share > 1.0 else [],
            )
        )
    return _timed(found)


def merged(recorded: Iterable[MinedTick], computed: Sequence[MinedTick]) -> list[MinedTick]:
    """Computed ticks where there are any, with the corrections that the bag recorded."""
    recorded = list(recorded)
    if not computed:
        return recorded
    for tick in recorded:
        if CORRECTED in tick.reasons:
            same = [c for c in computed if c.bag == tick.bag and c.episode == tick.episode]
            if same:
                _correct(min(same, key=lambda c: abs(c.stamp_ns - tick.stamp_ns)))
    return list(computed)


def _correct(tick: MinedTick) -> None:
    if CORRECTED not in tick.reasons:
        tick.reasons.append(CORRECTED)


def mark_deepest(ticks: Sequence[MinedTick], share: float) -> None:
    """The `share` of all ticks that went deepest; ties by how far they were from leaving.

    Where all went equally deep and none was near a threshold, depth says nothing and none is.
    """
    keys = [(tick.depth, tick.excess or 0.0) for tick in ticks]
    if len(set(keys)) < 2:
        return
    order = sorted(range(len(ticks)), key=lambda n: keys[n], reverse=True)
    least = keys[order[max(1, round(share * len(ticks))) - 1]]
    shallowest = min(keys)
    for tick, key in zip(ticks, keys, strict=True):
        if key >= least and key > shallowest:
            tick.reasons.append(DEEP)


def moments(found: Sequence[MinedTick]) -> list[MinedTick]:
    """The ticks without those beside a better one: neighbours show the same."""
    kept: list[MinedTick] = []
    for tick in found:
        same = [each for each in kept if (each.bag, each.episode) == (tick.bag, tick.episode)]
        if all(abs(each.stamp_ns - tick.stamp_ns) >= MOMENT_NS for each in same):
            kept.append(tick)
    return kept


def _messages(bag: Bag) -> Iterable[tuple[str, int, Any]]:
    types = {EXIT_TOPIC: ExitState, CONTROLLER_TOPIC: ControllerState}
    for file in bag.files.files:
        contents = look(file, bag.files.findings)
        for raw in read(file, contents, set(KINDS), bag.files.findings):
            topic = raw.channel.topic
            if raw.channel.msgtype == KINDS[topic]:
                yield topic, raw.received_ns, deserialize_message(bytes(raw.data), types[topic])


def _episode_of(episodes: Sequence[Episode], received_ns: int) -> Episode | None:
    return next((episode for episode in episodes if received_ns in episode), None)


def _recorded(bag: Bag, episode: Episode, received_ns: int, msg: ExitState) -> MinedTick:
    return MinedTick(
        bag=str(bag.path),
        episode=episode.index,
        instruction=episode.instruction_at(received_ns),
        stamp_ns=_stamp_ns(msg),
        exit_layer=msg.exit_layer,
        depth=msg.depth_fraction,
        excess=_excess(msg.discrepancies, msg.thresholds),
    )


def _excess(discrepancies: Sequence[float], thresholds: Sequence[float]) -> float | None:
    """The least discrepancy in multiples of its threshold; exits that cannot fire do not count."""
    ratios = [
        delta / eta
        for delta, eta in zip(discrepancies, thresholds, strict=True)
        if math.isfinite(delta) and math.isfinite(eta) and eta > 0.0
    ]
    return min(ratios, default=None)


def _stamp_ns(msg: Any) -> int:
    return msg.header.stamp.sec * 1_000_000_000 + msg.header.stamp.nanosec


def _timed(ticks: list[MinedTick]) -> list[MinedTick]:
    first: dict[int, int] = {}
    for tick in ticks:
        begin_ns = first.setdefault(tick.episode, tick.stamp_ns)
        tick.time_s = (tick.stamp_ns - begin_ns) * 1e-9
    return ticks
