"""What set-up says: one line a stage, one message when it cannot go on, the rest in a log file."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class SetupError(RuntimeError):
    """What stops the set-up; the message says what to do about it."""


def say(text: str) -> None:
    """One line for the person who waits."""
    print(f"setup: {text}", flush=True)


def run_logged(
    command: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    env: Mapping[str, str],
    progress: Callable[[str], str | None],
) -> int:
    """Run a command, its output into `log`; shows what `progress` makes of a line, None: nothing.

    On a terminal the progress stays on one line, elsewhere it is printed at most every ten seconds.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    live = sys.stdout.isatty()
    shown_s = time.monotonic()
    with log.open("w", encoding="utf-8") as out:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        assert child.stdout is not None
        for line in child.stdout:
            out.write(line)
            text = progress(line.rstrip())
            if text is None:
                continue
            if live:
                print(f"\r\033[K  {text[:100]}", end="", flush=True)
            elif time.monotonic() - shown_s > 10:
                print(f"  {text[:100]}", flush=True)
                shown_s = time.monotonic()
        code = child.wait()
    if live:
        print("\r\033[K", end="", flush=True)
    return code


def tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log, indented."""
    kept = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return "\n".join("    " + line for line in kept)
