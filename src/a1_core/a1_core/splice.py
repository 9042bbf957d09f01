"""From the motion in hand to new rows: a spline with continuous acceleration, within limits.

The curve is a cubic B-spline with even knots. Its first three control points are fixed by the
commanded position, velocity and acceleration, so the splice is continuous up to acceleration
wherever it happens; its accelerations and jerks are plain differences of control points, so limits
are checked exactly and not by sampling. Rows are read through a cubic B-spline too, which keeps to
the rows' convex hull and evens out their noise. Over the blending time the old motion fades out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a1_core.motion import Brake, Path, Spline
from a1_core.row_clock import RowClock
from a1_core.spec import OperatingLimits

Floats = NDArray[np.floating]

# Tried in this order: fades of the old motion, longer ones, then of a soft stop. A fade that takes
# longer than chunks are apart, a third of a second, would never arrive.
BLENDS_S = (0.2, 0.3)
LONG_BLENDS_S = (0.6,)
SOFT_BLENDS_S = (0.5, 1.0, 1.5)
SOFT_ACCELERATION, SOFT_JERK = 0.5, 0.15
# Share of the jerk limit that a fade may always take.
SMOOTH = 0.1
SLOW_DOWNS = (1.0, 1.25, 1.6, 2.2, 3.0)
TOLERANCE = 1e-6
# Braking takes its acceleration back before it stands, which costs less than this (rad).
POSITION_MARGIN = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Rows to go over to.

    Attributes:
        rows_HD: positions of the arm joints, then the grippers.
        first_phase: row phase that is due at the splice.
        committed_s: time after the splice over which the old motion is kept.
        period_s: time between rows.
    """

    rows_HD: Floats
    first_phase: float
    committed_s: float
    period_s: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Splice:
    """A checked motion and the clock that says which row it is at."""

    spline: Spline
    clock: RowClock
    slow_down: float


def needed_slow_down(rows_HJ: Floats, period_s: float, limits: OperatingLimits) -> float:
    """How much slower than asked arm rows must be played to keep velocity and its derivatives.

    1 when they keep the limits as they are.
    """
    slow_down = 1.0
    bounds = (limits.velocity, limits.acceleration, limits.jerk)
    for order, bound_J in enumerate(bounds, start=1):
        if len(rows_HJ) <= order:
            break
        asked_HJ = np.abs(np.diff(rows_HJ, n=order, axis=0)) / period_s**order
        slow_down = max(slow_down, float((asked_HJ / bound_J).max()) ** (1.0 / order))
    return slow_down


def splice(
    old: Path, old_t_s: float, rows: Rows, limits: OperatingLimits, spacing_s: float
) -> Splice | None:
    """The quickest motion that leaves `old` at `old_t_s` for the rows and keeps the limits.

    The old motion fades out, or, where that asks too much of the arm, a soft stop does in its
    place (never over committed rows). Behind committed rows it is the shortest of BLENDS_S without
    more jerk than the rows have themselves or a SMOOTH share of the limit, else the smoothest of
    them; it is longer only where none of them keeps the limits. Rows that are slowed are so from
    the first that is not committed. `spacing_s` is the distance of the knots.

    Returns None when no fading and slow-down tried keeps the limits.
    """
    kept_rows = rows.committed_s / rows.period_s
    free_from = max(0, int(rows.first_phase + kept_rows + 1e-6))
    coming_HJ = rows.rows_HD[free_from:, : limits.joints]
    needed = needed_slow_down(coming_HJ, rows.period_s, limits)
    soft = Brake(
        *old.state(old_t_s), SOFT_ACCELERATION * limits.acceleration, SOFT_JERK * limits.jerk
    )
    # Without committed rows chunks may come much faster, such as a person's: a stream of them is
    # caught up with only if each fade is the shortest that keeps the limits.
    in_haste = rows.committed_s <= 0.0 or old_t_s >= old.duration_s
    fades: list[tuple[Path, float, tuple[float, ...]]] = [
        (old, old_t_s, BLENDS_S),
        (old, old_t_s, LONG_BLENDS_S),
    ]
    if rows.committed_s <= 0.0:
        fades.append((soft, 0.0, SOFT_BLENDS_S))
    else:
        fades.append((old, old_t_s, SOFT_BLENDS_S))
    for more in SLOW_DOWNS:
        slow_down = needed * more
        # The motion that is kept goes at its own pace: where it ends, the first free row is due.
        clock = RowClock(
            first=rows.first_phase + kept_rows * (1.0 - 1.0 / slow_down),
            last=len(rows.rows_HD) - 1.0,
            period_s=rows.period_s * slow_down,
        )
        smooth = max(SMOOTH, _jerk_share(coming_HJ, clock.period_s, limits))
        allowed = np.inf if in_haste else smooth
        for fade, fade_t_s, blends_s in fades:
            controls_KJ = _smooth_controls(
                fade, fade_t_s, rows, clock, blends_s, spacing_s, limits, allowed
            )
            if controls_KJ is not None:
                openings_KG = _grippers(
                    old, old_t_s, rows, clock, spacing_s, len(controls_KJ) - 2, limits
                )
                spline = _spline(controls_KJ, openings_KG, spacing_s)
                return Splice(spline=spline, clock=clock, slow_down=slow_down)
    return None


def _smooth_controls(
    old: Path,
    old_t_s: float,
    rows: Rows,
    clock: RowClock,
    blends_s: tuple[float, ...],
    spacing_s: float,
    limits: OperatingLimits,
    allowed: float,
) -> Floats | None:
    """Control points [K, J] of the shortest fade whose jerk is allowed, else of the smoothest.

    Point k is at (k - 1) * spacing. None when no fade keeps the limits.
    """
    h, arm = spacing_s, limits.joints
    end_s = max(clock.duration_s, rows.committed_s + blends_s[0])
    best: tuple[float, Floats] | None = None
    t_K = h * np.arange(int(np.ceil(max(end_s, rows.committed_s + blends_s[-1]) / h)) + 5)
    wanted_KJ = read_rows(rows.rows_HD[:, :arm], clock.phases(t_K))
    old_KJ = old.states(old_t_s + t_K)[0][:, :arm]
    q, qd, qdd = (part[:arm] for part in old.state(old_t_s))
    first_3J = (
        q - qd * h + qdd * h * h / 3.0,
        q - qdd * h * h / 6.0,
        q + qd * h + qdd * h * h / 3.0,
    )
    for blend_s in blends_s:
        knots = int(np.ceil(max(end_s, rows.committed_s + blend_s) / h)) + 5
        u_K = np.clip((t_K[:knots] - rows.committed_s) / blend_s, 0.0, 1.0)
        new_K1 = (u_K**3 * (10.0 + u_K * (6.0 * u_K - 15.0)))[:, None]
        path_KJ = old_KJ[:knots] + new_K1 * (wanted_KJ[:knots] - old_KJ[:knots])
        # Control points whose spline passes through the path (to fourth order in the spacing).
        bend_KJ = np.zeros_like(path_KJ)
        bend_KJ[1:-1] = path_KJ[2:] - 2.0 * path_KJ[1:-1] + path_KJ[:-2]
        controls_KJ = np.concatenate([first_3J, (path_KJ - bend_KJ / 6.0)[2:]])
        if keeps_limits(controls_KJ, h, limits):
            share = _jerk_share(controls_KJ, h, limits)
            if share <= allowed:
                return controls_KJ
            if best is None or share < best[0]:
                best = share, controls_KJ
    return None if best is None else best[1]


def _jerk_share(points_KJ: Floats, spacing_s: float, limits: OperatingLimits) -> float:
    """Largest jerk of the B-spline with these control points, as a share of the limit."""
    jerk_KJ = np.abs(np.diff(points_KJ, n=3, axis=0)) / spacing_s**3
    return float((jerk_KJ / limits.jerk).max(initial=0.0))


def read_rows(rows_HJ: Floats, phases_K: Floats) -> Floats:
    """Positions [K, J] at row phases: a cubic B-spline, exact at the first and the last row."""
    padded = np.concatenate(
        [
            2.0 * rows_HJ[:1] - rows_HJ[1:2] if len(rows_HJ) > 1 else rows_HJ[:1],
            rows_HJ,
            2.0 * rows_HJ[-1:] - rows_HJ[-2:-1] if len(rows_HJ) > 1 else rows_HJ[-1:],
            rows_HJ[-1:],
        ]
    )
    phases_K = np.clip(phases_K, 0.0, len(rows_HJ) - 1.0)
    row_K = np.minimum(phases_K.astype(np.intp), max(len(rows_HJ) - 2, 0))
    u = (phases_K - row_K)[:, None]
    return (
        (1.0 - u) ** 3 * padded[row_K]
        + (4.0 - 6.0 * u**2 + 3.0 * u**3) * padded[row_K + 1]
        + (1.0 + 3.0 * (u + u**2 - u**3)) * padded[row_K + 2]
        + u**3 * padded[row_K + 3]
    ) / 6.0


def keeps_limits(controls_KJ: Floats, spacing_s: float, limits: OperatingLimits) -> bool:
    """Whether the spline of these control points stays within all joint limits."""
    h = spacing_s
    qdd_KJ = np.diff(controls_KJ, n=2, axis=0) / h**2
    if _exceeds(qdd_KJ, limits.acceleration):
        return False
    if _exceeds(np.diff(qdd_KJ, axis=0) / h, limits.jerk):
        return False
    qd_KJ = (controls_KJ[2:] - controls_KJ[:-2]) / (2.0 * h)
    if _exceeds(qd_KJ, limits.velocity):
        return False
    # Velocity peaks inside a segment where the acceleration changes its sign.
    a0, a1 = qdd_KJ[:-1], qdd_KJ[1:]
    slope = np.where(a0 * a1 < 0.0, a0 - a1, 1.0)
    peaks = qd_KJ[:-1] + np.where(a0 * a1 < 0.0, h * a0**2 / (2.0 * slope), 0.0)
    if _exceeds(peaks, limits.velocity):
        return False
    q_KJ = (controls_KJ[:-2] + 4.0 * controls_KJ[1:-1] + controls_KJ[2:]) / 6.0
    lower = np.minimum(limits.position_lower + POSITION_MARGIN, q_KJ[0]) - TOLERANCE
    upper = np.maximum(limits.position_upper - POSITION_MARGIN, q_KJ[0]) + TOLERANCE
    return bool((q_KJ >= lower).all() and (q_KJ <= upper).all())


def _exceeds(values_KJ: Floats, bound_J: Floats) -> bool:
    """True also for NaN."""
    return not bool((np.abs(values_KJ) <= bound_J * (1.0 + TOLERANCE)).all())


def _spline(controls_KJ: Floats, openings_KG: Floats, spacing_s: float) -> Spline:
    """Segments of the arm's spline and of the grippers' lines between its knots."""
    h = spacing_s
    arm = controls_KJ.shape[1]
    rest = np.repeat(controls_KJ[-1:], len(openings_KG) + 2 - len(controls_KJ), axis=0)
    c = np.concatenate([controls_KJ, rest])
    c0, c1, c2, c3 = c[:-3], c[1:-2], c[2:-1], c[3:]
    coefficients = np.zeros((len(c0), 4, arm + openings_KG.shape[1]))
    coefficients[:, 0, :arm] = (c0 + 4.0 * c1 + c2) / 6.0
    coefficients[:, 1, :arm] = (c2 - c0) / (2.0 * h)
    coefficients[:, 2, :arm] = (c0 - 2.0 * c1 + c2) / (2.0 * h**2)
    coefficients[:, 3, :arm] = (c3 - c0 + 3.0 * (c1 - c2)) / (6.0 * h**3)
    coefficients[:, 0, arm:] = openings_KG[:-1]
    coefficients[:, 1, arm:] = np.diff(openings_KG, axis=0) / h
    return Spline(h, coefficients)


def _grippers(
    old: Path,
    old_t_s: float,
    rows: Rows,
    clock: RowClock,
    spacing_s: float,
    knots: int,
    limits: OperatingLimits,
) -> Floats:
    """Openings [K, G] at `knots` knots, or at as many more as all take to arrive at their pace.

    The old motion's are kept over committed rows.
    """
    column_HG = np.clip(rows.rows_HD[:, limits.joints :], 0.0, 1.0)
    most = limits.gripper_velocity * spacing_s
    t_K = spacing_s * np.arange(knots + int(np.ceil(1.0 / most)) + 1)
    phases_K, rows_H = clock.phases(t_K), np.arange(len(column_HG))
    asked_KG = np.empty((len(t_K), column_HG.shape[1]))
    for gripper, column_H in enumerate(column_HG.T):
        asked_KG[:, gripper] = np.interp(phases_K, rows_H, column_H)
    kept_KG = old.states(old_t_s + t_K)[0][:, limits.joints :]
    # A line to a knot begins one knot before it, and not while the old ones are kept.
    kept_K = (t_K < rows.committed_s + spacing_s - 1e-9) & (rows.committed_s > 0.0)
    asked_KG[kept_K] = kept_KG[kept_K]
    openings = [kept_KG[0]]
    for index, wish_G in enumerate(asked_KG[1:], start=1):
        if index >= knots and (openings[-1] == wish_G).all():
            break
        openings.append(openings[-1] + np.clip(wish_G - openings[-1], -most, most))
    return np.array(openings)
