"""Faults that a person or a test can switch on while the simulator runs."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Which sensors lie or are silent."""

    cameras_frozen: frozenset[str] = frozenset()
    cameras_silent: frozenset[str] = frozenset()
    joint_states_silent: bool = False


def names(values: Iterable[str]) -> frozenset[str]:
    """Camera names of a parameter; the empty string, which ROS needs to type an array, is none."""
    return frozenset(value for value in values if value)
