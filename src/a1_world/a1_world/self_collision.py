"""Whether a robot would run into itself, by the shapes of its MuJoCo model."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np
from numpy.typing import NDArray

from a1_core.limits import Touch
from a1_core.spec import RobotSpec
from a1_world.robot_model import compile_robot, load_robot, model_of

Floats = NDArray[np.float64]
Gaps = dict[tuple[int, int], float]

# Bodies that come closer than this touch (m).
MARGIN_M = 0.01
# Between rows the joints are looked at every so far (rad): less than the links are thick.
SPACING_RAD = 0.05
# Bodies with at most so many joints between them are kept apart by the joints' ranges.
NEIGHBOUR_JOINTS = 2
# What was too close before may stay so, but come no closer by more than this (m).
CLOSER_M = 1e-4


class SelfCollision:
    """Callable: arm joints over time to the first place where two bodies touch.

    Hands count as open, which is where they need most room. Bodies that touch in the home pose are
    built so and do not count, nor do neighbours.

    Args:
        robot: its spec; SpecError where it names no model, or one that is not installed.
    """

    def __init__(self, robot: RobotSpec) -> None:
        spec, told = _shapes(robot), model_of(robot)
        self._model = compile_robot(spec)
        self._data = mujoco.MjData(self._model)
        self._places = [int(self._model.joint(name).qposadr[0]) for name in told.joints]
        for finger in (finger for hand in told.fingers.values() for finger in hand):
            self._data.qpos[self._model.joint(finger.joint).qposadr[0]] = finger.open
        moved = _joints_above(self._model, told.joints)
        self._ignored: set[tuple[int, int]] = {
            (a, b)
            for a in range(self._model.nbody)
            for b in range(a, self._model.nbody)
            if len(moved[a] ^ moved[b]) <= NEIGHBOUR_JOINTS
        }
        self._ignored |= set(self._gaps(robot.home))

    def __call__(self, rows_NJ: Floats, start_J: Floats | None = None) -> Touch | None:
        """The first touch on the way through the rows, or None.

        Args:
            rows_NJ: arm joints in the spec's order (rad).
            start_J: where the way begins; bodies that touch there may move apart.
        """
        before = {} if start_J is None else self._gaps(start_J)
        for row, q_J in _way(rows_NJ, start_J):
            gaps = self._gaps(q_J)
            for pair, gap_m in sorted(gaps.items(), key=lambda item: item[1]):
                if gap_m < before.get(pair, np.inf) - CLOSER_M:
                    a, b = (self._model.body(body).name if body else "its base" for body in pair)
                    return Touch(row=row, bodies=(a, b), gap_m=gap_m)
            before = gaps if before else before
        return None

    def _gaps(self, q_J: Floats) -> Gaps:
        """Pairs of bodies that touch, with the smallest distance (m; below 0: depth)."""
        model, data = self._model, self._data
        data.qpos[self._places] = q_J
        mujoco.mj_kinematics(model, data)
        mujoco.mj_collision(model, data)
        gaps: Gaps = {}
        for geoms, gap_m in zip(data.contact.geom, data.contact.dist.tolist(), strict=True):
            a, b = sorted(model.geom_bodyid[geoms].tolist())
            if (a, b) not in self._ignored:
                gaps[a, b] = min(gap_m, gaps.get((a, b), np.inf))
        return gaps


def _shapes(robot: RobotSpec) -> mujoco.MjSpec:
    """Bodies, joints and solid shapes alone."""
    spec = load_robot(robot)
    for geom in list(spec.geoms):
        if geom.contype == 0 and geom.conaffinity == 0:
            spec.delete(geom)
            continue
        geom.contype = geom.conaffinity = 1
        geom.margin = MARGIN_M / 2.0  # of a pair of shapes both count
    used = {geom.meshname for geom in spec.geoms}
    for mesh in list(spec.meshes):
        if mesh.name not in used:
            spec.delete(mesh)
    for thing in [*spec.actuators, *spec.equalities, *spec.tendons, *spec.sensors]:
        spec.delete(thing)
    return spec


def _joints_above(model: mujoco.MjModel, arm_joints: tuple[str, ...]) -> list[frozenset[int]]:
    """For every body the arm joints that move it; fingers move with their hand."""
    arms = {model.joint(name).id for name in arm_joints}
    found = [frozenset[int]()]
    for body in range(1, model.nbody):
        first = int(model.body_jntadr[body])
        own = range(first, first + int(model.body_jntnum[body])) if first >= 0 else ()
        found.append(found[int(model.body_parentid[body])] | (arms & set(own)))
    return found


def _way(rows_NJ: Floats, start_J: Floats | None) -> Iterator[tuple[int, Floats]]:
    """The joints along the way, close to each other, each with the row it leads to."""
    before_J = rows_NJ[0] if start_J is None else start_J
    for row, q_J in enumerate(rows_NJ):
        count = max(1, int(np.ceil(np.abs(q_J - before_J).max() / SPACING_RAD)))
        for step in range(1, count + 1):
            yield row, before_J + (q_J - before_J) * (step / count)
        before_J = q_J
