"""Several nodes in one process with one executor, found by name.

A package offers its node under the entry-point group `a1_ros.nodes`; the entry is called with the
keyword arguments of rclpy's Node and returns a node. So whoever composes (evaluation, tests, a
demo) imports no package that offers one. `package.module:Class` names one that is not installed.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from types import TracebackType
from typing import Any

from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter

from a1_core.errors import A1Error
from a1_ros.executor import SpinThread, call_in, make_executor

GROUP = "a1_ros.nodes"


def find_node(name: str) -> Callable[..., Node]:
    """What makes the node called `name`; raises A1Error when nothing of that name is installed."""
    if ":" in name:
        module, _, attribute = name.partition(":")
        return getattr(import_module(module), attribute)
    entries = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in entries:
        raise A1Error(
            f"node '{name}' is not installed (installed: {', '.join(sorted(entries)) or 'none'}); "
            "build its package and source the workspace"
        )
    return entries[name].load()


class Composition:
    """Nodes that share a process, an executor and, as a context manager, one lifetime."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        namespace: str = "",
        context: Context | None = None,
    ) -> None:
        """Make the nodes; `parameters` are theirs by the names given in `names`."""
        self.nodes: dict[str, Node] = {}
        self.executor = make_executor(context)
        self._spinning: SpinThread | None = None
        for name in names:
            overrides = [
                Parameter(key, value=value)
                for key, value in (parameters or {}).get(name, {}).items()
            ]
            node = find_node(name)(
                context=context,
                namespace=namespace,
                parameter_overrides=overrides,
                use_global_arguments=False,
            )
            self.nodes[name] = node
            self.executor.add_node(node)

    def __enter__(self) -> "Composition":
        self._spinning = SpinThread(self.executor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()

    def bring_up(self) -> None:
        """Configure, then activate, every lifecycle node in order; A1Error names one that fails."""
        lifecycle = {n: node for n, node in self.nodes.items() if isinstance(node, LifecycleNode)}
        for step in ("configure", "activate"):
            for name, node in lifecycle.items():
                done = call_in(self.executor, getattr(node, f"trigger_{step}"))
                if done is not TransitionCallbackReturn.SUCCESS:
                    raise A1Error(f"node '{name}' did not {step}; its log says why")

    def forget_qos_events(self) -> None:
        """Stop waiting for what DDS says of mismatched QoS; nodes made for each other do without.

        Every publisher and subscription has a waitable for it, and rclpy's executor gathers all of
        them anew whenever it waits: in a composition that is most of what it does.
        """
        for node in self.nodes.values():
            for entity in (*node.publishers, *node.subscriptions):
                for handler in entity.event_handlers:
                    node.remove_waitable(handler)
                entity.event_handlers = []

    def shutdown(self) -> None:
        """Stop the executor, then destroy the nodes, the last first."""
        if self._spinning is not None:
            self._spinning.stop()
        for node in reversed(self.nodes.values()):
            node.destroy_node()
