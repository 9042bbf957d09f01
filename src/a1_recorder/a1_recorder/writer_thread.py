"""The thread that writes, and the bounded queue to it: whoever hears messages never waits.

The queue holds so many bytes; what does not fit is dropped and counted. When writing fails the
episode is given up where it stands, once, and what follows is ignored.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from a1_data.definitions import Definition

DISK_CHECK_S = 0.5
REST_S = 0.02
"""Between looks at an empty queue: to wake up for each message costs more than to write it."""


class Bag(Protocol):
    """What the thread needs of a BagWriter."""

    path: Path
    counts: list[int]

    def add_channel(self, topic: str, definition: Definition) -> int:
        """One more topic."""

    def write(self, channel: int, received_ns: int, published_ns: int, data: bytes) -> None:
        """One message."""

    def flush(self) -> None:
        """Keep what was written."""

    def finish(self, custom: Mapping[str, str]) -> Path:
        """Close it."""

    def give_up(self, custom: Mapping[str, str]) -> Path:
        """Keep what can be kept."""

    def discard(self) -> None:
        """Remove it."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How an episode ended.

    Attributes:
        path: where its bag lies; None where it was discarded.
        messages: written and kept.
        failure: why it ended by itself, for a person; empty where it was asked for.
    """

    path: Path | None
    messages: int
    failure: str = ""


Custom = Callable[[], Mapping[str, str]]
Message = tuple[int, int, int, bytes]


@dataclass(frozen=True, kw_only=True)
class _Begin:
    bag: Bag
    custom: Custom


@dataclass(frozen=True, kw_only=True)
class _Call:
    step: Callable[[Bag], None]


@dataclass(frozen=True, kw_only=True)
class _End:
    discard: bool


class WriterThread:
    """Writes one bag after the other. All methods are for one other thread; none of them waits.

    Attributes:
        events: episodes that ended; `changed()` is called, in this thread, after each.
    """

    def __init__(
        self,
        *,
        queue_bytes: int,
        flush_period_s: float,
        reserve_bytes: int,
        changed: Callable[[], None],
    ) -> None:
        self.events: deque[Ended] = deque()
        self._limit = queue_bytes
        self._flush_period_s = flush_period_s
        self._reserve_bytes = reserve_bytes
        self._changed = changed
        self._queue: queue.SimpleQueue[Message | _Begin | _Call | _End | None] = queue.SimpleQueue()
        # Each is written by one thread alone, so that neither needs a lock.
        self._taken_in = 0
        self._done = 0
        self._bag: Bag | None = None
        self._custom: Custom = dict
        self._thread = threading.Thread(target=self._run, name="bag writer", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs; it ends before `close` only by a bug."""
        return self._thread.is_alive()

    @property
    def waiting_bytes(self) -> int:
        """In the queue now."""
        return self._taken_in - self._done

    def begin(self, bag: Bag, custom: Custom) -> None:
        """Messages from now on go to `bag`; `custom` gives its metadata when it ends."""
        self._queue.put(_Begin(bag=bag, custom=custom))

    def call(self, step: Callable[[Bag], None]) -> None:
        """Let the thread do something else with the bag, in its turn."""
        self._queue.put(_Call(step=step))

    def put(self, channel: int, received_ns: int, published_ns: int, data: bytes) -> bool:
        """Queue one message; False where the queue is full and it is dropped."""
        if self.waiting_bytes + len(data) > self._limit:
            return False
        self._taken_in += len(data)
        self._queue.put((channel, received_ns, published_ns, data))
        return True

    def put_always(self, channel: int, received_ns: int, data: bytes) -> None:
        """As `put`, for what must not be dropped: the few events of an episode."""
        self._taken_in += len(data)
        self._queue.put((channel, received_ns, received_ns, data))

    def end(self, *, discard: bool = False) -> None:
        """End the episode in hand after what is queued; an event says when that is done."""
        self._queue.put(_End(discard=discard))

    def close(self, timeout_s: float = 30.0) -> None:
        """Finish the episode in hand and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    # -- in the thread

    def _run(self) -> None:
        flush_at = check_at = time.monotonic() + self._flush_period_s
        while True:
            try:
                patience = max(0.0, flush_at - time.monotonic()) if self._bag else None
                item = self._queue.get(timeout=patience)
            except queue.Empty:
                item = ()  # type: ignore[assignment]
            if item is None:
                self._guarded(partial(self._end, discard=False))
                return
            if isinstance(item, _Begin):
                self._bag, self._custom = item.bag, item.custom
            elif isinstance(item, _End):
                self._guarded(partial(self._end, discard=item.discard))
            elif isinstance(item, _Call):
                if self._bag is not None:
                    self._guarded(partial(item.step, self._bag))
            elif item:
                self._guarded(partial(self._write, item))
                self._done += len(item[3])
            now_s = time.monotonic()
            if self._bag is not None and self._queue.empty():
                time.sleep(REST_S)
            if self._bag is not None and now_s >= flush_at:
                self._guarded(self._bag.flush)
                flush_at = now_s + self._flush_period_s
            if self._bag is not None and now_s >= check_at:
                check_at = now_s + DISK_CHECK_S
                self._guarded(self._check_disk)

    def _write(self, message: Message) -> None:
        if self._bag is not None:
            self._bag.write(*message)

    def _end(self, *, discard: bool, failure: str = "") -> None:
        bag = self._bag
        if bag is None:
            return
        if discard:
            bag.discard()
            ended = Ended(path=None, messages=0)
        else:
            path = bag.finish(self._custom())
            ended = Ended(path=path, messages=sum(bag.counts), failure=failure)
        self._tell(ended)

    def _check_disk(self) -> None:
        assert self._bag is not None
        left = disk_left(self._bag.path)
        if left < self._reserve_bytes:
            failure = (
                f"{left / 1e6:.0f} MB are left on the disk, less than the reserve of "
                f"{self._reserve_bytes / 1e6:.0f} MB; free space, then start again"
            )
            self._end(discard=False, failure=failure)

    def _guarded(self, step: Callable[[], object]) -> None:
        try:
            step()
        except OSError as error:
            bag = self._bag
            assert bag is not None
            path = bag.give_up(self._custom())
            failure = (
                f"{error.strerror or error} while writing {path}; see to the disk, then start again"
            )
            self._tell(Ended(path=path, messages=sum(bag.counts), failure=failure))

    def _tell(self, ended: Ended) -> None:
        self._bag = None
        self.events.append(ended)
        self._changed()


def disk_left(path: Path) -> int:
    """Bytes that this process may still write where `path` lies, or will."""
    while not path.exists() and path != path.parent:
        path = path.parent
    answer = os.statvfs(path)
    return answer.f_bavail * answer.f_frsize
