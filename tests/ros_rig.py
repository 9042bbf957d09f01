"""Nodes of a test, spun by threads of their own: all by one, or each by one."""

import threading
from functools import partial

import rclpy
from rclpy.executors import Executor
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

from a1_ros.executor import call_in, make_executor

TRANSITIONS = ("configure", "activate", "deactivate", "cleanup", "shutdown")


def transitions_by(executor: Executor, node: Node) -> None:
    """Have the thread that spins a node make its transitions, as when a service asks for them."""
    if isinstance(node, LifecycleNode):
        for name in (f"trigger_{transition}" for transition in TRANSITIONS):
            setattr(node, name, partial(call_in, executor, getattr(node, name)))


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
        transitions_by(self.executor, node)
        return node

    def node(self, name: str) -> Node:
        """A plain node that is spun."""
        return self.add(rclpy.create_node(name, use_global_arguments=False))

    def remove(self, node: Node) -> None:
        """Stop spinning a node and destroy it now."""
        self._nodes.remove(node)

        def destroy() -> None:
            self.executor.remove_node(node)
            node.destroy_node()

        call_in(self.executor, destroy)

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
        transitions_by(executor, node)
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
