"""Lines to play, and a player that plays them."""

import numpy as np

from a1_core.player import ChunkPlayer, Offer, Setpoint
from a1_core.spec import RobotSpec

MS = 1_000_000
PERIOD_NS = 100 * MS


def started(spec: RobotSpec, opening: float = 1.0) -> ChunkPlayer:
    """A player at rest at home."""
    player = ChunkPlayer(spec.operating_limits)
    player.start(np.r_[spec.home, opening], now_ns=0)
    return player


def line(spec: RobotSpec, speed: float, opening: float = 1.0, start: float = 0.0) -> np.ndarray:
    """Rows in which every joint moves at `speed` (rad/s) from home + start."""
    rows = np.empty((16, 8))
    rows[:, :7] = spec.home + start + speed * 0.1 * np.arange(16)[:, None]
    rows[:, 7] = opening
    return rows


def offered(player: ChunkPlayer, rows: np.ndarray, stamp_ms: float, now_ms: float) -> Offer:
    return player.offer(
        rows, stamp_ns=int(stamp_ms * MS), period_ns=PERIOD_NS, now_ns=int(now_ms * MS)
    )


def samples(player: ChunkPlayer, *times_ms: float) -> list[Setpoint]:
    return [player.sample(int(t * MS)) for t in times_ms]
