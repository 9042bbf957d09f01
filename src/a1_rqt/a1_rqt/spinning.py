"""A node that is spun by a thread of its own, as rqt does with the node it gives its plugins."""

from collections.abc import Callable
from types import TracebackType

import rclpy
from rclpy.node import Node

from a1_ros.executor import SpinThread, make_executor


class Spinning:
    """As a context manager: the node called `name`, spun until the end. rclpy is initialised."""

    def __init__(self, name: str) -> None:
        # Every entity costs at every turn of the executor; nobody sets parameters of a window.
        self._node = rclpy.create_node(name, start_parameter_services=False)
        self._executor = make_executor()
        self._executor.add_node(self._node)

    def __enter__(self) -> Node:
        self._spinning = SpinThread(self._executor)
        return self._node

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._spinning.stop()
        self._node.destroy_node()
        rclpy.try_shutdown()


def in_its_thread(node: Node, call: Callable[[], None]) -> None:
    """Have `call` run by what spins the node: an entity that goes while it is waited for is a race.

    A node that nobody spins is safe here and now.
    """
    if node.executor is None:
        call()
    else:
        node.executor.create_task(call)
