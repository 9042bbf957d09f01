"""The recent past of one stream, ordered by header stamp."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value")


class Stamped(NamedTuple, Generic[Value]):
    """A value and the header stamp it came with."""

    stamp_ns: int
    value: Value


class StreamBuffer(Generic[Value]):
    """At most `capacity` newest values; the oldest one makes room for a new one.

    Attributes:
        late: values refused because they were not newer than the newest.
    """

    def __init__(self, capacity: int):
        if capacity < 1:
            raise ValueError(f"capacity {capacity} must be at least 1")
        self._capacity = capacity
        self._stamps: list[int] = []
        self._values: list[Value] = []
        self.late = 0

    def __len__(self) -> int:
        return len(self._stamps)

    def push(self, stamp_ns: int, value: Value) -> bool:
        """Appends; False, and counted as late, when the stamp is not newer than the newest."""
        if self._stamps and stamp_ns <= self._stamps[-1]:
            self.late += 1
            return False
        if len(self._stamps) == self._capacity:
            del self._stamps[0], self._values[0]
        self._stamps.append(stamp_ns)
        self._values.append(value)
        return True

    @property
    def newest(self) -> Stamped[Value] | None:
        """The last value, or None when nothing has come yet."""
        return self._at(len(self._stamps) - 1)

    def at_or_before(self, stamp_ns: int) -> Stamped[Value] | None:
        """The newest value that is not newer than `stamp_ns`."""
        return self._at(bisect_right(self._stamps, stamp_ns) - 1)

    def nearest(self, stamp_ns: int) -> Stamped[Value] | None:
        """The value closest in time; the earlier one of two equally close."""
        before, after = self.bracket(stamp_ns)
        if before is None or after is None:
            return before or after
        earlier = stamp_ns - before.stamp_ns <= after.stamp_ns - stamp_ns
        return before if earlier else after

    def bracket(self, stamp_ns: int) -> tuple[Stamped[Value] | None, Stamped[Value] | None]:
        """The values just before (or at) and just after (or at) `stamp_ns`."""
        return self.at_or_before(stamp_ns), self._at(bisect_left(self._stamps, stamp_ns))

    def recent(self) -> list[Stamped[Value]]:
        """All values, oldest first."""
        return [Stamped(*pair) for pair in zip(self._stamps, self._values, strict=True)]

    def clear(self) -> None:
        """Forgets all values, not the count of late ones."""
        self._stamps.clear()
        self._values.clear()

    def _at(self, index: int) -> Stamped[Value] | None:
        if not 0 <= index < len(self._stamps):
            return None
        return Stamped(self._stamps[index], self._values[index])
