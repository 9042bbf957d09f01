"""Which source a sample comes from: no data set and no robot outweighs the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SourceName:
    """What a source is of, written `dataset` or `dataset:embodiment`.

    Attributes:
        dataset: collected together.
        embodiment: the robot, empty when the data set has one only.
    """

    dataset: str
    embodiment: str

    @classmethod
    def parse(cls, name: str) -> SourceName:
        """From its written form."""
        dataset, _, embodiment = name.partition(":")
        return cls(dataset=dataset, embodiment=embodiment)


def balanced_mixture(names: Collection[str]) -> dict[str, float]:
    """Weights, in sum 1: first all data sets weigh the same, then the robots within each.

    The paper's sampling: sizes do not matter.
    """
    robots = Counter(SourceName.parse(name).dataset for name in names)
    return {name: 1.0 / len(robots) / robots[SourceName.parse(name).dataset] for name in names}
