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
from a1_core.times import NS_PER_S
from a1_world.drive import Disturbance, Driver
from a1_world.expert import Expert
from a1_world.late import LateChunks
from a1_world.layout import CUBE_HALF_M, FIRST_EVAL_SEED, NUM_CUBES
from a1_world.poses import PoseSampler
from a1_world.sample import (
    PERIOD_S,
    Sample,
    labelled_samples,
    rows_from_actions,
)
from a1_world.tasks import KINDS, KINDS_WITH_TARGET, Task, make_task
from a1_world.world import World

if TYPE_CHECKING:
    from a1_core.policy import ExitSetting, Policy
    from a1_core.spec import RobotSpec

LONGEST_EPISODE_S = {"touch": 8.0, "bowl": 14.0, "stack": 16.0, "push": 14.0}
# Kinds that go on with a cube in the hand: what may be asked while one is held.
CARRYING_KINDS = ("bowl", "stack")
TICKS_AFTER_SUCCESS = 3
# Scenes that show the square; with more about pushing in them, a fifth of all is about that.
SQUARE_SHARE = 0.45
# Where a cube can still be fetched (m, base frame).
FETCH_LOWER_M = np.array([0.37, -0.33, 0.0])
FETCH_UPPER_M = np.array([0.72, 0.33, 0.45])


def scene_samples(scenes: int, seed: int, *, image_size: int = 128) -> Iterator[Sample]:
    """Random layouts and arm poses; each scene is asked about all its free cubes, of any kind.

    Some show the square; nothing is to be pushed in the others.
    """
    rng = np.random.default_rng([seed, 1])
    with World(image_size) as world:
        expert = Expert(world)
        poses = PoseSampler(world, rng)
        for scene in range(scenes):
            kind = "push" if rng.random() < SQUARE_SHARE else None
            world.reset(_layout_seed(rng), kind=kind, colour_index=int(rng.integers(NUM_CUBES)))
            _disorder(world, rng, poses)
            tasks = [_any_task(world, rng, index) for index in rng.permutation(_free_cubes(world))]
            yield from labelled_samples(world, expert, tasks, episode=scene, tick=0)


def demonstration_samples(
    episodes: int,
    seed: int,
    noise: float = 1.0,
    *,
    image_size: int = 128,
    every_s: float = 0.2,
    kinds: tuple[str, ...] = KINDS,
    chained: float = 0.0,
) -> Iterator[Sample]:
    """The expert drives, disturbed in proportion to `noise` (0: not at all); labels are clean.

    Every `every_s` (a multiple of 0.1 s) a sample of the episode's task, then those of other
    tasks in the same state; episodes take `kinds` in turn. A share `chained` of them goes on
    with a second task, for which the first one's sentence is still asked a few times.
    """
    rng = np.random.default_rng([seed, 2])
    with World(image_size) as world:
        expert = Expert(world)
        for episode in range(episodes):
            begin_episode(world, rng, kinds[episode % len(kinds)], noise, chained=chained)
            disturbance = Disturbance(rng, noise) if noise > 0.0 else None
            driver = Driver(world, disturbance)
            yield from _episode(world, expert, driver, rng, episode, every_s)


def dagger_samples(
    policy: Policy,
    episodes: int,
    seed: int,
    beta: float,
    *,
    spec: RobotSpec,
    settings: Sequence[ExitSetting],
    image_size: int = 128,
    replan_s: float = 0.3,
    kinds: tuple[str, ...] = KINDS,
    chained: float = 0.0,
    latency_s: tuple[float, float] = (0.0, 0.0),
) -> Iterator[Sample]:
    """The policy drives, the expert labels: the episode's task and others, every `replan_s`.

    At each replanning the expert's rows are followed instead with probability `beta`. Every
    episode keeps one of the `settings`, drawn at random. Most episodes start where real ones do,
    the others anywhere in reach. A share `chained` goes on with a second task when the world says
    that the first is done. Chunks of an episode arrive late by a time drawn from `latency_s`
    (lowest, highest), and go on from the plan before as in real time, in rows of `spec`.
    """
    rng = np.random.default_rng([seed, 3])
    with World(image_size) as world:
        expert = Expert(world)
        for episode in range(episodes):
            noise = float(rng.random() < 0.4)
            begin_episode(world, rng, kinds[episode % len(kinds)], noise, chained=chained)
            policy.reset()
            setting = settings[int(rng.integers(len(settings)))]
            # A range of nothing draws nothing: what follows of the stream stays as it was.
            late_s = float(rng.uniform(*latency_s)) if latency_s[0] < latency_s[1] else latency_s[0]
            driver = LateChunks(Driver(world), spec, late_s)
            end_s, tick, after = longest_end_s(world), 0, 0
            asked = _Questions(world, rng)
            while world.time_s < end_s:
                tasks = asked.now()
                samples = list(labelled_samples(world, expert, tasks, episode=episode, tick=tick))
                yield from samples
                if hopeless(world) or after == TICKS_AFTER_SUCCESS:
                    break
                rows_HD = expert.rows()
                observation = _observation(world, samples[0])
                if rng.random() >= beta:
                    prefix = driver.prefix(observation)
                    output = policy.act(observation, setting=setting, prefix=prefix)
                    rows_HD = rows_from_actions(output.actions_HD, samples[0].state_D)
                driver.play(rows_HD, observation, replan_s)
                after += world.success()
                tick += 1


def longest_end_s(world: World) -> float:
    """When, on the world's clock, an episode that begins now is given up."""
    return world.time_s + sum(LONGEST_EPISODE_S[step.kind] for step in world.steps)


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
    end_s, tick, after = longest_end_s(world), 0, 0
    asked = _Questions(world, rng)
    while world.time_s < end_s:
        tasks = asked.now()
        yield from labelled_samples(world, expert, tasks, episode=episode, tick=tick)
        if hopeless(world) or after == TICKS_AFTER_SUCCESS:
            return
        for _ in range(max(round(every_s / PERIOD_S), 1)):
            driver.play(expert.rows(), PERIOD_S, stop_when_over=False)
        after += world.success()
        tick += 1


class _Questions:
    """What a moment is asked: the task in hand first, then others; a task just done for a while.

    Whoever follows a plan hears of a step's end from the sentence of that step.
    """

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        self._world, self._rng = world, rng
        self._step, self._since = world.step_index, 0

    def now(self) -> list[Task]:
        """Tasks about the present state, the world's own first."""
        world = self._world
        if world.step_index != self._step:
            self._step, self._since = world.step_index, 0
        self._since += 1
        tasks = [world.task, *_other_tasks(world, self._rng)]
        if self._step == 0 or self._since > TICKS_AFTER_SUCCESS:
            return tasks
        done = world.steps[self._step - 1]
        return [tasks[0], done, *(task for task in tasks[1:] if task != done)]


def _other_tasks(world: World, rng: np.random.Generator) -> list[Task]:
    """What else could be asked now: the other cubes, of any kind, and another to stack on.

    While one is held only where to put it; nothing while one is merely touched.
    """
    named, task = world.named, world.task
    if all(world.fingers_on(named)) and task.kind in CARRYING_KINDS:
        return [other for other in _carrying_tasks(world, named) if other != task]
    if any(any(world.fingers_on(index)) for index in range(NUM_CUBES)):
        return []
    others = [_any_task(world, rng, index) for index in _free_cubes(world) if index != named]
    if task.kind == "stack":
        others += [
            other
            for other in _carrying_tasks(world, named)
            if other.kind == "stack" and other != task
        ]
    return others


def _free_cubes(world: World) -> list[int]:
    """The cubes that nothing lies on: the expert does not unstack."""
    cubes = range(NUM_CUBES)
    return [i for i in cubes if not any(world.stacked(top, i) for top in cubes if top != i)]


def _any_task(world: World, rng: np.random.Generator, index: int) -> Task:
    """A task about cube `index` of any kind that makes sense in this scene."""
    still = tuple(kind for kind in KINDS if kind != "push")
    kinds = (*still, "push", "push") if world.square_shown else still
    colours, kind = world.layout.colours, str(rng.choice(kinds))
    if kind not in KINDS_WITH_TARGET:
        return make_task(kind, colours[index])
    target = (index + int(rng.integers(1, NUM_CUBES))) % NUM_CUBES
    return make_task(kind, colours[index], colours[target])


def _carrying_tasks(world: World, index: int) -> list[Task]:
    """Everywhere that cube `index` can be carried to."""
    colour = world.layout.colours[index]
    others = [other for other in world.layout.colours if other != colour]
    return [make_task("bowl", colour), *(make_task("stack", colour, other) for other in others)]


def begin_episode(
    world: World, rng: np.random.Generator, kind: str, noise: float, *, chained: float = 0.0
) -> None:
    """A training layout; with noise most episodes start away from where real ones do.

    With probability `chained` a second task follows.
    """
    world.reset(_layout_seed(rng), kind=kind, colour_index=int(rng.integers(NUM_CUBES)))
    if chained > 0.0 and rng.random() < chained:
        world.reset(world.layout.seed, (world.task, _following_task(world, rng)))
    choice = rng.random()
    if noise <= 0.0 or choice < 0.4:
        return
    poses = PoseSampler(world, rng)
    if kind in CARRYING_KINDS and choice < 0.55:
        poses.holding(world.named, over=_stacking_place(world) if choice < 0.48 else None)
    elif kind == "push" and choice < 0.55:
        poses.pushing(world.named)
    else:
        poses.somewhere()


def _following_task(world: World, rng: np.random.Generator) -> Task:
    """A second task about another cube that the first leaves possible.

    The bowl has room for one cube, as has the square, and what was stacked on stays covered.
    """
    first, colours = world.task, world.layout.colours
    out_of_reach = {first.target} | ({first.colour} if first.kind == "bowl" else set())
    others = [i for i in range(NUM_CUBES) if colours[i] not in (first.colour, first.target)]
    while True:
        task = _any_task(world, rng, int(rng.choice(others)))
        again = task.kind == first.kind != "touch"
        if not again and (task.target is None or task.target not in out_of_reach):
            return task


def _stacking_place(world: World) -> np.ndarray | None:
    return world.cube_pose(world.target)[0][:2] if world.task.kind == "stack" else None


def _disorder(world: World, rng: np.random.Generator, poses: PoseSampler) -> None:
    """As a scene looks in the middle of an episode.

    The arm is anywhere; a cube is held, pushed, in the bowl, on another or on the square.
    """
    choice = rng.random()
    if choice < 0.2 and world.square_shown and rng.random() < 0.5:
        poses.pushing(world.named)
        return
    if choice < 0.2:
        poses.holding(int(rng.integers(NUM_CUBES)))
        return
    if choice < 0.3:
        _displace_a_cube(world, rng)
    if choice < 0.4:
        world.refresh()
    else:
        poses.somewhere()


def _displace_a_cube(world: World, rng: np.random.Generator) -> None:
    index = int(rng.integers(NUM_CUBES))
    below = (index + int(rng.integers(1, NUM_CUBES))) % NUM_CUBES
    places = [
        np.array([*world.bowl_xy, CUBE_HALF_M + 0.007]),
        world.cube_pose(below)[0] + [0.0, 0.0, 2.0 * CUBE_HALF_M],
    ]
    if world.square_shown:
        places.append(np.array([*world.square_xy, CUBE_HALF_M]))
    place = places[int(rng.integers(len(places)))]
    place[:2] += rng.uniform(-0.01, 0.01, 2)
    yaw = rng.uniform(-np.pi, np.pi)
    world.pose_cube(index, place, np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]))


def _layout_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(FIRST_EVAL_SEED))
