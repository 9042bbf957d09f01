"""What one episode left behind, as values that go to and from JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class EpisodePlan:
    """One episode to run: layout `seed`, kind of task, colour (empty: the seed's own)."""

    task: str
    kind: str
    seed: int
    colour: str = ""
    timeout_s: float = 10.0


@dataclass(frozen=True, kw_only=True)
class ExitSample:
    """One inference of the episode."""

    time_s: float  # of the observation, since the episode began, simulated
    phase: str
    exit_layer: int
    num_layers: int
    depth_fraction: float
    flops_fraction: float
    inference_ms: float
    chunk_ms: float  # age of the observation when its chunk was out, on the node's clock + wall


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """One episode that was run."""

    task: str
    kind: str
    seed: int
    colour: str
    instruction: str
    success: bool
    failed: bool
    reason: str  # why it ended: success, failed, timeout, or what the policy said
    elapsed_s: float
    wall_s: float
    clock_rate: float  # simulated seconds a wall second while the task ran
    refused: int  # chunks that the controller did not take
    refusal: str  # why the last of them was not taken
    exits: tuple[ExitSample, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> "EpisodeRecord":
        """The record of `to_json`."""
        exits = tuple(ExitSample(**sample) for sample in values["exits"])
        return EpisodeRecord(**{**values, "exits": exits})

    def mean(self, name: str) -> float:
        """Mean of a figure of the exits; NaN without any."""
        values = [getattr(sample, name) for sample in self.exits]
        return float(np.mean(values)) if values else float("nan")
