"""Runs processes together: output with a label, an orderly end, one exit status.

The end is SIGINT, after a grace SIGTERM, after another SIGKILL; a second interrupt goes on to the
next at once. Every process has a session of its own, so it gets each signal once, and it gets
SIGINT from the kernel should this process be killed.
"""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

from a1_ros.launch_reader.command import Command

GRACE_S = 5.0
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def run(commands: Sequence[Command], *, out: TextIO = sys.stdout, grace_s: float = GRACE_S) -> int:
    """Run until all have ended; 0 when each ended well, by itself or at our interrupt."""
    return _Runner(commands, out, grace_s).run()


@dataclass
class _Process:
    command: Command
    child: subprocess.Popen
    colour: int
    pending: bytes = b""


@dataclass
class _Runner:
    commands: Sequence[Command]
    out: TextIO
    grace_s: float
    _running: list[_Process] = field(default_factory=list)
    _interrupts: int = 0
    _stage: int = -1
    _stage_until_s: float = 0.0
    _failed: bool = False

    def run(self) -> int:
        before = {n: signal.signal(n, self._interrupt) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            with selectors.DefaultSelector() as selector:
                for number, command in enumerate(self.commands):
                    self._start(command, _COLOURS[number % len(_COLOURS)], selector)
                while self._running:
                    self._advance_end()
                    for key, _ in selector.select(timeout=0.1):
                        self._read(key.data, selector)
                    self._reap(selector)
        finally:
            for process in self._running:
                _signal(process, signal.SIGKILL)
            for number, handler in before.items():
                signal.signal(number, handler)
        return 1 if self._failed else 0

    def _interrupt(self, number: int, frame: object) -> None:
        self._interrupts += 1

    def _start(self, command: Command, colour: int, selector: selectors.BaseSelector) -> None:
        child = subprocess.Popen(
            command.argv,
            env=command.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  (this process has one thread)
        )
        assert child.stdout is not None
        os.set_blocking(child.stdout.fileno(), False)
        process = _Process(command, child, colour)
        self._running.append(process)
        selector.register(child.stdout, selectors.EVENT_READ, process)
        self._say(process, f"started, pid {child.pid}")

    def _read(self, process: _Process, selector: selectors.BaseSelector) -> None:
        assert process.child.stdout is not None
        data = process.child.stdout.read(65536)
        if data == b"":
            selector.unregister(process.child.stdout)
        *lines, process.pending = (process.pending + (data or b"")).split(b"\n")
        for line in lines:
            self._say(process, line.decode(errors="replace"))

    def _reap(self, selector: selectors.BaseSelector) -> None:
        for process in list(self._running):
            code = process.child.poll()
            if code is None:
                continue
            assert process.child.stdout is not None
            if process.child.stdout in selector.get_map():
                self._read(process, selector)
                if process.child.stdout in selector.get_map():
                    selector.unregister(process.child.stdout)
            if process.pending:
                self._say(process, process.pending.decode(errors="replace"))
            process.child.stdout.close()
            self._running.remove(process)
            self._judge(process, code)

    def _judge(self, process: _Process, code: int) -> None:
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        asked = self._stage >= 0 and code in (-signal.SIGINT, 128 + signal.SIGINT)
        if code != 0 and not asked:
            self._failed = True
            self._say(process, f"ended badly: {how}")
        else:
            self._say(process, "ended")
        if process.command.stops_all and self._stage < 0 and self._running:
            self._say(process, "the others end with it")
            self._interrupts = max(self._interrupts, 1)

    def _advance_end(self) -> None:
        """Go on to the next signal when asked to, or when the grace is over."""
        over = self._stage >= 0 and time.monotonic() > self._stage_until_s
        if over:
            self._interrupts = max(self._interrupts, self._stage + 2)
        if self._interrupts <= self._stage + 1 or self._stage + 1 >= len(_ENDING):
            return
        self._stage += 1
        self._stage_until_s = time.monotonic() + self.grace_s
        for process in self._running:
            if self._stage > 0:
                self._say(process, f"does not end, sending {_ENDING[self._stage].name}")
            _signal(process, _ENDING[self._stage])

    def _say(self, process: _Process, line: str) -> None:
        label = f"[{process.command.label}]"
        if self.out.isatty() and "NO_COLOR" not in os.environ:
            label = f"\033[{process.colour}m{label}\033[0m"
        print(f"{label} {line}", file=self.out, flush=True)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _signal(process: _Process, number: signal.Signals) -> None:
    """Signal the whole session of a process that is not reaped yet."""
    with contextlib.suppress(ProcessLookupError):  # it may have ended just now
        os.killpg(process.child.pid, number)
