"""Whole episodes of the scripted expert, a moment every 0.1 s, as a recorder would keep them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from a1_world.drive import Disturbance, Driver
from a1_world.expert import Expert
from a1_world.generate import (
    TICKS_AFTER_SUCCESS,
    begin_episode,
    hopeless,
    longest_end_s,
)
from a1_world.sample import PERIOD_S, look
from a1_world.tasks import KINDS
from a1_world.world import World


@dataclass(frozen=True, kw_only=True, eq=False)
class Moment:
    """One moment.

    images: uint8 [h, w, 3] RGB by camera; state_D: float32 [8], joints (rad) and opening 0..1;
    action_D: float32 [8], what is commanded at this moment, disturbances left out.
    """

    images: dict[str, np.ndarray]
    state_D: np.ndarray
    action_D: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Demonstration:
    """One episode; `seed` is of its layout."""

    instruction: str
    outcome: Literal["success", "failure"]
    seed: int
    moments: tuple[Moment, ...]


def demonstrations(
    episodes: int,
    seed: int,
    noise: float = 1.0,
    *,
    image_size: int = 128,
    kinds: tuple[str, ...] = KINDS,
) -> Iterator[Demonstration]:
    """The expert does one task after the other on layouts never used for evaluation.

    With `noise` it is disturbed in proportion and most episodes begin where the arm seldom is;
    the actions are the expert's own. An episode ends a few moments after its success, or when it
    cannot succeed any more. `kinds` take turns.
    """
    rng = np.random.default_rng([seed, 4])
    with World(image_size) as world:
        expert = Expert(world)
        for episode in range(episodes):
            begin_episode(world, rng, kinds[episode % len(kinds)], noise)
            disturbance = Disturbance(rng, noise) if noise > 0.0 else None
            moments = tuple(_moments(world, expert, Driver(world, disturbance)))
            yield Demonstration(
                instruction=world.task.instruction,
                outcome="success" if world.success() else "failure",
                seed=world.layout.seed,
                moments=moments,
            )


def _moments(world: World, expert: Expert, driver: Driver) -> Iterator[Moment]:
    end_s, after = longest_end_s(world), 0
    while world.time_s < end_s:
        rows_HD = expert.rows()
        yield Moment(
            images=look(world),
            state_D=world.state_D,
            action_D=np.array([*driver.wanted, rows_HD[0, 7]], np.float32),
        )
        if hopeless(world) or after == TICKS_AFTER_SUCCESS:
            return
        driver.play(rows_HD, PERIOD_S, stop_when_over=False)
        after += world.success()
