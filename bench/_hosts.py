"""Two computers and the cable between them, in network namespaces of this machine. Needs no root.

The process that asks becomes the robot's computer; others are started on the policy's. Each has
an address, a loopback and a shared memory of its own, so DDS reaches the other over the cable alone
and nothing else on this machine. The cable runs through a switch (a third namespace); pulled there,
the policy's computer loses its carrier as with a real one.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType

ROBOT, POLICY = "10.77.0.1", "10.77.0.2"
INSIDE = "A1_BENCH_ROBOT_HOST"
UNSHARE = ("unshare", "--user", "--map-root-user", "--net", "--mount")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def possible() -> bool:
    """Whether this machine lets us make namespaces, and has the tools."""
    if not all(shutil.which(tool) for tool in ("unshare", "nsenter", "ip", "mount")):
        return False
    trial = "ip link add a1try type veth peer name a1yrt && ip link add a1sw type bridge"
    return subprocess.run([*UNSHARE, "sh", "-c", trial], capture_output=True).returncode == 0


def inside() -> bool:
    """Whether this process already is the robot's computer."""
    return INSIDE in os.environ


def become_robot_host() -> None:
    """Start this program anew, in namespaces of its own; returns only there."""
    if not inside():
        os.environ[INSIDE] = "1"
        os.execvp(UNSHARE[0], [*UNSHARE, sys.executable, *sys.argv])


class Hosts:
    """The two computers, as a context manager; this process is the robot's one."""

    def __enter__(self) -> Hosts:
        assert inside()
        self._policy, self._switch = _namespaces(), _namespaces()
        _run("mount", "-t", "tmpfs", "a1", "/dev/shm")
        self._wire(os.getpid(), "robot", ROBOT)
        self._wire(self._policy.pid, "policy", POLICY)
        switch = self._in(self._switch, ())
        _run(*switch, "ip", "link", "add", "a1switch", "type", "bridge")
        for port in ("to_robot", "to_policy"):
            _run(*switch, "ip", "link", "set", port, "master", "a1switch")
        for link in ("to_robot", "to_policy", "a1switch"):
            _run(*switch, "ip", "link", "set", link, "up")
        _run(*self._in(self._policy, ()), "mount", "-t", "tmpfs", "a1", "/dev/shm")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for holder in (self._policy, self._switch):
            holder.kill()
            holder.wait()

    def on_policy_host(
        self, argv: Sequence[str], environment: Mapping[str, str]
    ) -> tuple[list[str], dict[str, str]]:
        """Command and environment of a process there; it names the robot's computer as a peer."""
        return self._in(self._policy, argv), {**environment, "ROS_STATIC_PEERS": ROBOT}

    def pull_the_cable(self) -> None:
        """Nothing arrives any more, either way."""
        _run(*self._in(self._switch, ()), "ip", "link", "set", "to_policy", "down")

    def plug_it_in(self) -> None:
        """The link is back."""
        _run(*self._in(self._switch, ()), "ip", "link", "set", "to_policy", "up")

    def _in(self, holder: subprocess.Popen[bytes], argv: Sequence[str]) -> list[str]:
        # Without a process namespace nsenter becomes the command: its pid is the process's own.
        return ["nsenter", "--target", str(holder.pid), "--net", "--mount", "--", *argv]

    def _wire(self, pid: int, host: str, address: str) -> None:
        """A cable from a host to the switch."""
        port = f"to_{host}"
        _run("ip", "link", "add", "eth0", "netns", str(pid), "type", "veth", "peer", "name", port)
        _run("ip", "link", "set", port, "netns", str(self._switch.pid))
        there = [] if pid == os.getpid() else self._in(self._policy, ())
        _run(*there, "ip", "address", "add", f"{address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            _run(*there, "ip", "link", "set", link, "up")


def die_with_parent() -> None:
    """For a child's `preexec_fn`: it is killed should its parent be."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _namespaces() -> subprocess.Popen[bytes]:
    """A process that does nothing but hold a network and a mount namespace."""
    holder = subprocess.Popen(
        ["unshare", "--net", "--mount", "sh", "-c", "echo; exec sleep infinity"],
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,  # noqa: PLW1509  (this process has one thread)
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    return holder


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)
