"""What is wrong with a bag, in words: each with where it is and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

Damaged = Callable[[str], None]
"""Told, while a file is read, what could not be read of it."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        code: what, for programs: FILE_DAMAGED, FILE_MISSING, FILE_NOT_LISTED, INDEX_MISSING,
            METADATA_MISSING, WRITE_AHEAD_LOG, TOPIC_MISSING, WRONG_TYPE, BAD_DEFINITION,
            CLOCK_WENT_BACK or NO_EPISODES.
        where: file or topic.
        what: what was found there, with values.
        mend: what to do about it.
    """

    code: str
    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.code} {self.where}: {self.what}; {self.mend}"


class Findings:
    """A list in which the same thing stands once, however often it is met."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}

    def add(self, code: str, where: str, what: str, mend: str) -> None:
        """Note a finding, unless it stands there already."""
        self._found.setdefault(Finding(code=code, where=where, what=what, mend=mend))

    def __iter__(self) -> Iterator[Finding]:
        return iter(tuple(self._found))

    def __len__(self) -> int:
        return len(self._found)
