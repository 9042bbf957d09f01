"""How the suite's commands end: one line and an exit status, never a traceback for a mistake."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from a1_core.errors import A1Error

MISTAKE, INTERRUPTED = 1, 130


@contextmanager
def ends_in_one_line(name: str, console: Console, *, left: str = "") -> Iterator[None]:
    """Around all that command `name` does.

    What the user or the system did wrong (A1Error, OSError) is told in a line and ends it with 1;
    Ctrl-C ends it with 130, and `left` says what is left of the work.
    """
    try:
        yield
    except (A1Error, OSError) as error:
        told = escape(str(error))
        console.print(f"[red]{name}:[/red] {told}", highlight=False, soft_wrap=True)
        sys.exit(MISTAKE)
    except KeyboardInterrupt:
        told = f"interrupted; {left}" if left else "interrupted"
        console.print(f"{name}: {told}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(INTERRUPTED)
