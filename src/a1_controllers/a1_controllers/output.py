"""What comes out of the controller: commands, answers, counts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from a1_core.player import Setpoint
from a1_core.verdict import VerdictCode


@dataclass(kw_only=True)
class Counters:
    """Since the node was configured; `refused_for` counts refused chunks by their verdict."""

    chunks_accepted: int = 0
    refused_for: Counter[VerdictCode] = field(default_factory=Counter)
    clamped: int = 0
    slowed: int = 0
    underruns: int = 0
    late_ticks: int = 0

    @property
    def chunks_refused(self) -> int:
        return self.refused_for.total()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a service call led to; `message` says why not, and what to do."""

    ok: bool
    message: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Output:
    """What one tick asks of the adapter; nothing at rest.

    `grippers` are the openings to bring about (0 closed .. 1 open), by gripper in the spec's order;
    None for a gripper that stays.
    """

    window: Sequence[Setpoint] | None = None
    braking: bool = False
    grippers: tuple[float | None, ...] = ()
