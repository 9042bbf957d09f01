"""Who drove the robot in the frames of an episode, as meta/a1.json holds it.

By the `source` that the controller told: "policy", "teleop", "takeover", "script"; empty where
nobody knows. Frames follow each other in few stretches, which are written as [first frame, name].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from a1_core.chunk import Source

Drivers = tuple[tuple[int, str], ...]
"""Stretches of an episode: the first frame of each, and who drove from there on."""
NAMES = {int(source): source.name.lower() for source in Source}
NUMBERS = {name: number for number, name in NAMES.items()}
POLICY, TAKEOVER = NAMES[Source.POLICY], NAMES[Source.TAKEOVER]


def stretches(names_T: Iterable[str]) -> Drivers:
    """The names of all frames, as stretches; none where no name is known."""
    found: list[tuple[int, str]] = []
    for frame, name in enumerate(names_T):
        if not found or found[-1][1] != name:
            found.append((frame, name))
    return () if all(not name for _, name in found) else tuple(found)


def names_of(drivers: Drivers, length: int) -> tuple[str, ...]:
    """Stretches as the names of all frames [T]; empty ones where nothing is told."""
    names_T = [""] * length
    for frame, name in drivers:
        names_T[frame:] = [name] * (length - frame)
    return tuple(names_T)


def corrected(names_T: Sequence[str]) -> bool:
    """Whether a person took over from a policy."""
    return TAKEOVER in names_T and POLICY in names_T
