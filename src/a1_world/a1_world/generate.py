"""Streams of samples, each fully determined by its seed: scenes, demonstrations, DAgger.

Samples in a row share their images: what a camera sees is the same whatever is asked, and the
expert, which has no memory, says for every question what it would do. Of two samples that differ
in nothing but a word the network learns what the word is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from a1_core.observation import Observation
from a1_world.drive import Disturbance, Driver
from a1_world.expert import Expert
from a1_world.layout import CUBE_HALF_M, FIRST_EVAL_SEED, NUM_CUBES
from a1_world.poses import PoseSampler
from a1_world.sample import (
    PERIOD_S,
    Sample,
    labelled_samples,
    rows_from_actions,
)
from a1_world.tasks import KINDS, Task, make_task
from a1_world.world import World

if TYPE_CHECKING:
    from a1_core.policy import ExitSetting, Policy

NS_PER_S = 1_000_000_000
LONGEST_EPISODE_S = {"touch": 8.0, "bowl": 14.0}
TICKS_AFTER_SUCCESS = 3
# Where a cube can still be fetched (m, base frame).
FETCH_LOWER_M = np.array([0.37, -0.33, 0.0])
FETCH_UPPER_M = np.array([0.72, 0.33, 0.45])


def scene_samples(scenes: int, seed: int, *, image_size: int = 128) -> Iterator[Sample]:
    """Random layouts and arm poses; each scene is asked about all its cubes, of either kind."""
    rng = np.random.default_rng([seed, 1])
    with World(image_size) as world:
        expert = Expert(world)
        poses = PoseSampler(world, rng)
        for scene in range(scenes):
            world.reset(_layout_seed(rng))
            _disorder(world, rng, poses)
            tasks = [
                make_task(str(rng.choice(KINDS)), world.layout.colours[index])
                for index in rng.permutation(NUM_CUBES)
            ]
            yield from labelled_samples(world, expert, tasks, episode=scene, tick=0)


def demonstration_samples(
    episodes: int,
    seed: int,
    noise: float = 1.0,
    *,
    image_size: int = 128,
    every_s: float = 0.2,
    kinds: tuple[str, ...] = KINDS,
) -> Iterator[Sample]:
    """The expert drives, disturbed in proportion to `noise` (0: not at all); labels are clean.

    Every `every_s` (a multiple of 0.1 s) a sample of the episode's task, then those of other
    tasks in the same state; episodes take `kinds` in turn.
    """
    rng = np.random.default_rng([seed, 2])
    with World(image_size) as world:
        expert = Expert(world)
        for episode in range(episodes):
            begin_episode(world, rng, kinds[episode % len(kinds)], noise)
            disturbance = Disturbance(rng, noise) if noise > 0.0 else None
            driver = Driver(world, disturbance)
            yield from _episode(world, expert, driver, rng, episode, every_s)


def dagger_samples(
    policy: Policy,
    episodes: int,
    seed: int,
    beta: float,
    *,
    settings: Sequence[ExitSetting],
    image_size: int = 128,
    replan_s: float = 0.3,
    kinds: tuple[str, ...] = KINDS,
) -> Iterator[Sample]:
    """The policy drives, the expert labels: the episode's task and others, every `replan_s`.

    At each replanning the expert's rows are followed instead with probability `beta`. Every
    episode keeps one of the `settings`, drawn at random. Most episodes start where real ones do,
    every fourth anywhere in reach.
    """
    rng = np.random.default_rng([seed, 3])
    with World(image_size) as world:
        expert = Expert(world)
        for episode in range(episodes):
            begin_episode(world, rng, kinds[episode % len(kinds)], float(rng.random() < 0.4))
            policy.reset()
            setting = settings[int(rng.integers(len(settings)))]
            driver = Driver(world)
            start_s, tick, after = world.time_s, 0, 0
            while world.time_s - start_s < LONGEST_EPISODE_S[world.task.kind]:
                tasks = [world.task, *_other_tasks(world, rng)]
                samples = list(labelled_samples(world, expert, tasks, episode=episode, tick=tick))
                yield from samples
                if hopeless(world) or after == TICKS_AFTER_SUCCESS:
                    break
                rows_HD = expert.rows()
                if rng.random() >= beta:
                    output = policy.act(_observation(world, samples[0]), setting=setting)
                    rows_HD = rows_from_actions(output.actions_HD, samples[0].state_D)
                driver.play(rows_HD, replan_s, stop_when_over=False)
                after += world.success()
                tick += 1


def hopeless(world: World) -> bool:
    """Whether the task has failed or its cube lies where the arm cannot fetch it."""
    centre, _ = world.cube_pose(world.named)
    inside = (centre > FETCH_LOWER_M).all() and (centre < FETCH_UPPER_M).all()
    return world.failed() or not bool(inside)


def _observation(world: World, sample: Sample) -> Observation:
    return Observation(
        stamp_ns=round(world.time_s * NS_PER_S),
        images=sample.images,
        state_D=sample.state_D,
        instruction=sample.instruction,
    )


def _episode(
    world: World,
    expert: Expert,
    driver: Driver,
    rng: np.random.Generator,
    episode: int,
    every_s: float,
) -> Iterator[Sample]:
    start_s, tick, after = world.time_s, 0, 0
    while world.time_s - start_s < LONGEST_EPISODE_S[world.task.kind]:
        tasks = [world.task, *_other_tasks(world, rng)]
        yield from labelled_samples(world, expert, tasks, episode=episode, tick=tick)
        if hopeless(world) or after == TICKS_AFTER_SUCCESS:
            return
        for _ in range(max(round(every_s / PERIOD_S), 1)):
            driver.play(expert.rows(), PERIOD_S, stop_when_over=False)
        after += world.success()
        tick += 1


def _other_tasks(world: World, rng: np.random.Generator) -> list[Task]:
    """What else could be asked now: the other cubes, of either kind; none while one is held."""
    if any(any(world.fingers_on(index)) for index in range(NUM_CUBES)):
        return []
    others = [colour for colour in world.layout.colours if colour != world.task.colour]
    return [make_task(str(rng.choice(KINDS)), colour) for colour in others]


def begin_episode(world: World, rng: np.random.Generator, kind: str, noise: float) -> None:
    """A training layout; with noise most episodes start away from where real ones do."""
    world.reset(_layout_seed(rng), kind=kind, colour_index=int(rng.integers(NUM_CUBES)))
    choice = rng.random()
    if noise <= 0.0 or choice < 0.4:
        return
    poses = PoseSampler(world, rng)
    if kind == "bowl" and choice < 0.55:
        poses.holding(world.named)
    else:
        poses.somewhere()


def _disorder(world: World, rng: np.random.Generator, poses: PoseSampler) -> None:
    """As a scene looks in the middle of an episode: arm anywhere, a cube held or in the bowl."""
    choice = rng.random()
    if choice < 0.2:
        poses.holding(int(rng.integers(NUM_CUBES)))
        return
    if choice < 0.3:
        spot = world.bowl_xy + rng.uniform(-0.01, 0.01, 2)
        yaw = rng.uniform(-np.pi, np.pi)
        quat = np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])
        index = int(rng.integers(NUM_CUBES))
        world.pose_cube(index, np.array([*spot, CUBE_HALF_M + 0.007]), quat)
    if choice < 0.4:
        world.refresh()
    else:
        poses.somewhere()


def _layout_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(FIRST_EVAL_SEED))
