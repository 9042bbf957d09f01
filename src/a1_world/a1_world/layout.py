"""Where things stand when an episode begins, a pure function of the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from a1_core.errors import A1Error
from a1_world.tasks import COLOURS, KINDS

NUM_CUBES = 3
CUBE_HALF_M = 0.024
BOWL_RADIUS_M = 0.070
AREA_LOWER_M = np.array([0.42, -0.22])
AREA_UPPER_M = np.array([0.64, 0.22])
CUBE_GAP_M = 0.10
BOWL_GAP_M = 0.145
START_SPREAD_RAD = 0.04
# Seeds below are for training, seeds from here on for evaluation only.
FIRST_EVAL_SEED = 1_000_000

# Joints (rad) from which episodes start: tip at (0.44, 0, 0.26) m, hand straight down.
READY_Q = np.array([0.0, -0.2316, 0.0, -2.5164, 0.0, 2.2848, 0.7854])


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Poses in the base frame (m, rad); cube i has colours[i]; `named` is the cube asked for."""

    seed: int
    cube_xy: np.ndarray  # float64 [3, 2]
    cube_yaw: np.ndarray  # float64 [3]
    colours: tuple[str, ...]
    bowl_xy: np.ndarray  # float64 [2]
    start_q: np.ndarray  # float64 [7]
    kind: str
    named: int


def make_layout(seed: int) -> Layout:
    """The layout of a seed: objects apart and in reach, arm near READY_Q, a task of its own."""
    if seed < 0:
        raise A1Error(f"seed {seed} is negative; use 0 or more (evaluation: {FIRST_EVAL_SEED} up)")
    rng = np.random.default_rng([seed, 0xA1])
    bowl_xy, cube_xy = _place(rng)
    return Layout(
        seed=seed,
        cube_xy=cube_xy,
        cube_yaw=rng.uniform(-np.pi / 4, np.pi / 4, NUM_CUBES),
        colours=tuple(str(c) for c in rng.permutation(list(COLOURS))[:NUM_CUBES]),
        bowl_xy=bowl_xy,
        start_q=READY_Q + rng.uniform(-START_SPREAD_RAD, START_SPREAD_RAD, 7),
        kind=KINDS[int(rng.integers(len(KINDS)))],
        named=int(rng.integers(NUM_CUBES)),
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
