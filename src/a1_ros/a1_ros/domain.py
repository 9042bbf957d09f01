"""A DDS domain of one's own on this machine: for the simulator, tests and measurements.

Domains made of process ids meet sooner or later, and a participant left over from a run that died
hears, and hides, what comes after it. So a domain is claimed under a name that the kernel gives to
one process at a time (an abstract socket, which belongs to the network namespace as DDS does), and
one in which there is a participant already is passed over. A claim ends with its process.
"""

import os
import socket
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from a1_core.errors import A1Error

# Of RTPS 2.5, 9.6.2.3: a domain's UDP ports; from 102 on they meet those that Linux gives out.
FIRST_PORT, PORTS = 7400, 250
# 0 is everybody's, 83 what sim.launch.xml takes by itself.
CLAIMABLE = tuple(domain for domain in range(1, 102) if domain != 83)
# A claim lasts as long as its socket is open.
_claims: list[socket.socket] = []


def isolate(domain: int | None = None) -> int:
    """Keep discovery on this machine and in a domain of its own; call before rclpy starts.

    Returns the domain: the one asked for, else one that nobody is in.
    """
    chosen = own_domain() if domain is None else domain
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.pop("ROS_STATIC_PEERS", None)
    os.environ["ROS_DOMAIN_ID"] = str(chosen)
    return chosen


@cache
def own_domain() -> int:
    """The domain of this process, the same at every call; A1Error when none is free."""
    begin = os.getpid() % len(CLAIMABLE)
    return claim(CLAIMABLE[begin:] + CLAIMABLE[:begin])


def claim(domains: Sequence[int]) -> int:
    """The first of `domains` that nobody is in, ours as long as this process lives; A1Error."""
    for domain in domains:
        name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            name.bind(f"\0a1_ros_domain_{domain}")
        except OSError:  # another process has it
            name.close()
            continue
        if not sockets_in(domain):
            _claims.append(name)
            return domain
        name.close()
    raise A1Error(
        f"no ROS domain from {min(domains)} to {max(domains)} is free: end what is left of "
        "earlier runs, or say which to take (--domain, ROS_DOMAIN_ID)"
    )


def sockets_in(domain: int) -> set[tuple[int, str]]:
    """UDP port and inode of every socket of participants in a domain on this machine."""
    first = FIRST_PORT + PORTS * domain
    found = set()
    for table in ("udp", "udp6"):
        path = Path("/proc/self/net") / table
        for line in path.read_text().splitlines()[1:] if path.is_file() else []:
            fields = line.split()
            port = int(fields[1].rpartition(":")[2], 16)
            if first <= port < first + PORTS:
                found.add((port, fields[9]))
    return found
