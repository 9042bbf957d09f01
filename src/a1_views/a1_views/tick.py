"""One inference as pages and reports tell of it. Messages may be heard live or read from a bag."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from a1_core.policy import ExitReason
from a1_core.times import NS_PER_MS, NS_PER_S
from a1_core.verdict import VerdictCode

STAGES = ("age", "preprocess", "vision", "backbone", "head", "publish", "judge")
"""Parts of the time from a camera's stamp to the controller's verdict, one after the other."""
QUANTILES = (50, 95, 99)
LONGEST_WAIT_NS = 5 * NS_PER_S
"""From an observation to the verdict on its chunk; what comes later is about another chunk."""


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One ExitState and, once it is known, the verdict on its chunk.

    Attributes:
        stamp_ns: of the observation.
        exit_layer: counted from 1, of `num_layers`.
        flops_fraction: compute spent, as a share of full depth.
        reason: name of an ExitReason.
        age_ms, preprocess_ms, vision_ms, backbone_ms, head_ms, total_ms: as in the message.
        publish_ms: from the end of the inference until its chunk was sent; NaN where the message
            does not say it, as in bags of before it did.
        judge_ms: from there to the verdict, on the nodes' clock; NaN without a verdict.
        exits: evaluated ones, as indices into the list of exits.
        discrepancies, thresholds: of each of them; NaN at the first.
        verdict: name of a VerdictCode; empty before there is one.
    """

    stamp_ns: int
    seq: int
    exit_layer: int
    num_layers: int
    flops_fraction: float
    reason: str
    discrepancy: float
    threshold: float
    age_ms: float
    preprocess_ms: float
    vision_ms: float
    backbone_ms: float
    head_ms: float
    total_ms: float
    publish_ms: float = math.nan
    judge_ms: float = math.nan
    exits: tuple[int, ...] = ()
    discrepancies: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()
    verdict: str = ""

    def stage_ms(self, stage: str) -> float:
        """Time of one of STAGES [ms]."""
        return float(getattr(self, f"{stage}_ms"))

    @property
    def whole_ms(self) -> float:
        """From the stamp to the verdict; until the chunk was sent where none is known [ms]."""
        return self._sent_ms + (0.0 if math.isnan(self.judge_ms) else self.judge_ms)

    @property
    def _sent_ms(self) -> float:
        sent_ms = self.age_ms + self.total_ms
        return sent_ms if math.isnan(self.publish_ms) else sent_ms + self.publish_ms

    def may_be_judged_by(self, verdict: Any) -> bool:
        """Whether a ChunkVerdict can be on its chunk: every session counts from 1."""
        waited_ns = stamp_ns(verdict.header.stamp) - self.stamp_ns
        return not self.verdict and self.seq == verdict.seq and 0 <= waited_ns < LONGEST_WAIT_NS

    def judged(self, verdict: Any) -> Tick:
        """The tick with its ChunkVerdict."""
        waited_ms = (stamp_ns(verdict.header.stamp) - self.stamp_ns) / NS_PER_MS
        return replace(
            self,
            verdict=verdict_name(verdict.code),
            # Simulated clocks tick coarsely, so that the difference may come out below nothing.
            judge_ms=max(0.0, waited_ms - self._sent_ms),
        )


def tick_of(msg: Any) -> Tick:
    """The tick of an ExitState."""
    return Tick(
        stamp_ns=stamp_ns(msg.header.stamp),
        seq=int(msg.seq),
        exit_layer=int(msg.exit_layer),
        num_layers=int(msg.num_layers),
        flops_fraction=float(msg.flops_fraction),
        reason=_name(ExitReason, msg.reason),
        discrepancy=float(msg.discrepancy),
        threshold=float(msg.threshold),
        age_ms=float(msg.observation_age_ms),
        preprocess_ms=float(msg.preprocess_ms),
        vision_ms=float(msg.vision_ms),
        backbone_ms=float(msg.backbone_ms),
        head_ms=float(msg.head_ms),
        total_ms=float(msg.total_ms),
        publish_ms=float(getattr(msg, "publish_ms", math.nan)),
        exits=tuple(int(index) for index in msg.exits_evaluated),
        discrepancies=tuple(float(value) for value in msg.discrepancies),
        thresholds=tuple(float(value) for value in msg.thresholds),
    )


def stamp_ns(stamp: Any) -> int:
    """Nanoseconds of a Time or a Duration, of rclpy or from a bag."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def verdict_name(code: int) -> str:
    """Name of a verdict's code, e.g. ACCEPTED."""
    return _name(VerdictCode, code)


def _name(kind: Any, code: int) -> str:
    known = {member.value: member.name for member in kind}
    return known.get(int(code), f"{kind.__name__} {code}")


def quantiles_ms(ticks: Sequence[Tick]) -> dict[str, tuple[float, ...]]:
    """QUANTILES of every stage that was measured, and of their sum, `whole` [ms]."""
    columns = {stage: [tick.stage_ms(stage) for tick in ticks] for stage in STAGES}
    columns["whole"] = [tick.whole_ms for tick in ticks]
    found = {}
    for stage, values in columns.items():
        known = _finite(values)
        if known:
            found[stage] = tuple(float(v) for v in np.percentile(known, QUANTILES))
    return found


def compute_saved(ticks: Iterable[Tick]) -> float:
    """Mean share of full depth's compute that was not spent, in [0, 1]; NaN without ticks."""
    spent = _finite([tick.flops_fraction for tick in ticks])
    return 1.0 - float(np.mean(spent)) if spent else math.nan


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]
