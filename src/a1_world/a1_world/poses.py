"""Random but plausible arm poses: where an episode may begin, where a hand may be seen."""

from __future__ import annotations

import numpy as np

from a1_world.kinematics import ArmKinematics, down, rotation_matrix
from a1_world.layout import CUBE_HALF_M, NUM_CUBES, READY_Q
from a1_world.plan import (
    BEHIND_M,
    CONTACT_M,
    GRASP_OPENING,
    LOWEST_TIP_M,
    PUSH_TIP_M,
    PUSH_YAW_RAD,
)
from a1_world.world import World

REACH_LOWER_M = np.array([0.30, -0.28, 0.02])
REACH_UPPER_M = np.array([0.68, 0.28, 0.50])
YAW_SPREAD_RAD = 0.9
TILT_SPREAD_RAD = 0.05
POSTURE_SPREAD_RAD = 0.12


class PoseSampler:
    """Draws arm poses for one world from one random generator."""

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        self._world, self._rng = world, rng
        self._arm = ArmKinematics()

    def somewhere(self) -> None:
        """Pose the arm somewhere in reach, half the time about an object, touching nothing."""
        rng, world = self._rng, self._world
        while True:
            position = rng.uniform(REACH_LOWER_M, REACH_UPPER_M)
            if rng.random() < 0.5:
                centre = self._object_xy()
                position[:2] = centre + rng.normal(0.0, 0.035, 2)
                position[2] = LOWEST_TIP_M + abs(rng.normal(0.0, 0.10))
            gripper = float(rng.choice([0.0, 1.0, rng.random()], p=[0.4, 0.45, 0.15]))
            if self._pose(position, gripper) and not world.collides():
                return

    def holding(self, cube: int, *, over: np.ndarray | None = None) -> None:
        """Pose the arm somewhere with `cube` between the fingers, on the table or in the air.

        With `over` [2] it is in the air about there.
        """
        rng, world = self._rng, self._world
        while True:
            position = rng.uniform(REACH_LOWER_M, REACH_UPPER_M)
            position[2] = CUBE_HALF_M + 0.002 + abs(rng.normal(0.0, 0.10))
            if over is not None:
                position[:2] = over + rng.normal(0.0, 0.025, 2)
                position[2] = 0.085 + abs(rng.normal(0.0, 0.05))
            if not self._pose(position, GRASP_OPENING):
                continue
            tip, rotation = world.tip_pose
            slip = rotation @ np.array([rng.normal(0.0, 0.004), 0.0, rng.normal(0.0, 0.004)])
            yaw = np.arctan2(rotation[1, 0], rotation[0, 0])
            world.pose_cube(cube, tip + slip, np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]))
            world.refresh()
            apart = [np.linalg.norm(world.cube_pose(i)[0] - tip) for i in self._others(cube)]
            clear = tip[2] > 0.09 or np.linalg.norm(tip[:2] - world.bowl_xy) > 0.13
            if clear and min(apart) > (0.085 if over is None else 0.056):
                return

    def pushing(self, cube: int) -> None:
        """Pose the closed hand behind `cube` as seen from the square, low or on its way down.

        Where nothing fits, the arm stays somewhere in reach.
        """
        rng, world = self._rng, self._world
        centre, _ = world.cube_pose(cube)
        heading = np.arctan2(*(world.square_xy - centre[:2])[::-1])
        for _ in range(30):
            turn = heading + rng.normal(0.0, 0.2)
            back, aside = rng.uniform(CONTACT_M + 0.003, BEHIND_M + 0.02), rng.normal(0.0, 0.008)
            position = centre + [-np.cos(turn) * back, -np.sin(turn) * back, 0.0]
            position[:2] += aside * np.array([-np.sin(heading), np.cos(heading)])
            position[2] = PUSH_TIP_M - 0.006 + abs(rng.normal(0.0, 0.02))
            yaw = PUSH_YAW_RAD + rng.normal(0.0, 0.15)
            if self._pose(position, 0.0, yaw=yaw) and not world.collides():
                return
        self.somewhere()

    def _pose(self, position: np.ndarray, gripper: float, *, yaw: float | None = None) -> bool:
        rng = self._rng
        tilt = rotation_matrix(rng.normal(0.0, TILT_SPREAD_RAD, 3) * [1.0, 1.0, 0.0])
        turn = rng.uniform(-YAW_SPREAD_RAD, YAW_SPREAD_RAD) if yaw is None else yaw
        rotation = tilt @ down(float(turn))
        start = READY_Q + rng.uniform(-POSTURE_SPREAD_RAD, POSTURE_SPREAD_RAD, 7)
        for _ in range(12):
            start, error = self._arm.step_towards(start, position, rotation, 0.03)
        if error > 0.002:
            return False
        self._world.pose_arm(start, gripper)
        return True

    def _object_xy(self) -> np.ndarray:
        world = self._world
        places = [*(world.cube_pose(i)[0][:2] for i in range(NUM_CUBES)), world.bowl_xy]
        if world.square_shown:
            places.append(world.square_xy)
        return places[int(self._rng.integers(len(places)))]

    @staticmethod
    def _others(cube: int) -> list[int]:
        return [i for i in range(NUM_CUBES) if i != cube]
