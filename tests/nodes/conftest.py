"""ROS for the tests of nodes: a domain of this process, this machine only, a spinning executor."""

import os
import threading
import time
from collections.abc import Callable, Iterator

os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.pop("ROS_STATIC_PEERS", None)

import pytest
import rclpy
from a1_ros.executor import make_executor
from rclpy.node import Node


class Ros:
    """An initialised rclpy whose nodes are spun by a thread of their own."""

    def __init__(self) -> None:
        rclpy.init()
        self.executor = make_executor()
        self._nodes: list[Node] = []
        self._thread = threading.Thread(target=self.executor.spin, daemon=True)
        self._thread.start()

    def add(self, node: Node) -> Node:
        """Spin a node; it is destroyed at the end of the test."""
        self._nodes.append(node)
        self.executor.add_node(node)
        return node

    def node(self, name: str) -> Node:
        """A plain node that is spun."""
        return self.add(rclpy.create_node(name, use_global_arguments=False))

    def remove(self, node: Node) -> None:
        """Stop spinning a node and destroy it now."""
        self._nodes.remove(node)
        self.executor.remove_node(node)
        node.destroy_node()

    def shutdown(self) -> None:
        self.executor.shutdown(timeout_sec=5.0)
        self._thread.join(timeout=5.0)
        for node in reversed(self._nodes):
            node.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def ros() -> Iterator[Ros]:
    """ROS for one test."""
    running = Ros()
    yield running
    running.shutdown()


@pytest.fixture
def wait_for() -> Callable[..., bool]:
    """`wait_for(predicate, timeout_s)`: whether it came true in time."""

    def wait(predicate: Callable[[], object], timeout_s: float = 10.0) -> bool:
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            if predicate():
                return True
            time.sleep(0.005)
        return bool(predicate())

    return wait
