"""Where things stand when an episode begins, a pure function of the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from a1_core.errors import A1Error
from a1_world.tasks import COLOURS

NUM_CUBES = 3
# Of these the seed chooses when nobody says what to do.
EARLY_KINDS = ("touch", "bowl")
CUBE_HALF_M = 0.024
BOWL_RADIUS_M = 0.070
AREA_LOWER_M = np.array([0.42, -0.22])
AREA_UPPER_M = np.array([0.64, 0.22])
CUBE_GAP_M = 0.10
BOWL_GAP_M = 0.145
# Half the side of the square that cubes are pushed to, and where its centre may lie.
SQUARE_HALF_M = 0.055
SQUARE_LOWER_M = np.array([0.40, -0.23])
SQUARE_UPPER_M = np.array([0.65, 0.23])
# A cube is pushed this far, in a direction that turns the hand no further than this from its
# pose at READY_Q (the hand looks the same from behind).
PUSH_LENGTH_M = (0.09, 0.15)
PUSH_TURN_RAD = np.radians(70.0)
# What the pushing hand needs behind the cube, and how far other things stay from its way.
PUSH_RUN_UP_M = 0.07
# Nearer to the base (x, m) the folded arm cannot keep the hand upright while it pushes.
PUSH_NEAREST_M = 0.395
PUSH_CUBE_GAP_M = 0.08
PUSH_BOWL_GAP_M = 0.12
START_SPREAD_RAD = 0.04
# Seeds below are for training, seeds from here on for evaluation only.
FIRST_EVAL_SEED = 1_000_000

# Joints (rad) from which episodes start: tip at (0.44, 0, 0.26) m, hand straight down.
READY_Q = np.array([0.0, -0.2316, 0.0, -2.5164, 0.0, 2.2848, 0.7854])


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Poses in the base frame (m, rad); cube i has colours[i]; `named` is the cube asked for.

    When a kind needs a second cube it is `target_of(named)`; the square for pushing cube i lies
    at square_xy[i], and is not there for other kinds.
    """

    seed: int
    cube_xy: np.ndarray  # float64 [3, 2]
    cube_yaw: np.ndarray  # float64 [3]
    colours: tuple[str, ...]
    bowl_xy: np.ndarray  # float64 [2]
    start_q: np.ndarray  # float64 [7]
    kind: str
    named: int
    target_offset: int
    square_xy: np.ndarray  # float64 [3, 2]

    def target_of(self, cube: int) -> int:
        """The other cube that the seed chooses for `cube` to be stacked on."""
        return (cube + self.target_offset) % NUM_CUBES


def make_layout(seed: int) -> Layout:
    """The layout of a seed: objects apart and in reach, arm near READY_Q, a task of its own."""
    if seed < 0:
        raise A1Error(f"seed {seed} is negative; use 0 or more (evaluation: {FIRST_EVAL_SEED} up)")
    rng = np.random.default_rng([seed, 0xA1])
    bowl_xy, cube_xy = _place(rng)
    cube_yaw = rng.uniform(-np.pi / 4, np.pi / 4, NUM_CUBES)
    colours = tuple(str(c) for c in rng.permutation(list(COLOURS))[:NUM_CUBES])
    start_q = READY_Q + rng.uniform(-START_SPREAD_RAD, START_SPREAD_RAD, 7)
    kind = EARLY_KINDS[int(rng.integers(len(EARLY_KINDS)))]
    named = int(rng.integers(NUM_CUBES))
    # What came later draws later, so that everything before is as it always was for a seed.
    return Layout(
        seed=seed,
        cube_xy=cube_xy,
        cube_yaw=cube_yaw,
        colours=colours,
        bowl_xy=bowl_xy,
        start_q=start_q,
        kind=kind,
        named=named,
        target_offset=int(rng.integers(1, NUM_CUBES)),
        square_xy=np.array([_place_square(rng, i, cube_xy, bowl_xy) for i in range(NUM_CUBES)]),
    )


def _place(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Bowl [2] and cubes [3, 2] by rejection; a draw that leaves no room is drawn again."""
    while True:
        bowl = rng.uniform(AREA_LOWER_M + 0.02, AREA_UPPER_M - 0.02)
        cubes: list[np.ndarray] = []
        for _ in range(60):
            xy = rng.uniform(AREA_LOWER_M, AREA_UPPER_M)
            clear = np.linalg.norm(xy - bowl) >= BOWL_GAP_M
            if clear and all(np.linalg.norm(xy - other) >= CUBE_GAP_M for other in cubes):
                cubes.append(xy)
            if len(cubes) == NUM_CUBES:
                return bowl, np.array(cubes)


def _place_square(
    rng: np.random.Generator, cube: int, cube_xy: np.ndarray, bowl_xy: np.ndarray
) -> np.ndarray:
    """Where to push `cube` [2]: of 150 draws the first with a free way, else the freest."""
    start = cube_xy[cube]
    best, best_room = start, -np.inf
    for _ in range(150):
        turn = rng.uniform(-PUSH_TURN_RAD, PUSH_TURN_RAD) + np.pi * rng.integers(2)
        ahead = np.array([np.cos(turn), np.sin(turn)])
        square = start + rng.uniform(*PUSH_LENGTH_M) * ahead
        behind = start - PUSH_RUN_UP_M * ahead
        others = [_distance_m(other, behind, square) for other in np.delete(cube_xy, cube, axis=0)]
        outside = max(*(SQUARE_LOWER_M - square), *(square - SQUARE_UPPER_M), 0.0)
        room = min(
            min(others) - PUSH_CUBE_GAP_M,
            _distance_m(bowl_xy, behind, square) - PUSH_BOWL_GAP_M,
            -outside,
            behind[0] - PUSH_NEAREST_M,
        )
        if room > best_room:
            best, best_room = square, room
        if room >= 0.0:
            break
    return best


def _distance_m(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """From `point` to the line between `start` and `end`."""
    way = end - start
    share = np.clip((point - start) @ way / (way @ way), 0.0, 1.0)
    return float(np.linalg.norm(point - start - share * way))
