"""The controller of a simulated robot in a process of its own, to be killed; argument: SPEC."""

import sys

from rclpy.parameter import Parameter

from a1_controllers.node import ControllerNode
from a1_ros.executor import run_node


def make() -> ControllerNode:
    values = {"robot": sys.argv[1], "hardware": False}
    node = ControllerNode(parameter_overrides=[Parameter(k, value=v) for k, v in values.items()])
    node.trigger_configure()
    node.trigger_activate()
    return node


run_node(make)
