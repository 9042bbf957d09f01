"""Times between the wire and integer nanoseconds.

A name ending in `_ns` is an integer of nanoseconds everywhere in the suite. Stamps are on the
node's clock (simulated when `use_sim_time` is set); watchdogs read the steady clock.
"""

import time

from builtin_interfaces.msg import Duration, Time
from rclpy.node import Node

from a1_core.times import NS_PER_MS as NS_PER_MS
from a1_core.times import NS_PER_S as NS_PER_S


def stamp_to_ns(stamp: Time | Duration) -> int:
    """Nanoseconds of a stamp or a duration."""
    return stamp.sec * NS_PER_S + stamp.nanosec


def ns_to_stamp(stamp_ns: int) -> Time:
    """Stamp of a time in nanoseconds."""
    sec, nanosec = divmod(int(stamp_ns), NS_PER_S)
    return Time(sec=sec, nanosec=nanosec)


def ns_to_duration(duration_ns: int) -> Duration:
    """Duration message of a span in nanoseconds."""
    sec, nanosec = divmod(int(duration_ns), NS_PER_S)
    return Duration(sec=sec, nanosec=nanosec)


def node_now_ns(node: Node) -> int:
    """Now on the node's clock; 0 while simulated time has not arrived."""
    return node.get_clock().now().nanoseconds


def steady_now_ns() -> int:
    """Now on the steady clock, which no one can set back."""
    return time.monotonic_ns()
