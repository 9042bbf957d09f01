"""Discrepancies and deviations of every tick of the bags: one full-depth pass, all exits.

One thread reads and decodes, this one computes. Between them wait two batches at most, so memory
does not grow with the bags but by the few hundred bytes a tick that are the result.

Bags are read in groups, and no batch reaches from one group into the next: what is computed of a
group depends on nothing else, so groups may be computed side by side, with the same result.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from a1_calibration.recordings import Recording
from a1_calibration.request import Tell
from a1_calibration.v_file import Account, Block, VFile
from a1_core.deviation import DeviationMeter
from a1_core.errors import BagError, ThresholdsError
from a1_core.exit_plan import pair_discrepancies
from a1_core.exit_rule import starts_from_each_other
from a1_data.replay import Frame
from a1_data.report import USED
from a1_model.policy import AdaptivePolicy

WAITING_BATCHES = 2
POLL_S = 0.2
GROUP_BATCHES = 8
"""A group has at least so many batches, where there are so many: its last one is seldom full."""

Group = Mapping[int, Recording]
"""Recordings by their numbers, in order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ticks:
    """What was computed of N ticks with K exits.

    Attributes:
        V_KN: discrepancy of every exit from the one before; NaN for the first.
        pairs_KKN: of exit k from exit j at [j, k]; empty [0] where exits start from each other.
        deviation_KNC: from the full-depth chunk, robot units, see `DeviationMeter`.
        bag_N, episode_N: number of the recording, and of the episode in it.
        stamp_N: ns.
        accounts: what became of every bag.
    """

    V_KN: NDArray[np.float64]
    pairs_KKN: NDArray[np.float64]
    deviation_KNC: NDArray[np.float64]
    bag_N: NDArray[np.int64]
    episode_N: NDArray[np.int64]
    stamp_N: NDArray[np.int64]
    accounts: tuple[Account, ...]

    @property
    def count(self) -> int:
        return len(self.stamp_N)

    def episode_names(self, recordings: Sequence[Recording]) -> list[str]:
        """The episode of every tick, by name."""
        return [
            recordings[bag].episode_name(int(index))
            for bag, index in zip(self.bag_N, self.episode_N, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came of a batch: nothing in `block` where only accounts are left to be told.

    Attributes:
        accounts: of bags that ended with it.
        images: of the first camera that were read for it.
    """

    block: Block
    accounts: list[Account]
    images: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    frames: list[tuple[int, Frame]]
    accounts: list[Account]
    images: int


@dataclass(frozen=True, kw_only=True)
class Done:
    """What is computed already, by the number of the recording: whole bags, stamps of ticks."""

    accounts: Mapping[int, Account] = field(default_factory=dict)
    stamps: Mapping[int, Sequence[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, file: VFile) -> Done:
        stamps: dict[int, list[int]] = {}
        for block in file.blocks:
            for bag, stamp in zip(block["bag_N"].tolist(), block["stamp_N"].tolist(), strict=True):
                stamps.setdefault(bag, []).append(stamp)
        return cls(accounts={account.bag: account for account in file.accounts}, stamps=stamps)

    @property
    def images(self) -> int:
        """Images of the first camera in the bags that are done."""
        return sum(a.used + sum(a.not_used.values()) for a in self.accounts.values())


Measure = Callable[[Done], Generator[Measured, None, None]]
"""Computes what is not done: groups in any order, each in its own."""


def measure_batch(
    policy: AdaptivePolicy, meter: DeviationMeter, metric: str, frames: Sequence[tuple[int, Frame]]
) -> Block:
    """Arrays of a V file's block for some ticks, each with the number of its recording."""
    observations = [frame.observation for _, frame in frames]
    study = policy.all_exits(observations, metric)
    states_ND = np.stack([observation.state_D for observation in observations])
    block: Block = {
        "V_KN": study.deltas_KN,
        "deviation_KNC": meter(study.actions_KNHD, study.full_NHD, states_ND),
        "bag_N": np.array([bag for bag, _ in frames], np.int64),
        "episode_N": np.array([frame.episode.index for _, frame in frames], np.int64),
        "stamp_N": np.array([o.stamp_ns for o in observations], np.int64),
    }
    if not starts_from_each_other(policy.settings.head, policy.settings.start):
        block["pairs_KKN"] = pair_discrepancies(study.normalised_KNHD, metric)
    return block


def collect(recordings: Sequence[Recording], file: VFile, measure: Measure, tell: Tell) -> Ticks:
    """Compute what the file lacks, batch by batch.

    Raises BagError when the bags give no observation, and whatever `tell` raises; what was
    computed before is in the file.
    """
    done = Done.of(file)
    seen, total = done.images, sum(recording.bag.images for recording in recordings)
    tell("collect", seen, total)
    with closing(measure(done)) as results:
        for measured in results:
            file.append(measured.block, measured.accounts)
            seen += measured.images
            tell("collect", seen, max(total, seen))
    tell("collect", seen, seen)
    return _gather(recordings, file)


def groups_of(
    recordings: Sequence[Recording], batch: int, ticks_per_image: float
) -> Sequence[Group]:
    """The recordings, in order, in groups of some batches each."""
    groups: list[dict[int, Recording]] = []
    ticks = 0.0
    for number, recording in enumerate(recordings):
        if not groups or ticks >= GROUP_BATCHES * batch:
            groups.append({})
            ticks = 0.0
        groups[-1][number] = recording
        ticks += recording.bag.images * ticks_per_image
    return groups


def measure_here(
    policy: AdaptivePolicy,
    meter: DeviationMeter,
    metric: str,
    groups: Sequence[Group],
    batch: int,
    done: Done,
) -> Generator[Measured, None, None]:
    """Computes in this process what is not done, one group after the other."""
    stop = threading.Event()
    waiting: queue.Queue[_Batch | None] = queue.Queue(WAITING_BATCHES)
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as pool:
        reading = pool.submit(_read, groups, done, batch, waiting, stop)
        try:
            while (item := waiting.get()) is not None:
                block = measure_batch(policy, meter, metric, item.frames) if item.frames else {}
                yield Measured(block=block, accounts=item.accounts, images=item.images)
        finally:
            stop.set()
        reading.result()  # raises what stopped the reader


def _read(
    groups: Sequence[Group],
    done: Done,
    batch: int,
    waiting: queue.Queue[_Batch | None],
    stop: threading.Event,
) -> None:
    """The reading thread: batches, then None, also when it ends by an error."""
    try:
        for group in groups:
            for item in _batches(group, done, batch, stop.is_set):
                if not _put(waiting, item, stop):
                    return
    finally:
        _put(waiting, None, stop)


def _put(waiting: queue.Queue[_Batch | None], item: _Batch | None, stop: threading.Event) -> bool:
    """Hand on as soon as there is room; False when nobody waits any more."""
    while not stop.is_set():
        try:
            waiting.put(item, timeout=POLL_S)
        except queue.Full:
            continue
        return True
    return False


def _batches(group: Group, done: Done, batch: int, stopped: Callable[[], bool]) -> Iterator[_Batch]:
    frames: list[tuple[int, Frame]] = []
    accounts: list[Account] = []
    images = 0
    for number, recording in group.items():
        if number in done.accounts:
            continue
        known = done.stamps.get(number, [])
        told = 0
        for place, frame in enumerate(recording.bag.frames()):
            if stopped():
                return
            if place < len(known):
                if frame.observation.stamp_ns != known[place]:
                    raise ThresholdsError(
                        f"{recording.bag.path}: reads otherwise than when its discrepancies were "
                        "computed; compute them anew with --fresh"
                    )
                continue
            frames.append((number, frame))
            if len(frames) == batch:
                seen = recording.bag.report.ticks.total()
                yield _Batch(frames=frames, accounts=accounts, images=images + seen - told)
                frames, accounts, images, told = [], [], 0, seen
        accounts.append(_account(number, recording))
        images += recording.bag.report.ticks.total() - told
    if frames or accounts:
        yield _Batch(frames=frames, accounts=accounts, images=images)


def _account(number: int, recording: Recording) -> Account:
    ticks = dict(recording.bag.report.ticks)
    used = ticks.pop(USED, 0)
    findings = tuple(f"{f.code} {f.where}: {f.what}; {f.mend}" for f in recording.bag.findings)
    return Account(bag=number, used=used, not_used=ticks, findings=findings)


def _gather(recordings: Sequence[Recording], file: VFile) -> Ticks:
    if not file.blocks:
        first = recordings[0].bag
        raise BagError(
            f"{first.path} and {len(recordings) - 1} more bags gave no observation; "
            f"`bag_info --robot ROBOT {first.path}` says why"
        )

    # Groups may have been computed side by side; within each, blocks are in order.
    blocks = sorted(file.blocks, key=lambda block: int(block["bag_N"][0]))

    def joined(name: str, axis: int) -> NDArray:
        return np.concatenate([block[name] for block in blocks], axis=axis)

    chained = "pairs_KKN" not in file.blocks[0]
    return Ticks(
        V_KN=joined("V_KN", 1),
        pairs_KKN=np.zeros(0) if chained else joined("pairs_KKN", 2),
        deviation_KNC=joined("deviation_KNC", 1),
        bag_N=joined("bag_N", 0),
        episode_N=joined("episode_N", 0),
        stamp_N=joined("stamp_N", 0),
        accounts=tuple(sorted(file.accounts, key=lambda account: account.bag)),
    )
