"""What one episode left behind, as values that go to and from JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class EpisodePlan:
    """One episode to run: layout `seed`, and what is asked for on it.

    One thing: `kind` and `colour` (empty: the seed's own). Or several in order: `steps`, a sentence
    each; kind and colour are empty then.
    """

    task: str
    kind: str
    seed: int
    colour: str = ""
    timeout_s: float = 10.0
    steps: tuple[str, ...] = ()


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
    end_of_substep: float = 0.0  # score that the sub-step is done


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One of the things to be done; times [s] since the episode began, simulated.

    Attributes:
        done_s: when the world said that it is done; None: it never did.
        fired_s: of the observation upon which the policy called it done; None: it never did, or
            was not asked.
    """

    instruction: str
    done_s: float | None
    fired_s: float | None

    @property
    def late_s(self) -> float | None:
        """How long after the world the policy called it done; None when one of both did not."""
        return None if self.done_s is None or self.fired_s is None else self.fired_s - self.done_s


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
    steps: tuple[StepRecord, ...] = field(default=())

    @property
    def steps_done(self) -> int:
        """Things that were done, by the world's judgement."""
        if not self.steps:
            return int(self.success)
        return sum(step.done_s is not None for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> "EpisodeRecord":
        """The record of `to_json`."""
        exits = tuple(ExitSample(**sample) for sample in values["exits"])
        steps = tuple(StepRecord(**step) for step in values.get("steps", ()))
        return EpisodeRecord(**{**values, "exits": exits, "steps": steps})

    def mean(self, name: str) -> float:
        """Mean of a figure of the exits; NaN without any."""
        values = [getattr(sample, name) for sample in self.exits]
        return float(np.mean(values)) if values else float("nan")
