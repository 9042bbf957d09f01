"""Whether the task in hand is done or lost, and which of several comes next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from a1_world.layout import NUM_CUBES

if TYPE_CHECKING:
    from a1_world.tasks import Task
    from a1_world.world import World

# A stacked or pushed cube has to stay for this long: one that totters is not stacked.
STAY_S = 0.2
FALLEN_M = -0.05


class Judge:
    """Watches a world while it steps; nobody else says that a task of several is done.

    When one of several tasks succeeds, the world's task becomes the next at once. A cube that an
    earlier task named is excused from then on: it may lie in the bowl or on the square, and
    leaving it is not a touch of another cube.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._excused: set[int] = set()
        self._touched: list[int] = []
        self._stayed_s = 0.0
        self._stayed_for: Task | None = None
        self.steps: tuple[Task, ...] = ()
        self.step = 0

    def begin(self, steps: Sequence[Task]) -> None:
        """Forget everything; the first of `steps` becomes the world's task."""
        self.steps, self.step = tuple(steps), 0
        self._excused = set()
        self._begin_step()

    def note(self, dt_s: float) -> None:
        """Look at the world, dt_s after the last look."""
        for index in range(NUM_CUBES):
            if index not in self._touched and self._world.hand_on(index):
                self._touched.append(index)
        task = self._world.task
        if task.kind in ("stack", "push"):
            stays = task is self._stayed_for and self._settled(task)
            self._stayed_s = self._stayed_s + dt_s if stays else 0.0
            self._stayed_for = task
        if self.step + 1 < len(self.steps) and self._done():
            self._excused.add(self._world.named)
            self.step += 1
            self._begin_step()

    def success(self) -> bool:
        """Whether the last task is done."""
        return self.step + 1 == len(self.steps) and self._done()

    def failed(self) -> bool:
        """Whether the task in hand went wrong in a way that does not count as a detour.

        touch: another cube was touched first; bowl: another lies in it; stack: others were
        stacked; push: another lies on the square; all but touch: a cube fell off the table.
        """
        world, named = self._world, self._world.named
        kind = world.task.kind
        others = [i for i in range(NUM_CUBES) if i != named and i not in self._excused]
        if kind == "touch":
            return (first := self._first_touched()) is not None and first != named
        if kind == "bowl":
            return any(world.in_bowl(i) for i in others) or self._fallen(named)
        if kind == "stack":
            return self._wrongly_stacked() or self._fallen(named) or self._fallen(world.target)
        return any(world.on_square(i) for i in others) or self._fallen(named)

    def _begin_step(self) -> None:
        self._world.task = self.steps[self.step]
        self._touched = []
        self._stayed_s, self._stayed_for = 0.0, None

    def _done(self) -> bool:
        task = self._world.task
        if task.kind == "touch":
            return self._first_touched() == self._world.named
        if task.kind == "bowl":
            return self._settled(task)
        return task is self._stayed_for and self._stayed_s >= STAY_S - 1e-9

    def _settled(self, task: Task) -> bool:
        """Whether the named cube lies where it should, let go and at rest."""
        world, named = self._world, self._world.named
        if task.kind == "bowl":
            there = world.in_bowl(named)
        elif task.kind == "stack":
            there = world.stacked(named, world.target)
        else:
            there = world.on_square(named)
        return there and world.at_rest(named) and not world.hand_on(named)

    def _first_touched(self) -> int | None:
        named = self._world.named
        return next((i for i in self._touched if i == named or i not in self._excused), None)

    def _wrongly_stacked(self) -> bool:
        world = self._world
        wanted = (world.named, world.target)
        return any(
            world.stacked(top, below) and not world.hand_on(top)
            for top in range(NUM_CUBES)
            for below in range(NUM_CUBES)
            if top != below and (top, below) != wanted and top not in self._excused
        )

    def _fallen(self, index: int) -> bool:
        return bool(self._world.cube_pose(index)[0][2] < FALLEN_M)
