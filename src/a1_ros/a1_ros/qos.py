"""Quality of service by name, so that a robot's spec can say which one its driver speaks."""

import math

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from a1_core.errors import SpecError


def _profile(
    depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
    )


RELIABLE = _profile(10, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
"""Chunks, verdicts, commands: every message counts."""

LATCHED = _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
"""One last value for whoever comes late."""

SENSOR = _profile(5, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
"""A best-effort subscriber hears reliable publishers too: right for sensors whose QoS varies."""

STATUS = _profile(1, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
"""Status at a high rate of which only the newest matters."""

BY_NAME = {"reliable": RELIABLE, "latched": LATCHED, "sensor": SENSOR, "status": STATUS}


def qos_from_spec(name: str, *, where: str) -> QoSProfile:
    """The profile a spec names; `where` (file and field) goes into the error.

    Raises SpecError for a name that is not in `BY_NAME`.
    """
    if name not in BY_NAME:
        raise SpecError(f"{where}: qos '{name}' is unknown; write one of {', '.join(BY_NAME)}")
    return BY_NAME[name]


def reliable_stream(rate_hz: float) -> QoSProfile:
    """A stream of which nothing is lost while a subscriber stands still for a second or two.

    What overflows on the way (shared memory, a socket) is sent again only while the publisher
    still keeps it: with a depth below the rate, a busy machine loses messages for good.
    """
    depth = max(RELIABLE.depth, math.ceil(2.0 * rate_hz))
    return _profile(depth, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
