"""The body of the console scripts that serve what a run looks like."""

import os
from collections.abc import Callable

from rclpy.node import Node

from a1_ros.executor import run_node

NICENESS = 10
"""Where cores are few, showing waits for what moves the robot."""


def serve(make: Callable[..., Node]) -> None:
    """Spin a node that serves until it is interrupted; exits with 1 and one line where it cannot,
    as on a port that is taken."""
    os.nice(NICENESS)
    run_node(make)
