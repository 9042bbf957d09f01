"""How this package's commands end: one line and an exit code, never a traceback for a mistake."""

import sys
from collections.abc import Callable

from rich.console import Console
from rich.markup import escape

from a1_core.errors import A1Error

INTERRUPTED = 130


def run_command(name: str, work: Callable[[Console], None], *, interrupted: str) -> None:
    """Does `work`; exits with 1 on an A1Error, and with 130 and `interrupted` on Ctrl-C."""
    console = Console()
    try:
        work(console)
    except A1Error as error:
        console.print(f"[red]{name}:[/red] {escape(str(error))}", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print(f"{name}: {interrupted}")
        sys.exit(INTERRUPTED)
