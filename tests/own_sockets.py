"""What this process holds of a ROS domain: its participants' sockets."""

import os
from pathlib import Path

from a1_ros.domain import sockets_in


def own_ports_in(domain: int) -> list[int]:
    """UDP ports of this process's own participants in a domain; empty once all are gone."""
    held = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            held.add(os.readlink(link))
        except FileNotFoundError:  # the folder's own, closed by now
            continue
    return sorted(port for port, inode in sockets_in(domain) if f"socket:[{inode}]" in held)
