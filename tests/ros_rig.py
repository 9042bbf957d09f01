"""Nodes of a test, spun by a thread of their own."""

import threading

import rclpy
from rclpy.node import Node

from a1_ros.executor import make_executor

PATIENCE_S = 10.0


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
        gone = threading.Event()

        def destroy() -> None:
            self.executor.remove_node(node)
            node.destroy_node()
            gone.set()

        # By the thread that spins it: an entity that goes while it is waited for ends that thread.
        self.executor.create_task(destroy)
        assert gone.wait(PATIENCE_S), f"{node.get_name()} was not destroyed"

    def shutdown(self) -> None:
        """Stop spinning, then destroy every node."""
        self.executor.shutdown(timeout_sec=5.0)
        self._thread.join(timeout=5.0)
        for node in reversed(self._nodes):
            node.destroy_node()
        rclpy.try_shutdown()
