"""One sentence that asks for several things, one after the other."""

import re
from collections.abc import Iterable

_THEN = ", then "
_SEAM = re.compile(r",?\s+then\s+")


def split_steps(sentence: str) -> tuple[str, ...]:
    """The parts of a sentence between its `, then `, in order; one part where it has none."""
    return tuple(_SEAM.split(sentence.strip()))


def join_steps(steps: Iterable[str]) -> str:
    """The sentence that asks for `steps` in order; what `split_steps` takes apart."""
    return _THEN.join(steps)
