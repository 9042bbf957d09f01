"""The one thread that owns the model: newest job in, nothing waits for it."""

import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

Job = TypeVar("Job")


class Worker(Generic[Job]):
    """Runs `work(job)` in a thread of its own. The mailbox holds one job, the newest.

    When it is empty, after a job and after `wake`, `idle()` is called, and again as long as it
    returns true and no job came; a job that comes meanwhile waits for its return.

    What `work` or `idle` raises is a bug: it is reported through `failed(text)` and the worker
    takes no further job.
    """

    def __init__(
        self,
        work: Callable[[Job], None],
        failed: Callable[[str], None],
        idle: Callable[[], bool] = lambda: False,
    ) -> None:
        self._work = work
        self._idle = idle
        self._failed = failed
        self._condition = threading.Condition()
        self._mailbox: Job | None = None
        self._busy = False
        self._woken = False
        self._stopping = False
        self._broken = False
        self.replaced = 0
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, job: Job) -> bool:
        """Leave a job, in place of one that was not begun; False when the worker is broken."""
        with self._condition:
            if self._broken or self._stopping:
                return False
            if self._mailbox is not None:
                self.replaced += 1
            self._mailbox = job
            self._condition.notify()
            return True

    def replace(self, job: Job) -> bool:
        """Leave a job in place of one that was not begun; False where there is none."""
        with self._condition:
            if self._mailbox is None:
                return False
            self.replaced += 1
            self._mailbox = job
            return True

    def wake(self) -> None:
        """Let `idle` look again: there may be something to do between jobs."""
        with self._condition:
            self._woken = True
            self._condition.notify()

    @property
    def busy(self) -> bool:
        """Whether a job is running or waiting."""
        with self._condition:
            return self._busy or self._mailbox is not None

    @property
    def waits(self) -> bool:
        """Whether a job is there that was not begun."""
        with self._condition:
            return self._mailbox is not None

    @property
    def broken(self) -> bool:
        """Whether `work` raised."""
        return self._broken

    def stop(self) -> None:
        """Finish the job that runs, then end the thread. Fine on a worker that never started."""
        with self._condition:
            self._stopping = True
            self._mailbox = None
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        more = False
        while self._wait(more):
            with _Breaking(self):
                more = self._turn()
            if self._broken:
                return

    def _wait(self, more: bool) -> bool:
        """Until there is something to do; False when there is nothing more to come."""
        with self._condition:
            while not (more or self._woken or self._mailbox is not None or self._stopping):
                self._condition.wait()
            self._woken = False
            return not self._stopping

    def _turn(self) -> bool:
        """A job if there is one, else what there is to do between jobs; whether to go on."""
        with self._condition:
            job, self._mailbox = self._mailbox, None
            self._busy = job is not None
        if job is None:
            return self._idle()
        self._work(job)
        with self._condition:
            self._busy = False
        return True

    def _break(self, text: str) -> None:
        with self._condition:
            self._broken = True
            self._busy = False
            self._mailbox = None
        self._failed(text)


class _Breaking:
    """Marks the worker broken by what the work raised, so that the node can say so."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            return False
        self._worker._break("".join(traceback.format_exception(kind, error, trace)))
        return True
