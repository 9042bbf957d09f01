"""Statistics of a data set's features, as meta/stats.json and meta/episodes hold them.

Numbers: exact, by column. Pictures: by channel, 0..1, of every frame, thinned out to about 128
pixels a side. LeRobot makes the same of samples and histograms (compute_stats.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
THINNED_PX = 128
Statistics = Mapping[str, NDArray[np.generic]]


def number_statistics(values: NDArray[np.generic]) -> Statistics:
    """Of [N] or [N, ...] numbers: one entry a column, [1] where a frame has one number."""
    values = values[:, None] if values.ndim == 1 else values
    rows = np.asarray(values, np.float64)
    found: dict[str, NDArray[np.generic]] = {
        "min": values.min(axis=0),
        "max": values.max(axis=0),
        "mean": rows.mean(axis=0),
        "std": rows.std(axis=0),
        "count": np.array([len(rows)]),
    }
    quantiles = np.quantile(rows, list(QUANTILES.values()), axis=0)
    return found | dict(zip(QUANTILES, quantiles, strict=True))


class PictureStatistics:
    """Counts of every value of every channel, so that all else can be made of them exactly."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, 256), np.int64)
        self._frames = 0

    def add(self, rgb: NDArray[np.uint8]) -> None:
        """Take one picture [h, w, 3]."""
        step = max(1, min(rgb.shape[:2]) // THINNED_PX)
        for channel in range(3):
            values = rgb[::step, ::step, channel].reshape(-1)
            self._counts[channel] += np.bincount(values, minlength=256)
        self._frames += 1

    def merge(self, other: PictureStatistics) -> None:
        """Take what another one counted."""
        self._counts += other._counts
        self._frames += other._frames

    def statistics(self) -> Statistics:
        """[3, 1, 1] each, but for `count`, which is of frames."""
        levels = np.arange(256) / 255.0
        share = self._counts / self._counts.sum(axis=1, keepdims=True)
        mean = share @ levels
        seen = self._counts > 0
        found: dict[str, NDArray[np.generic]] = {
            "min": levels[seen.argmax(axis=1)],
            "max": levels[255 - seen[:, ::-1].argmax(axis=1)],
            "mean": mean,
            "std": np.sqrt(np.maximum(share @ levels**2 - mean**2, 0.0)),
        }
        below = share.cumsum(axis=1)
        for name, quantile in QUANTILES.items():
            found[name] = levels[(below >= quantile - 1e-12).argmax(axis=1)]
        shaped: dict[str, NDArray[np.generic]] = {
            name: value.reshape(3, 1, 1) for name, value in found.items()
        }
        return shaped | {"count": np.array([self._frames])}


def joined(parts: Sequence[NDArray[np.generic]]) -> Statistics:
    """Of the numbers of several episodes together."""
    return number_statistics(np.concatenate(parts))
