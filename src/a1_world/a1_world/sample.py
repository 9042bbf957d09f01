"""One labelled moment: what the policy sees and what the expert would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from a1_world.expert import Expert
from a1_world.scene import BOWL_HEIGHT_M
from a1_world.tasks import Task
from a1_world.world import World

CAMERAS = ("front", "wrist")
HORIZON = 16
PERIOD_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A moment of an episode.

    images: uint8 [h, w, 3] RGB by camera name, in model order; state_D: float32 [D] (rad, gripper
    0..1), D = 8 in the simulator; actions_HD: float32 [16, D], joint offsets (rad) from state_D and
    the absolute gripper target, row r due r * 0.1 s later, or None; end: the task is done within
    the next row; points: the named cube's pixel (x, y in 0..1) by camera, None when not seen there;
    target_points: the same of what it goes to: bowl, square or the cube to stack it on; a touch
    has none.
    """

    images: dict[str, np.ndarray]
    state_D: np.ndarray
    instruction: str
    actions_HD: np.ndarray | None
    end: bool
    points: dict[str, tuple[float, float] | None]
    episode: int
    tick: int
    seed: int
    target_points: dict[str, tuple[float, float] | None] = field(
        default_factory=lambda: dict.fromkeys(CAMERAS)
    )


def look(world: World) -> dict[str, np.ndarray]:
    """Images of both cameras, in model order."""
    return {camera: world.render(camera) for camera in CAMERAS}


def point_at_named(world: World) -> dict[str, tuple[float, float] | None]:
    """Where the named cube's centre appears in each camera."""
    centre, _ = world.cube_pose(world.named)
    return {camera: world.project(camera, centre, cube=world.named) for camera in CAMERAS}


def point_at_target(world: World) -> dict[str, tuple[float, float] | None]:
    """Where the place to which the named cube goes appears in each camera."""
    kind = world.task.kind
    if kind == "touch":
        return dict.fromkeys(CAMERAS)
    if kind == "stack":
        below = world.target
        centre, _ = world.cube_pose(below)
        return {camera: world.project(camera, centre, cube=below) for camera in CAMERAS}
    if kind == "push":
        place = np.append(world.square_xy, 0.0)
        return {camera: world.project(camera, place) for camera in CAMERAS}
    place = np.append(world.bowl_xy, BOWL_HEIGHT_M / 2.0)
    return {camera: world.project(camera, place, bowl=True) for camera in CAMERAS}


def actions_from_rows(rows_HD: np.ndarray, state_D: np.ndarray) -> np.ndarray:
    """Absolute rows as JOINT_DELTA from the observed state; the gripper stays absolute."""
    actions_HD = np.array(rows_HD, np.float32)
    actions_HD[:, :7] = rows_HD[:, :7] - state_D[:7]
    return actions_HD


def rows_from_actions(actions_HD: np.ndarray, state_D: np.ndarray) -> np.ndarray:
    """The inverse of actions_from_rows, float64 [H, 8]."""
    rows_HD = np.array(actions_HD, np.float64)
    rows_HD[:, :7] += state_D[:7]
    return rows_HD


def labelled_samples(
    world: World, expert: Expert, tasks: Sequence[Task], *, episode: int, tick: int
) -> Iterator[Sample]:
    """The present moment with the expert's label for each of `tasks`, all with the same images.

    The world's own task is the same afterwards.
    """
    images, state_D, own = look(world), world.state_D, world.task
    for task in tasks:
        world.task = task
        try:
            sample = Sample(
                images=images,
                state_D=state_D,
                instruction=task.instruction,
                actions_HD=actions_from_rows(expert.rows(HORIZON, PERIOD_S), state_D),
                end=expert.end,
                points=point_at_named(world),
                target_points=point_at_target(world),
                episode=episode,
                tick=tick,
                seed=world.layout.seed,
            )
        finally:
            world.task = own
        yield sample
