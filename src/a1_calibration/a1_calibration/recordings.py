"""The bags of a calibration, with names that decide what is fitted and what is certified on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from a1_core.episode_loss import split_episodes
from a1_core.errors import BagError
from a1_core.spec import RobotSpec
from a1_data.reader import Bag, ReadSettings, open_bags


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """One bag.

    Attributes:
        name: path below the folder that was named; its episodes are `name#index`.
        held_out: it was named for the certificate; None where episodes are split by their names.
    """

    name: str
    bag: Bag
    held_out: bool | None

    def episode_name(self, index: int) -> str:
        """Name of an episode of it."""
        return f"{self.name}#{index}"


def open_recordings(
    fit_bags: Sequence[Path],
    certify_bags: Sequence[Path],
    spec: RobotSpec,
    settings: ReadSettings,
) -> tuple[Recording, ...]:
    """All bags below the folders named, in order of their paths.

    Raises BagError when there is none, when one cannot be read at all, or when two have the same
    name or the same content: copies are no evidence.
    """
    roots = [(path, False) for path in fit_bags] + [(path, True) for path in certify_bags]
    found: list[Recording] = []
    digests: dict[str, Path] = {}
    names: dict[str, Path] = {}
    for root, held_out in roots:
        for bag in open_bags(root, spec, settings):
            name = _name(bag.path, root, alone=len(roots) == 1)
            if name in names:
                raise BagError(
                    f"{bag.path}: is called '{name}' as is {names[name]}; name folders that differ"
                )
            if bag.digest in digests:
                raise BagError(
                    f"{bag.path}: has the content of {digests[bag.digest]}; copies are no "
                    "evidence, remove one"
                )
            names[name] = digests[bag.digest] = bag.path
            recording = Recording(name=name, bag=bag, held_out=held_out if certify_bags else None)
            found.append(recording)
    return tuple(found)


def _name(path: Path, root: Path, *, alone: bool) -> str:
    below = path.resolve().relative_to(root.resolve())
    start = Path() if alone and below != Path() else Path(root.resolve().name)
    return (start / below).as_posix()


@dataclass(frozen=True, kw_only=True)
class Split:
    """Names of the episodes to fit on and of those kept from it."""

    fit: tuple[str, ...]
    held_out: tuple[str, ...]


def split(
    recordings: Sequence[Recording], names: Sequence[str], certify_share: float, *, needed: bool
) -> Split:
    """Which episodes are fitted on: as the bags were named, else by the SHA-256 of their names.

    Args:
        names: of the episodes that gave observations, in order.
        needed: whether a part has to be held out; without, one episode is fitted on alone.

    Raises ThresholdsError when one side would be empty.
    """
    if any(recording.held_out is not None for recording in recordings):
        held_bags = {recording.name for recording in recordings if recording.held_out}
        held = tuple(name for name in names if name.rpartition("#")[0] in held_bags)
        fit = tuple(name for name in names if name not in set(held))
        if not held or not fit:
            side = "certify on" if not held else "fit on"
            raise BagError(f"the bags to {side} gave no observation; look with bag_info")
        return Split(fit=fit, held_out=held)
    if len(names) < 2 and not needed:
        return Split(fit=tuple(names), held_out=())
    fit, held = split_episodes(names, certify_share)
    return Split(fit=fit, held_out=held)


def pictures_of(
    recordings: Sequence[Recording], wanted: Sequence[tuple[int, int, int]]
) -> Iterator[tuple[tuple[int, int, int], dict]]:
    """Images of ticks given as (bag, episode, stamp); reads their bags once more."""
    for number in sorted({bag for bag, _, _ in wanted}):
        left = {tick for tick in wanted if tick[0] == number}
        for frame in recordings[number].bag.frames():
            tick = (number, frame.episode.index, frame.observation.stamp_ns)
            if tick in left:
                left.discard(tick)
                yield tick, dict(frame.observation.images)
            if not left:
                break
