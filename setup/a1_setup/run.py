"""The stages in order, under a lock, so that two commands at once do not build over each other."""

import argparse
import fcntl
import time
from pathlib import Path
from typing import TextIO

from a1_setup import environment, machine, workspace
from a1_setup.console import SetupError, say


def main(arguments: list[str]) -> int:
    """Exit status: 0 when everything is ready."""
    parser = argparse.ArgumentParser(prog="setup/setup.sh", description=__doc__)
    parser.add_argument("--ros", type=Path, help="prefix of the installed ROS 2 that is sourced")
    options = parser.parse_args(arguments)
    root = Path(__file__).resolve().parents[2]
    begin_s = time.monotonic()
    try:
        with _locked(root / "log" / "setup.lock"):
            machine.ensure_packages()
            here = environment.Environment(
                root=root, ros=options.ros or environment.noted_ros(root)
            )
            environment.ensure(here)
            workspace.ensure(here)
    except SetupError as error:
        print(f"setup: {error}", flush=True)
        return 1
    except OSError as error:
        print(f"setup: {error}: is the clone on a disk that has room and that you may write to?")
        return 1
    if time.monotonic() - begin_s > 5:
        say(f"ready after {time.monotonic() - begin_s:.0f} s")
    return 0


def _locked(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = path.open("w", encoding="utf-8")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("waiting for another set-up of this clone")
        fcntl.flock(handle, fcntl.LOCK_EX)
    return handle
