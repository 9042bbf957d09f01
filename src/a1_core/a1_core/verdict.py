"""What the controller answers to a chunk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class VerdictCode(IntEnum):
    """Values are the constants of ChunkVerdict.code on the wire."""

    ACCEPTED = 0
    SHADOW = 1
    NOT_ARMED = 2
    STOPPED = 3
    FAULT = 4
    NOT_SOURCE = 5
    STALE = 6
    OUT_OF_ORDER = 7
    WRONG_ROBOT = 8
    WRONG_SPEC = 9
    WRONG_SPACE = 10
    WRONG_SHAPE = 11
    NON_FINITE = 12
    LIMIT = 13
    WORKSPACE = 14
    STEP = 15
    SELF_COLLISION = 16


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One code, and for a person what was wrong with which values."""

    code: VerdictCode
    detail: str = ""

    @property
    def accepted(self) -> bool:
        return self.code is VerdictCode.ACCEPTED
