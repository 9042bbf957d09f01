"""The scripted expert: from the present state of a world to joint rows, without memory."""

from __future__ import annotations

import math

import numpy as np

from a1_world.kinematics import ArmKinematics, down, hand_yaw, rotation_matrix, rotation_vector
from a1_world.layout import CUBE_HALF_M
from a1_world.plan import FINGER_BELOW_TIP_M, GRASP_OPENING, Aim, TipState, advance, decide
from a1_world.world import World

SUBSTEP_S = 0.025
TURN_SPEED_RAD_S = 1.2
POSTURE_GAIN_PER_ROW = 0.15
# A row's joint steps stay below this speed (rad/s), well inside the FR3's rectangular box.
ROW_SPEED_RAD_S = np.array([1.2, 0.7, 1.0, 0.9, 1.8, 1.1, 1.8])


class Expert:
    """Labels any state of `world` for its present task."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._arm = ArmKinematics()

    @property
    def phase(self) -> str:
        """approach, descend, grasp, carry, push, release, retreat, touch or done."""
        if self._world.success():
            return "done"
        return decide(self._tip_state()).phase

    @property
    def end(self) -> bool:
        """Whether the task is done or will be within the next row (0.1 s)."""
        s = self._tip_state()
        if s.kind == "touch":
            above = s.z - (s.cube_z + CUBE_HALF_M + FINGER_BELOW_TIP_M)
            gap = math.hypot(s.x - s.cube_x, s.y - s.cube_y)
            return above < 0.010 and gap < 0.02 and s.opening < 0.3
        if s.kind == "push":
            return s.z > 1.5 * CUBE_HALF_M and self._world.on_square(self._world.named)
        return not s.held and s.opening > 0.75 and self._lies_there()

    def rows(self, horizon: int = 16, period_s: float = 0.1) -> np.ndarray:
        """float64 [H, 8]: joints (rad) and gripper target wanted at now + r * period_s."""
        state = self._tip_state()
        q = self._world.joint_positions
        _, rotation = self._arm.tip_pose(q)
        rows = np.empty((horizon, 8))
        limit = ROW_SPEED_RAD_S * period_s
        substeps = max(round(period_s / SUBSTEP_S), 1)
        for row in range(horizon):
            aim: Aim = decide(state)
            if row > 0:
                for _ in range(substeps):
                    aim = decide(state)
                    advance(state, aim, period_s / substeps)
                rotation = _turn(rotation, down(state.yaw), TURN_SPEED_RAD_S * period_s)
                q = self._follow(q, np.array([state.x, state.y, state.z]), rotation, limit)
                aim = decide(state)
            rows[row, :7] = q
            rows[row, 7] = aim.gripper
        return rows

    def _follow(
        self, q: np.ndarray, position: np.ndarray, rotation: np.ndarray, limit: np.ndarray
    ) -> np.ndarray:
        after, _ = self._arm.step_towards(q, position, rotation, POSTURE_GAIN_PER_ROW)
        after, _ = self._arm.step_towards(after, position, rotation, 0.0)
        change = after - q
        excess = float((np.abs(change) / limit).max())
        return q + change / max(excess, 1.0)

    def _tip_state(self) -> TipState:
        world = self._world
        position, rotation = world.tip_pose
        centre, cube = world.cube_pose(world.named)
        goal = self._goal()
        opening = float(world.state_D[7])
        return TipState(
            kind=world.task.kind,
            x=float(position[0]),
            y=float(position[1]),
            z=float(position[2]),
            yaw=hand_yaw(rotation),
            opening=opening,
            cube_x=float(centre[0]),
            cube_y=float(centre[1]),
            cube_z=float(centre[2]),
            cube_yaw=upright_yaw(cube),
            goal_x=float(goal[0]),
            goal_y=float(goal[1]),
            goal_z=float(goal[2]),
            held=self._holds(opening),
        )

    def _goal(self) -> np.ndarray:
        """Where the named cube is to go [3], as in TipState; the bowl for a touch."""
        world = self._world
        if world.task.kind == "stack":
            return world.cube_pose(world.target)[0]
        return np.append(world.square_xy if world.task.kind == "push" else world.bowl_xy, 0.0)

    def _lies_there(self) -> bool:
        world = self._world
        if world.task.kind == "stack":
            return world.stacked(world.named, world.target)
        return world.in_bowl(world.named)

    def _holds(self, opening: float) -> bool:
        """Whether the named cube is between the fingers; closed fingers may stand on it too."""
        wide = abs(opening - GRASP_OPENING) < 0.15
        return wide and all(self._world.fingers_on(self._world.named))


def upright_yaw(rotation: np.ndarray) -> float:
    """Yaw of a cube's side faces (rad), whichever face is up."""
    vertical = int(np.abs(rotation[2]).argmax())
    side = rotation[:, (vertical + 1) % 3]
    return float(math.atan2(side[1], side[0]))


def _turn(rotation: np.ndarray, wanted: np.ndarray, limit_rad: float) -> np.ndarray:
    """`rotation` turned towards `wanted` by at most limit_rad."""
    vector = rotation_vector(wanted @ rotation.T)
    angle = float(np.linalg.norm(vector))
    if angle <= limit_rad:
        return wanted
    return rotation_matrix(vector * (limit_rad / angle)) @ rotation
