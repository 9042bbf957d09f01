"""What the simulator knows of the episode in hand."""

from dataclasses import dataclass, replace

from a1_world.tasks import Task, join_steps


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One episode: `steps` to be done in that order, of which `steps_done` are.

    Success and failure are final, and the first of them counts.
    """

    number: int
    seed: int
    steps: tuple[Task, ...]
    start_ns: int
    steps_done: int = 0
    failed: bool = False

    @property
    def success(self) -> bool:
        """Whether everything is done."""
        return self.steps_done == len(self.steps)

    @property
    def running(self) -> bool:
        """Whether it is not decided yet."""
        return not (self.success or self.failed)

    @property
    def task(self) -> Task:
        """The task in hand; at the end the last one."""
        return self.steps[min(self.steps_done, len(self.steps) - 1)]

    @property
    def instruction(self) -> str:
        """All that is to be done, in one sentence."""
        return join_steps(self.steps)

    def judged(self, *, steps_done: int, failed: bool) -> "Episode":
        """The episode after a look at the world."""
        if not self.running:
            return self
        return replace(self, steps_done=steps_done, failed=failed and steps_done < len(self.steps))

    def elapsed_s(self, now_ns: int) -> float:
        """Simulated seconds since the reset."""
        return (now_ns - self.start_ns) * 1e-9
