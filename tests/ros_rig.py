"""Nodes of a test, spun by threads of their own: all by one, or each by one."""

import threading

import rclpy
from rclpy.executors import Executor
from rclpy.node import Node

from a1_ros.executor import make_executor

PATIENCE_S = 10.0


class Ros:
    """An initialised rclpy whose nodes are spun by one thread."""

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


class RosApart:
    """An initialised rclpy whose nodes are spun by a thread each: none waits for another."""

    def __init__(self) -> None:
        rclpy.init()
        self._spun: list[tuple[Node, Executor, threading.Thread]] = []

    def add(self, node: Node) -> Node:
        """Spin a node; it is destroyed at the end of the test."""
        executor = make_executor()
        executor.add_node(node)
        thread = threading.Thread(target=executor.spin, daemon=True)
        thread.start()
        self._spun.append((node, executor, thread))
        return node

    def node(self, name: str, namespace: str = "") -> Node:
        """A plain node that is spun."""
        return self.add(rclpy.create_node(name, namespace=namespace, use_global_arguments=False))

    def shutdown(self) -> None:
        """Stop spinning, then destroy every node, the last first."""
        for node, executor, thread in reversed(self._spun):
            executor.shutdown(timeout_sec=5.0)
            thread.join(timeout=5.0)
            node.destroy_node()
        rclpy.try_shutdown()
