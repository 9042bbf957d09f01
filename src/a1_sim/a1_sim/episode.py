"""What the simulator knows of the episode in hand."""

from dataclasses import dataclass, replace

from a1_world.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One episode; success and failure are final, and the first of them counts."""

    number: int
    seed: int
    task: Task
    start_ns: int
    success: bool = False
    failed: bool = False

    @property
    def running(self) -> bool:
        """Whether it is not decided yet."""
        return not (self.success or self.failed)

    def judged(self, *, success: bool, failed: bool) -> "Episode":
        """The episode after a look at the world."""
        if not self.running or not (success or failed):
            return self
        return replace(self, success=success, failed=failed and not success)

    def elapsed_s(self, now_ns: int) -> float:
        """Simulated seconds since the reset."""
        return (now_ns - self.start_ns) * 1e-9
