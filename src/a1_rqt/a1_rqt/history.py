"""The newest numbers of a run, in memory that is taken once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Ring:
    """The newest `capacity` rows of named columns.

    Every row is written twice, a capacity apart, so that what is held is always one slice.
    """

    def __init__(self, columns: Sequence[str], capacity: int) -> None:
        self._index = {name: number for number, name in enumerate(columns)}
        self._data_CN = np.zeros((len(columns), 2 * capacity))
        self._capacity = capacity
        self._next = 0
        self._held = 0
        self.total = 0

    def __len__(self) -> int:
        return self._held

    def append(self, row_C: Sequence[float]) -> None:
        """Add a row, in place of the oldest when all are taken."""
        self._data_CN[:, self._next :: self._capacity] = np.asarray(row_C, float)[:, None]
        self._next = (self._next + 1) % self._capacity
        self._held = min(self._held + 1, self._capacity)
        self.total += 1

    def clear(self) -> None:
        """Forget the rows; `total` goes on counting."""
        self._next = self._held = 0

    def column(self, name: str) -> NDArray[np.float64]:
        """A column [n], the oldest first: a view, valid until the next append."""
        stop = self._next + self._capacity
        return self._data_CN[self._index[name], stop - self._held : stop]
