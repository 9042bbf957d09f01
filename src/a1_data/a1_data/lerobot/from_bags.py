"""Bags to the episodes of a data set: the live node's observations, at the policy's rate.

A bag is passed over twice: first for states, commands and stamps, from which it is decided what
becomes of every episode, then for the pictures of the frames that are kept.

Frames lie on a grid whose first point is the first tick at which anything was commanded. A point
takes the tick nearest to it, half a period away at most; its state is that of the tick, its action
what was commanded at the tick.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import DatasetError
from a1_core.spec import RobotSpec
from a1_data.commands import TOPIC, Commands
from a1_data.lerobot.drivers import NAMES, Drivers, stretches
from a1_data.lerobot.episode_filters import still_ends, still_frames
from a1_data.lerobot.writer import Frame
from a1_data.reader import Bag

NS_PER_S = 1_000_000_000

LEFT_OUT = {
    "NO_FRAMES": "no observation was made in it; see the streams",
    "CLOCK_WENT_BACK": "its stamps are not in order; look at the clocks of robot and cameras",
    "NO_COMMAND": f"nobody commanded the robot on {TOPIC} in it, or not all the time; export with "
    "--action measured to take the robot's own motion for it",
    "GAP": "observations are missing for longer than may be filled; see the streams, or allow more "
    "with --fill",
    "TOO_SHORT": "it has fewer frames than were asked for",
    "FAILURE": "it is labelled a failure, and only others were asked for",
    "STILL": "nothing moves in it",
}
"""Why an episode of a bag is left out."""


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """How bags become episodes.

    Attributes:
        fps: frames a second; by default the policy's rate.
        action: "commanded" takes what the controller sent, "measured" where the robot was one
            frame later.
        fill: so many missing frames in a row repeat the nearest observation; more end the episode
            as broken.
        trim: cut the still head and tail of an episode to one frame.
        min_frames: a shorter episode is left out.
        failures: keep episodes that are labelled a failure.
        still: keep episodes in which nothing moves.
    """

    fps: int
    action: Literal["commanded", "measured"] = "commanded"
    fill: int = 1
    trim: bool = False
    min_frames: int = 2
    failures: bool = True
    still: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What becomes of one episode of a bag.

    Attributes:
        episode: its place in the bag.
        outcome, instruction: as recorded; the instruction at its first frame.
        stamps_T: ticks that its frames take, one for every frame.
        grid_ns: stamp of the first frame on the grid.
        state_TD, action_TD: float32, rows of the frames.
        drivers: who drove, by stretches of frames; empty where the bag does not tell.
        repeated: frames that repeat an observation.
        away_ns: largest distance of a tick from its place on the grid.
        gap: missing frames in a row, at most.
        still_T: bool, frames in which nothing moves.
        trimmed: still frames that were cut off at its ends.
        left_out: why it is not written, a key of LEFT_OUT; empty where it is.
        detail: the same in words.
    """

    episode: int
    outcome: str
    instruction: str
    stamps_T: tuple[int, ...]
    grid_ns: int
    state_TD: NDArray[np.float32]
    action_TD: NDArray[np.float32]
    drivers: Drivers
    repeated: int
    away_ns: int
    gap: int
    still_T: NDArray[np.bool_]
    trimmed: int
    left_out: str
    detail: str

    @property
    def frames(self) -> int:
        return len(self.stamps_T)


def policy_fps(spec: RobotSpec) -> int:
    """Frames a second of the robot's policy; DatasetError where that is no whole number."""
    fps = 1.0 / spec.policy.period_s
    if abs(fps - round(fps)) > 1e-6:
        raise DatasetError(
            f"{spec.path}: policy.period_s {spec.policy.period_s} is {fps:.3f} frames a second; a "
            "data set has a whole number: give --fps"
        )
    return round(fps)


def plan_bag(bag: Bag, spec: RobotSpec, settings: ExportSettings) -> list[Plan]:
    """What becomes of every episode of a bag; one pass over it, without keeping pictures."""
    commands = Commands(bag.files, spec) if settings.action == "commanded" else None
    ticks: dict[int, list[tuple[int, NDArray[np.float32], str]]] = {}
    for frame in bag.frames():
        seen = frame.observation
        ticks.setdefault(frame.episode.index, []).append(
            (seen.stamp_ns, seen.state_D, seen.instruction)
        )
    plans = []
    for account in bag.report.episodes:
        episode = account.episode
        found = ticks.get(episode.index, [])
        plan = _plan(episode.index, episode.outcome, found, commands, settings)
        reasons = (f"{what}: {account.ticks.details[what]}" for what in account.ticks.not_used)
        if plan.left_out == "NO_FRAMES":
            plan = replace(plan, detail=next(reasons, plan.detail))
        plans.append(plan)
    return plans


def write_frames(bag: Bag, plans: Sequence[Plan]) -> Iterator[tuple[Plan, Iterator[Frame]]]:
    """The frames of every episode that is written; each is to be used up before the next."""
    wanted = {plan.episode: plan for plan in plans if not plan.left_out}
    observations = bag.frames()
    frame = next(observations, None)
    while frame is not None:
        plan = wanted.pop(frame.episode.index, None)
        if plan is None:
            frame = next(observations, None)
            continue

        def of_episode(plan: Plan = plan) -> Iterator[Frame]:
            nonlocal frame
            place = 0
            while frame is not None and place < plan.frames:
                seen = frame.observation
                while place < plan.frames and plan.stamps_T[place] == seen.stamp_ns:
                    yield Frame(
                        images=seen.images,
                        state_D=plan.state_TD[place],
                        action_D=plan.action_TD[place],
                        task=seen.instruction,
                    )
                    place += 1
                frame = next(observations, None)

        yield plan, of_episode()


class _Grid(NamedTuple):
    """Places of ticks, one a frame; the longest run of frames that have none of their own, how
    many these are, and how far a tick lies from its frame at most.
    """

    places: list[int]
    gap: int = 0
    repeated: int = 0
    away_ns: int = 0


def _plan(
    index: int,
    outcome: str,
    ticks: Sequence[tuple[int, NDArray[np.float32], str]],
    commands: Commands | None,
    settings: ExportSettings,
) -> Plan:
    period_ns = round(NS_PER_S / settings.fps)
    stamps = [stamp_ns for stamp_ns, _, _ in ticks]
    in_order = all(earlier < later for earlier, later in pairwise(stamps))
    first, end = _commanded_part(stamps, commands) if in_order else (0, 0)
    grid = _on_grid(stamps[first:end], period_ns)
    chosen = [first + place for place in grid.places]
    state_TD = np.array([ticks[place][1] for place in chosen], np.float32)
    action_TD = _actions([stamps[place] for place in chosen], state_TD, commands)
    silent, action_TD = action_TD is None, state_TD if action_TD is None else action_TD
    still_T = still_frames(state_TD, action_TD) if chosen else np.zeros(0, bool)
    begin, end = still_ends(still_T) if settings.trim and chosen else (0, len(chosen))
    reasons = {
        "NO_FRAMES": not ticks,
        "CLOCK_WENT_BACK": not in_order,
        "NO_COMMAND": not chosen or silent,
        "GAP": grid.gap > settings.fill,
        "TOO_SHORT": end - begin < settings.min_frames,
        "FAILURE": outcome == "failure" and not settings.failures,
        "STILL": bool(still_T.all()) and not settings.still,
    }
    left_out = next((reason for reason, holds in reasons.items() if holds), "")
    return Plan(
        episode=index,
        outcome=outcome,
        instruction=ticks[chosen[0]][2] if chosen else "",
        stamps_T=tuple(stamps[place] for place in chosen[begin:end]),
        grid_ns=stamps[first] + begin * period_ns if chosen else 0,
        state_TD=state_TD[begin:end],
        action_TD=action_TD[begin:end],
        drivers=_drivers([stamps[place] for place in chosen[begin:end]], commands),
        repeated=grid.repeated,
        away_ns=grid.away_ns,
        gap=grid.gap,
        still_T=still_T,
        trimmed=len(chosen) - (end - begin),
        left_out=left_out,
        detail=LEFT_OUT.get(left_out, ""),
    )


def _commanded_part(stamps: Sequence[int], commands: Commands | None) -> tuple[int, int]:
    """From the first tick at which anything was commanded to after the last."""
    if commands is None:
        return 0, len(stamps)
    given = [place for place, stamp_ns in enumerate(stamps) if commands.at(stamp_ns) is not None]
    return (given[0], given[-1] + 1) if given else (0, 0)


def _actions(
    stamps: Sequence[int], state_TD: NDArray[np.float32], commands: Commands | None
) -> NDArray[np.float32] | None:
    """float32 [T, D]; None where nothing was commanded at one of the stamps."""
    if commands is None:
        return np.concatenate([state_TD[1:], state_TD[-1:]])
    actions = [commands.at(stamp_ns) for stamp_ns in stamps]
    if any(action is None for action in actions):
        return None
    return np.array(actions, np.float32).reshape(state_TD.shape)


def _drivers(stamps: Sequence[int], commands: Commands | None) -> Drivers:
    sources = [None if commands is None else commands.source_at(stamp_ns) for stamp_ns in stamps]
    return stretches("" if source is None else NAMES.get(source, "") for source in sources)


def _on_grid(stamps: Sequence[int], period_ns: int) -> _Grid:
    """A tick for every frame from the first stamp to the last."""
    places: list[int] = []
    missing = gap = repeated = away_ns = 0
    own = -1
    last_ns = stamps[-1] + period_ns // 4 if stamps else 0
    for point_ns in range(stamps[0], last_ns + 1, period_ns) if stamps else ():
        place = _nearest(stamps, point_ns)
        distance_ns = abs(stamps[place] - point_ns)
        if distance_ns <= period_ns // 2 and place > own:
            own, missing, away_ns = place, 0, max(away_ns, distance_ns)
        else:
            missing, repeated = missing + 1, repeated + 1
            # Never back in time, so that one pass over the bag finds them all in order.
            place = max(place, places[-1])
        gap = max(gap, missing)
        places.append(place)
    return _Grid(places, gap, repeated, away_ns)


def _nearest(stamps: Sequence[int], point_ns: int) -> int:
    after = bisect_left(stamps, point_ns)
    if after == 0:
        return 0
    if after == len(stamps):
        return after - 1
    return after if stamps[after] - point_ns < point_ns - stamps[after - 1] else after - 1
