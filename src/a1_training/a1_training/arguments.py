"""What the commands' options may be."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path

from a1_core.errors import A1Error

_SOURCE = re.compile(r"[\w.-]+(:[\w.-]+)?")


def whole(least: int) -> Callable[[str], int]:
    """Reads a whole number of at least `least`; argparse tells the option with the mistake."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text}: give a whole number of at least {least}")
        return value

    return read


def above_zero(text: str) -> float:
    """Reads a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: give a number above 0")
    return value


def named_folder(text: str) -> tuple[str, Path]:
    """A source's name (see `balance.SourceName`) and folder.

    Raises:
        A1Error: it is not written so.
    """
    name, found, path = text.partition("=")
    if not found or not path or not _SOURCE.fullmatch(name):
        raise A1Error(
            f"--data {text}: write NAME=DIR, with NAME of letters, digits and ._- , and a colon "
            "between data set and robot where there are several"
        )
    return name, Path(path)
