"""Which episodes of a data set can be used, and which of their frames nothing happens in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import DatasetError
from a1_data.lerobot.columns import Columns
from a1_data.lerobot.dataset import Dataset, Episode, Rows
from a1_data.lerobot.video import video_seconds

STILL = 1e-3
"""Rad, m or share of a gripper's travel: a smaller change from frame to frame is no motion."""

BROKEN = {
    "VIDEO_MISSING": "a video file is not there; copy the data set whole",
    "VIDEO_SHORT": "a video ends before the episode; encode it anew",
    "UNREADABLE": "its numbers cannot be read; copy the data set whole",
    "NON_FINITE": "a state or an action is NaN or infinite; leave the episode out",
    "OTHER_RATE": "its timestamps are not 1 / fps apart; write it at one rate",
    "TOO_SHORT": "it has fewer frames than were asked for",
    "FAILURE": "it is labelled a failure, and only others were asked for",
    "STILL": "nothing moves in it",
}
"""Why an episode is left out."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What an episode has to be like.

    Attributes:
        min_frames: a shorter one is left out.
        failures: keep those that are labelled a failure.
        still: keep those in which nothing moves.
        strict: raise DatasetError for the first broken one instead of leaving it out.
    """

    min_frames: int = 2
    failures: bool = True
    still: bool = True
    strict: bool = False


@dataclass
class Dropped:
    """What was left out: counts by reason, and the first case of each in words."""

    counts: Counter[str] = field(default_factory=Counter)
    details: dict[str, str] = field(default_factory=dict)

    def note(self, reason: str, detail: str, count: int = 1) -> None:
        """Count so many more."""
        self.counts[reason] += count
        self.details.setdefault(reason, detail)


def sound_episodes(
    dataset: Dataset, columns: Columns, wanted: Wanted, dropped: Dropped
) -> Iterator[tuple[Episode, Rows]]:
    """The episodes that can be used, with their rows in the robot's columns.

    Pictures are not decoded: a damaged one is found when it is read.

    Raises:
        DatasetError: `wanted.strict` and one cannot be used.
    """
    seconds = lru_cache(None)(video_seconds)
    for episode in dataset.episodes:
        reason, detail, rows = "", "", None
        try:
            rows = columns.robot_rows(dataset.rows(episode))
            reason, detail = _video_fault(dataset, columns, episode, seconds)
        except DatasetError as error:
            reason, detail = "UNREADABLE", str(error)
        if rows is not None and not reason:
            reason, detail = _rows_fault(dataset, rows) or _unwanted(episode, rows, wanted)
        if rows is not None and not reason:
            yield episode, rows
            continue
        where = f"{dataset.path}: episode {episode.index}"
        told = f"{where}: {detail or BROKEN[reason]}"
        if wanted.strict:
            raise DatasetError(f"{reason}: {told}")
        dropped.note(reason, told)


def still_frames(state_TD: NDArray[np.floating], action_TD: NDArray[np.floating]) -> NDArray:
    """bool [T]: neither state nor action changes by more than STILL, before or after."""
    moves_T = np.zeros(len(state_TD) + 1, bool)
    for values in (state_TD, action_TD):
        moves_T[1:-1] |= (np.abs(np.diff(values, axis=0)) > STILL).any(axis=1)
    return ~(moves_T[:-1] | moves_T[1:])


def still_ends(still_T: NDArray, keep: int = 1) -> tuple[int, int]:
    """(first, end) frames of an episode whose still head and tail are cut to `keep` frames.

    An episode in which nothing moves at all stays whole.
    """
    moving = np.flatnonzero(~still_T)
    if not len(moving):
        return 0, len(still_T)
    return max(0, int(moving[0]) - keep), min(len(still_T), int(moving[-1]) + 1 + keep)


def _video_fault(
    dataset: Dataset, columns: Columns, episode: Episode, seconds: Callable[[Path], float]
) -> tuple[str, str]:
    for key in columns.cameras.values():
        if key not in episode.videos:
            continue
        part = episode.videos[key]
        if not part.path.is_file():
            return "VIDEO_MISSING", f"{part.path} is not there; copy the data set whole"
        end_s = part.from_s + episode.length / dataset.info.fps
        if seconds(part.path) < end_s - 0.5 / dataset.info.fps:
            ends = f"ends at {seconds(part.path):.3f} s, the episode at {end_s:.3f} s"
            return "VIDEO_SHORT", f"{part.path} {ends}; encode it anew"
    return "", ""


def _rows_fault(dataset: Dataset, rows: Rows) -> tuple[str, str] | None:
    if not rows.tasks:
        return "TOO_SHORT", "it has no frames"
    for name, values in (("state", rows.state_TD), ("action", rows.action_TD)):
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            frame, column = bad[0]
            found = f"{name} is {values[frame, column]} at frame {frame}, column {column}"
            return "NON_FINITE", f"{found}; leave the episode out"
    nominal_T = rows.timestamp_T[0] + np.arange(len(rows.tasks)) / dataset.info.fps
    away_s = float(np.abs(rows.timestamp_T - nominal_T).max())
    if not away_s <= 0.5 / dataset.info.fps:  # NaN is no time either
        found = f"timestamps are up to {away_s:.3f} s from {dataset.info.fps} frames a second"
        return "OTHER_RATE", f"{found}; write it at one rate"
    return None


def _unwanted(episode: Episode, rows: Rows, wanted: Wanted) -> tuple[str, str]:
    if len(rows.tasks) < wanted.min_frames:
        return "TOO_SHORT", f"{len(rows.tasks)} frames, wanted {wanted.min_frames}"
    if not wanted.failures and episode.outcome == "failure":
        return "FAILURE", ""
    if not wanted.still and still_frames(rows.state_TD, rows.action_TD).all():
        return "STILL", ""
    return "", ""
