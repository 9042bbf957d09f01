"""Nodes of a test, spun by threads of their own: all by one, or each by one."""

from functools import partial

import rclpy
from rclpy.executors import Executor
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

from a1_ros.executor import SpinThread, call_in, make_executor

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
        self._spinning = SpinThread(self.executor)

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
        self._spinning.stop()
        for node in reversed(self._nodes):
            node.destroy_node()
        rclpy.try_shutdown()


class RosApart:
    """An initialised rclpy whose nodes are spun by a thread each: none waits for another."""

    def __init__(self) -> None:
        rclpy.init()
        self._spun: list[tuple[Node, SpinThread]] = []

    def add(self, node: Node) -> Node:
        """Spin a node; it is destroyed at the end of the test."""
        executor = make_executor()
        executor.add_node(node)
        transitions_by(executor, node)
        self._spun.append((node, SpinThread(executor)))
        return node

    def node(self, name: str, namespace: str = "") -> Node:
        """A plain node that is spun."""
        return self.add(rclpy.create_node(name, namespace=namespace, use_global_arguments=False))

    def shutdown(self) -> None:
        """Stop spinning, then destroy every node, the last first."""
        for node, spinning in reversed(self._spun):
            spinning.stop()
            node.destroy_node()
        rclpy.try_shutdown()
