"""Plays chunks: what the arm is commanded at every moment, and how it comes to rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a1_core.motion import Brake, Path, State, Still, settles_s
from a1_core.openings import Openings
from a1_core.row_clock import RowClock
from a1_core.spec import OperatingLimits
from a1_core.splice import Rows, splice
from a1_core.verdict import Verdict, VerdictCode

Floats = NDArray[np.floating]

NS = 1_000_000_000
SPACING_S = 0.025


@dataclass(frozen=True, kw_only=True, eq=False)
class Setpoint:
    """One command: position [rad; grippers 0..1], velocity and acceleration, [D] each.

    Attributes:
        time_ns: when it holds, on the clock of `now_ns`.
        row: row of the chunk in hand that is being played; -1 where there is none.
        done: at rest, with nothing left to play.
    """

    time_ns: int
    q_D: Floats
    qd_D: Floats
    qdd_D: Floats
    row: int
    done: bool


@dataclass(frozen=True, kw_only=True)
class Offer(Verdict):
    """Verdict on rows that were offered; only ACCEPTED changes the plan.

    `slow_down` is how many times slower than asked they are played; `first_row` the row that was
    due at the splice; `anchored` tells that they began from rest, at row 0.
    """

    slow_down: float = 1.0
    first_row: int = 0
    anchored: bool = False


class ChunkPlayer:
    """Turns chunks into one motion that is continuous up to acceleration.

    Every plan ends at rest and keeps the operating limits at every moment, not only where it is
    sampled; so does every braking. Times are int nanoseconds of one clock, given by the caller.
    Columns are the joints of `limits`, then `grippers` openings.

    Attributes:
        plans: how often the motion to come was replaced.
    """

    def __init__(
        self, limits: OperatingLimits, *, grippers: int = 1, spacing_s: float = SPACING_S
    ) -> None:
        self._limits = limits
        self._dim = limits.joints + grippers
        self._spacing_s = spacing_s
        self.plans = 0
        self.start(np.zeros(self._dim))

    def start(self, state_D: NDArray[np.floating], now_ns: int = 0) -> None:
        """Forget every plan: commanded is `state_D` [D] (measured), at rest."""
        still = Still(np.array(state_D, dtype=np.float64))
        self._start(still, now_ns, None, self._as_they_are(still, 0.0))
        self.told(now_ns)

    @property
    def rows_applied(self) -> int:
        """Rows of the chunk in hand that were played to their end by the last `sample`."""
        return self._rows_applied

    def offer(
        self,
        rows_HD: NDArray[np.floating],
        *,
        stamp_ns: int,
        period_ns: int,
        now_ns: int,
        committed_rows: int = 0,
    ) -> Offer:
        """Go over to new rows, now, from the commanded position, velocity and acceleration.

        Row r is due at stamp_ns + r * period_ns. From rest row 0 is due now instead, and nothing
        is committed; at rest is also a plan that has stood still since the stamp, when no row is
        committed. Otherwise the motion in hand is kept until the first row that is not committed
        is due. Rows too fast for the limits are played slower.

        Args:
            rows_HD: absolute positions, float [H, D].

        Returns STALE when the last row is overdue, NON_FINITE for NaN, WRONG_SHAPE, and LIMIT
        when no motion within the limits was found; the plan in hand goes on then.
        """
        rows_HD = np.asarray(rows_HD, dtype=np.float64)
        if rows_HD.ndim != 2 or rows_HD.shape[1] != self._dim or len(rows_HD) < 2:
            detail = f"rows have shape {rows_HD.shape}, [H >= 2, {self._dim}] is wanted"
            return Offer(code=VerdictCode.WRONG_SHAPE, detail=detail)
        if not np.isfinite(rows_HD).all():
            return Offer(code=VerdictCode.NON_FINITE, detail="a row is not finite")
        stands = committed_rows == 0 and self._seconds(stamp_ns) >= self._settled_s
        anchored = self.done(now_ns) or stands
        phase = 0.0 if anchored else (now_ns - stamp_ns) / period_ns
        last = len(rows_HD) - 1
        if phase >= last:
            late_ms = (phase - last) * period_ns / 1e6
            return Offer(
                code=VerdictCode.STALE, detail=f"its last row was due {late_ms:.0f} ms ago"
            )
        committed_s = 0.0 if anchored else (committed_rows - phase) * period_ns / NS
        rows = Rows(
            rows_HD=rows_HD,
            first_phase=phase,
            committed_s=max(committed_s, 0.0) if committed_rows else 0.0,
            period_s=period_ns / NS,
        )
        t_s = self._seconds(now_ns)
        found = splice(self._path, t_s, rows, self._limits, self._spacing_s)
        if found is None:
            detail = "no motion from the commanded state to these rows keeps the limits"
            return Offer(code=VerdictCode.LIMIT, detail=detail)
        asked = Openings.of_rows(rows_HD[:, self._limits.joints :], found.clock)
        asked = self._asked.until(t_s, rows.committed_s, asked)
        self._start(found.spline, now_ns, found.clock, asked)
        return Offer(
            code=VerdictCode.ACCEPTED,
            slow_down=found.slow_down,
            first_row=self._first_row,
            anchored=anchored,
        )

    def sample(self, now_ns: int) -> Setpoint:
        """The command for this moment."""
        t_s = self._seconds(now_ns)
        row = self._row(t_s)
        if self._clock is not None:
            self._rows_applied = max(0, self._played(t_s) - self._first_row)
        return self._setpoint(now_ns, self._path.state(t_s), row, self.done(now_ns))

    def done(self, now_ns: int) -> bool:
        """Whether the plan has come to rest."""
        return self._seconds(now_ns) >= self._path.duration_s

    def brake(self, now_ns: int) -> None:
        """Replace the plan by the quickest stop within the limits; grippers stay."""
        self._brake(self._path.state(self._seconds(now_ns)), now_ns)

    def told(self, now_ns: int) -> None:
        """The robot was sent the window of `now_ns`, or rests where that begins."""
        self._told_path, self._told_s, self._told_ns = self._path, self._seconds(now_ns), now_ns

    def brake_as_told(self, horizon_s: float) -> None:
        """Replace the plan by what the robot does when it hears nothing more after `told`.

        That is the window of then to its end: the motion of then for `horizon_s`, and its tail.
        """
        state = self._told_path.state(self._told_s + horizon_s)
        self._brake(state, self._told_ns + round(horizon_s * NS))

    def _brake(self, state: State, now_ns: int) -> None:
        row, applied = self._row(self._seconds(now_ns)), self._rows_applied
        path = self._braking(state)
        self._start(path, now_ns, None, self._as_they_are(path, path.duration_s))
        self._frozen_row, self._rows_applied = row, applied

    def window(self, now_ns: int, horizon_s: float, dt_s: float) -> list[Setpoint]:
        """The motion from now on, every `dt_s`, and after `horizon_s` a braking tail to rest.

        The first set-point is the one of now, times ascend, and the last one is at rest. Nothing
        changes in the player. At least two set-points, the last at now + dt_s or later.
        """
        t_s = self._seconds(now_ns)
        left_s = max(self._path.duration_s - t_s, 0.0)
        ends = left_s <= horizon_s
        t_N = _grid(left_s if ends else horizon_s, dt_s, with_end=ends)
        parts = [(t_N, self._path.states(t_s + t_N))]
        if not ends:
            last = tuple(part[-1] for part in parts[0][1])
            tail = self._braking((last[0], last[1], last[2]))
            u_N = _grid(max(tail.duration_s, dt_s), dt_s, with_end=True)[1:]
            parts.append((t_N[-1] + u_N, tail.states(u_N)))
        rows = [self._row(t_s + t) for t in t_N]
        setpoints = [
            self._setpoint(now_ns + round(t * NS), (q, qd, qdd), 0, False)
            for t_part, states in parts
            for t, q, qd, qdd in zip(t_part.tolist(), *states, strict=True)
        ]
        rows += [rows[-1]] * (len(setpoints) - len(rows))
        final = len(setpoints) - 1
        return [
            Setpoint(
                time_ns=point.time_ns,
                q_D=point.q_D,
                qd_D=point.qd_D if index < final else np.zeros_like(point.qd_D),
                qdd_D=point.qdd_D if index < final else np.zeros_like(point.qdd_D),
                row=row,
                done=index == final,
            )
            for index, (point, row) in enumerate(zip(setpoints, rows, strict=True))
        ]

    def asked(self, now_ns: int) -> Floats:
        """Openings [G] that grippers are asked for now, however far they have come."""
        return self._asked.over(np.array([self._seconds(now_ns)]))[0]

    def ahead(self, now_ns: int, dt_s: float) -> Floats:
        """Positions [N, D] from now to rest, every `dt_s`; grippers as they are asked for."""
        t_s = self._seconds(now_ns)
        t_N = t_s + dt_s * np.arange(int(np.ceil(max(self._path.duration_s - t_s, 0.0) / dt_s)) + 1)
        rows_ND = np.array(self._path.states(t_N)[0])
        rows_ND[:, self._limits.joints :] = self._asked.over(t_N)
        return rows_ND

    def _start(self, path: Path, now_ns: int, clock: RowClock | None, asked: Openings) -> None:
        self.plans += 1
        self._path = path
        self._asked = asked
        self._settled_s = max(settles_s(path, self._limits.joints), asked.settles_s)
        self._start_ns = now_ns
        self._clock = clock
        self._first_row = max(0, int(clock.first)) if clock is not None else 0
        self._frozen_row = -1
        self._rows_applied = 0

    def _as_they_are(self, path: Path, t_s: float) -> Openings:
        """Grippers stay where they have come to by then."""
        return Openings.still(path.state(t_s)[0][self._limits.joints :])

    def _braking(self, state: State) -> Brake:
        return Brake(*state, self._limits.acceleration, self._limits.jerk)

    def _seconds(self, now_ns: int) -> float:
        return max(0, now_ns - self._start_ns) / NS

    def _row(self, t_s: float) -> int:
        if self._clock is None:
            return self._frozen_row
        return max(0, int(self._clock.phase(t_s) + 1e-9))

    def _played(self, t_s: float) -> int:
        assert self._clock is not None
        whole = self._clock.phase(t_s) >= self._clock.last - 1e-9
        return int(self._clock.last) + 1 if whole else self._row(t_s)

    def _setpoint(self, time_ns: int, state: State, row: int, done: bool) -> Setpoint:
        q, qd, qdd = state
        return Setpoint(time_ns=time_ns, q_D=q, qd_D=qd, qdd_D=qdd, row=row, done=done)


def _grid(end_s: float, dt_s: float, *, with_end: bool) -> Floats:
    """0, dt, 2 dt, ...; to the end exactly where asked for, never with less than dt / 2 to it."""
    count = max(1, int(np.ceil(end_s / dt_s - 0.5))) if with_end else max(1, round(end_s / dt_s))
    t_N = dt_s * np.arange(count + 1)
    if with_end:
        t_N[-1] = max(end_s, t_N[-2] + dt_s / 2.0) if count > 1 else max(end_s, dt_s)
    return t_N
