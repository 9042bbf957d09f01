"""What the expert wants next, from the present state alone, and the tip's motion towards it.

Nothing here remembers: the same state always gives the same aim, so any state can be labelled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from a1_world.layout import CUBE_HALF_M
from a1_world.scene import BOWL_HEIGHT_M, FINGER_OPEN_M
from a1_world.world import GRIPPER_SPEED_UNIT_S

TRAVEL_Z_M = 0.14
CARRY_Z_M = 0.15
RELEASE_Z_M = 0.10
RETREAT_Z_M = 0.20
# The fingers reach this far below the tip; a touch presses by PRESS_M, so that one who imitates
# it a little high still touches.
FINGER_BELOW_TIP_M = 0.009
PRESS_M = 0.010
LOWEST_TIP_M = 0.016
MAX_SPEED_M_S = 0.25
MIN_SPEED_M_S = 0.03
APPROACH_GAIN_1_S = 4.0
YAW_SPEED_RAD_S = 1.2
MAX_YAW_RAD = math.radians(52.0)
GRASP_OPENING = CUBE_HALF_M / FINGER_OPEN_M
# A held cube is let go with this much air below it.
STACK_DROP_M = 0.005
# Closed fingers push: between open ones a corner would wedge. Side by side or one behind the other
# they do equally well, so the hand need not turn: one thing less to imitate. Where the tip is:
PUSH_TIP_M = 0.026
PUSH_YAW_RAD = 0.0
# Tip to centre of a pushed cube, and where the tip comes down behind it.
CONTACT_M = 0.035
BEHIND_M = 0.065
PUSH_LEAD_M = 0.03
# The push goes on to the first distance from the square's centre; a hand that has left does not
# come back within the second, so that nobody hesitates between the two.
PUSHED_M = 0.010
NEAR_ENOUGH_M = 0.032


@dataclass(slots=True)
class TipState:
    """The state that decides: tip, opening, the named cube, its goal (m, rad, base frame).

    The goal is the bowl's or the square's centre on the table, or the centre of the cube to stack
    on; a touch has none and does not look at it.
    """

    kind: str
    x: float
    y: float
    z: float
    yaw: float
    opening: float
    cube_x: float
    cube_y: float
    cube_z: float
    cube_yaw: float
    goal_x: float
    goal_y: float
    goal_z: float
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Where the tip should go: over (x, y), down to `z` along a funnel, at `yaw`.

    `travel_z` is the height kept while further than `wide` from (x, y); inside `narrow` the
    height wanted is `z`. `gripper` is the target opening, `floor_z` a height not to go below.
    """

    phase: str
    x: float
    y: float
    z: float
    yaw: float
    gripper: float
    travel_z: float = TRAVEL_Z_M
    narrow: float = 0.006
    wide: float = 0.030
    floor_z: float = LOWEST_TIP_M
    clearance: float = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spot:
    """Where a held cube is let go: the tip's height, tolerances (m), and whether it lies there."""

    z: float
    gap: float
    above: float
    narrow: float
    wide: float
    landed: bool


def decide(s: TipState) -> Aim:
    """The aim for a state."""
    if s.kind == "touch":
        return _decide_touch(s)
    return _decide_push(s) if s.kind == "push" else _decide_place(s, _spot(s))


def _decide_touch(s: TipState) -> Aim:
    top = s.cube_z + CUBE_HALF_M + FINGER_BELOW_TIP_M
    gap = math.hypot(s.x - s.cube_x, s.y - s.cube_y)
    open_hand = s.opening > 0.3
    near = gap < 0.02 and s.z < top + 0.05
    return Aim(
        phase="touch" if near else "approach",
        x=s.cube_x,
        y=s.cube_y,
        z=top - PRESS_M,
        yaw=0.0,
        gripper=0.0,
        # Anywhere on the cube is a touch: a narrow funnel would leave an imitator, who sees the
        # cube a centimetre off, hovering beside it for ever.
        narrow=0.016,
        wide=0.050,
        floor_z=top + 0.05 if open_hand else LOWEST_TIP_M,
    )


def _spot(s: TipState) -> _Spot:
    aside = math.hypot(s.cube_x - s.goal_x, s.cube_y - s.goal_y)
    if s.kind == "bowl":
        landed = aside < 0.05 and s.cube_z < 0.12
        return _Spot(z=RELEASE_Z_M, gap=0.018, above=0.015, narrow=0.012, wide=0.040, landed=landed)
    rest_z = s.goal_z + 2.0 * CUBE_HALF_M
    # The tip's height depends on where between the fingers the cube is.
    hold = min(max(s.z - s.cube_z, -0.012), 0.012)
    return _Spot(
        z=rest_z + STACK_DROP_M + hold,
        gap=0.012,
        above=0.010,
        narrow=0.008,
        wide=0.045,
        landed=aside < 0.022 and abs(s.cube_z - rest_z) < 0.012,
    )


def _decide_place(s: TipState, spot: _Spot) -> Aim:
    to_goal = math.hypot(s.x - s.goal_x, s.y - s.goal_y)
    if s.held:
        release = to_goal < spot.gap and s.z < spot.z + spot.above
        return Aim(
            phase="release" if release else "carry",
            x=s.goal_x,
            y=s.goal_y,
            z=spot.z,
            yaw=s.yaw,
            gripper=1.0 if release else 0.0,
            travel_z=CARRY_Z_M,
            narrow=spot.narrow,
            wide=spot.wide,
            clearance=0.05,
        )
    if spot.landed:
        leave = s.opening > 0.85
        stay_z = max(s.z, RELEASE_Z_M) if s.kind == "bowl" else s.z
        return Aim(
            phase="retreat" if leave else "release",
            x=s.x,
            y=s.y,
            z=RETREAT_Z_M if leave else stay_z,
            yaw=s.yaw,
            gripper=1.0,
            travel_z=RELEASE_Z_M,
        )
    return _decide_fetch(s)


def _decide_fetch(s: TipState) -> Aim:
    grasp_z = max(s.cube_z, LOWEST_TIP_M)
    yaw = grasp_yaw(s.cube_yaw, s.yaw)
    gap, height = math.hypot(s.x - s.cube_x, s.y - s.cube_y), abs(s.z - grasp_z)
    closing = GRASP_OPENING - 0.06 < s.opening < 0.93
    # The fingers turn a cube that they close on askew: 17 degrees is near enough for them.
    ready = gap < 0.011 and height < 0.012 and abs(s.yaw - yaw) < 0.30 and s.opening > 0.5
    keep = closing and gap < 0.018 and height < 0.018
    if ready or keep:
        return Aim(
            phase="grasp", x=s.cube_x, y=s.cube_y, z=grasp_z, yaw=yaw, gripper=0.0, wide=0.05
        )
    near = gap < 0.02 and s.z < grasp_z + 0.08
    return Aim(
        phase="descend" if near else "approach",
        x=s.cube_x,
        y=s.cube_y,
        z=grasp_z,
        yaw=yaw,
        gripper=1.0,
        floor_z=s.cube_z + 0.075 if s.opening < 0.85 or abs(s.yaw - yaw) > 0.6 else LOWEST_TIP_M,
    )


def _decide_push(s: TipState) -> Aim:
    if s.opening > 0.25 and _about_cube(s):
        return _decide_leave(s)
    left = math.hypot(s.goal_x - s.cube_x, s.goal_y - s.cube_y)
    ahead_x, ahead_y = _ahead(s)
    along = (s.x - s.cube_x) * ahead_x + (s.y - s.cube_y) * ahead_y
    lateral = (s.y - s.cube_y) * ahead_x - (s.x - s.cube_x) * ahead_y
    closed = s.opening < 0.25
    low = s.z < PUSH_TIP_M + 0.018
    behind = low and -0.10 < along < -0.02 and abs(lateral) < 0.022
    if left < (PUSHED_M if behind else NEAR_ENOUGH_M):
        return Aim(phase="retreat", x=s.x, y=s.y, z=RETREAT_Z_M, yaw=s.yaw, gripper=0.0)
    if behind and closed and abs(s.yaw - PUSH_YAW_RAD) < 0.40:
        step = min(PUSH_LEAD_M, max(left - CONTACT_M - along, 0.0))
        return Aim(
            phase="push",
            x=s.cube_x + ahead_x * (along + step),
            y=s.cube_y + ahead_y * (along + step),
            z=PUSH_TIP_M,
            yaw=PUSH_YAW_RAD,
            gripper=0.0,
            travel_z=PUSH_TIP_M,
        )
    x, y = s.cube_x - BEHIND_M * ahead_x, s.cube_y - BEHIND_M * ahead_y
    near = math.hypot(s.x - x, s.y - y) < 0.03 and s.z < 0.10
    ready = closed and abs(s.yaw - PUSH_YAW_RAD) < 0.30
    return Aim(
        phase="descend" if near else "approach",
        x=x,
        y=y,
        z=PUSH_TIP_M,
        yaw=PUSH_YAW_RAD,
        gripper=0.0,
        narrow=0.014,
        wide=0.050,
        floor_z=LOWEST_TIP_M if ready else s.cube_z + 0.075,
    )


def _about_cube(s: TipState) -> bool:
    gap = math.hypot(s.x - s.cube_x, s.y - s.cube_y)
    return gap < 0.045 and s.z < s.cube_z + 0.06


def _decide_leave(s: TipState) -> Aim:
    """Set down what is between the open fingers, let go, and rise off it before they close."""
    down = s.cube_z > CUBE_HALF_M + 0.012
    return Aim(
        phase="release" if s.held else "retreat",
        x=s.x,
        y=s.y,
        z=s.z - (s.cube_z - CUBE_HALF_M) if s.held else RETREAT_Z_M,
        yaw=s.yaw,
        gripper=0.0 if s.held and down else 1.0,
    )


def _ahead(s: TipState) -> tuple[float, float]:
    """From the cube to its goal, length 1; forwards when it is there."""
    dx, dy = s.goal_x - s.cube_x, s.goal_y - s.cube_y
    length = math.hypot(dx, dy)
    return (dx / length, dy / length) if length > 1e-6 else (1.0, 0.0)


def grasp_yaw(cube_yaw: float, hand: float) -> float:
    """Cube yaw modulo 90 degrees: the turn nearest to the hand's, within the wrist's reach."""
    quarter = math.pi / 2.0
    first = (cube_yaw + quarter / 2.0) % quarter - quarter / 2.0
    choices = [
        c for c in (first - quarter, first, first + quarter) if abs(c) <= MAX_YAW_RAD or c == first
    ]
    return min(choices, key=lambda c: abs(c - hand))


def advance(s: TipState, aim: Aim, dt_s: float) -> None:
    """Move `s` (in place) towards the aim for dt_s at limited speed; the cube goes along."""
    dx, dy = aim.x - s.x, aim.y - s.y
    gap = math.hypot(dx, dy)
    share = min(max((gap - aim.narrow) / (aim.wide - aim.narrow), 0.0), 1.0)
    share = share * share * (3.0 - 2.0 * share)
    wanted_z = max(aim.z + (max(aim.travel_z, aim.z) - aim.z) * share, aim.floor_z)
    # Rise before moving sideways: no side motion while far below the height wanted.
    free = min(max(1.0 + (s.z - wanted_z) / aim.clearance, 0.0), 1.0)
    side = min(_speed(gap) * free * dt_s, gap)
    rise = wanted_z - s.z
    step_z = math.copysign(min(_speed(abs(rise)) * dt_s, abs(rise)), rise)
    step_x, step_y = (dx / gap * side, dy / gap * side) if gap > 1e-9 else (0.0, 0.0)
    s.x, s.y, s.z = s.x + step_x, s.y + step_y, s.z + step_z
    turn = aim.yaw - s.yaw
    s.yaw += math.copysign(min(YAW_SPEED_RAD_S * dt_s, abs(turn)), turn)
    _move_fingers(s, aim, dt_s)
    if s.held:
        s.cube_x, s.cube_y, s.cube_z = s.cube_x + step_x, s.cube_y + step_y, s.cube_z + step_z
    elif aim.phase == "push":
        _shove_cube(s)


def _shove_cube(s: TipState) -> None:
    ahead_x, ahead_y = _ahead(s)
    into = (s.x - s.cube_x) * ahead_x + (s.y - s.cube_y) * ahead_y + CONTACT_M
    if into > 0.0:
        s.cube_x, s.cube_y = s.cube_x + ahead_x * into, s.cube_y + ahead_y * into


def _speed(distance: float) -> float:
    return min(MAX_SPEED_M_S, MIN_SPEED_M_S + APPROACH_GAIN_1_S * distance)


def _move_fingers(s: TipState, aim: Aim, dt_s: float) -> None:
    reach = GRIPPER_SPEED_UNIT_S * dt_s
    s.opening += min(max(aim.gripper - s.opening, -reach), reach)
    if aim.phase == "grasp" and s.opening <= GRASP_OPENING:
        s.opening, s.held = GRASP_OPENING, True
    elif s.held:
        if aim.gripper > 0.5 and s.opening > GRASP_OPENING + 0.05:
            s.held = False
            s.cube_z = _landing_z(s) if aim.phase == "release" else CUBE_HALF_M
        else:
            s.opening = max(s.opening, GRASP_OPENING)


def _landing_z(s: TipState) -> float:
    """Height at which a cube comes to rest that was let go over its goal."""
    return BOWL_HEIGHT_M / 2.0 if s.kind == "bowl" else s.goal_z + 2.0 * CUBE_HALF_M
