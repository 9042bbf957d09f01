"""The launched system: real processes, started by one launch file and ended whatever happens."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from a1_core.errors import A1Error

# The launcher gives its nodes 5 s to end on an interrupt, and as long on a termination.
COMPLAINTS = ("ended badly", "[ERROR]", "[FATAL]", "process has died")
PATIENCE_S = (12.0, 6.0, 3.0)


def launch_command(file: str, arguments: dict[str, str]) -> list[str]:
    """What starts a launch file of a1_bringup: `ros2 launch` where it is, our reader elsewhere."""
    given = [f"{name}:={value}" for name, value in arguments.items()]
    if shutil.which("ros2"):
        return ["ros2", "launch", "a1_bringup", file, *given]
    return [sys.executable, "-m", "a1_ros.launch_reader.main", "a1_bringup", file, *given]


class LaunchedSystem:
    """A running launch file, as a context manager; its output goes to `log`."""

    def __init__(self, file: str, arguments: dict[str, str], log: Path) -> None:
        self._command = launch_command(file, arguments)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "LaunchedSystem":
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def check(self) -> None:
        """Raise A1Error with the end of the log when the system has ended by itself."""
        process = self._process
        if process is None or process.poll() is None:
            return
        raise A1Error(
            f"the system ended by itself (exit code {process.returncode}); all of its output: "
            f"{self._log}\n{self._complaints()}"
        )

    def _complaints(self) -> str:
        """The first lines of the log that say what went wrong, else the last ones."""
        text = self._log.read_text(errors="replace").splitlines()
        bad = [line for line in text if any(word in line for word in COMPLAINTS)]
        return "\n".join(bad[:6] or text[-6:])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for number, patience_s in zip(
            (signal.SIGINT, signal.SIGTERM, signal.SIGKILL), PATIENCE_S, strict=True
        ):
            # The launcher passes an interrupt on; only what outlives it is told directly.
            if number is signal.SIGINT and process.poll() is None:
                process.send_signal(number)
            else:
                _tell_group(process.pid, number)
            if _ended(process, patience_s):
                return


def _tell_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _ended(process: subprocess.Popen[bytes], patience_s: float) -> bool:
    """Whether the launcher and everything in its process group are gone."""
    try:
        process.wait(patience_s)
        os.killpg(process.pid, 0)
    except subprocess.TimeoutExpired:
        return False
    except ProcessLookupError:
        return True
    return False
