"""One node in a process of its own, for the benches: NODE and its parameters as JSON.

    python bench/_one_node.py a1_controllers.node:ControllerNode '{"robot": "..."}'

Nodes with a lifecycle are brought up. Ends with its standard input, so with whoever started it.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
from rclpy.node import Node

from a1_core.observation import Observation
from a1_core.policy import ExitSetting, PolicyOutput
from a1_core.prefix import Prefix
from a1_core.spec import RobotSpec
from a1_policy_node.loading import Checkpoint, load_a1
from a1_policy_node.node import PolicyNode
from a1_policy_node.settings import Settings
from a1_ros.compose import Composition
from a1_ros.times import steady_now_ns

HERE = Path(__file__)


class DelayedPolicyNode(PolicyNode):
    """The policy node with a policy that takes `added_delay` seconds longer, on the worker."""

    def __init__(self, **node_kwargs: Any) -> None:
        super().__init__(load_checkpoint=self._load, **node_kwargs)
        self.declare_parameter("added_delay", 0.0)

    def _load(self, directory: Path, spec: RobotSpec, settings: Settings) -> Checkpoint:
        checkpoint = load_a1(directory, spec, settings)
        return _Delayed(checkpoint, lambda: float(self.get_parameter("added_delay").value))


class _Delayed:
    """A checkpoint, and its policy, that waits before it gives its chunk."""

    def __init__(self, checkpoint: Checkpoint, delay_s: Callable[[], float]) -> None:
        self.config, self.normaliser = checkpoint.config, checkpoint.normaliser
        self.digest, self.policy = checkpoint.digest, self
        self._inner, self._delay_s = checkpoint.policy, delay_s

    def reset(self) -> None:
        self._inner.reset()

    def act(
        self,
        observation: Observation,
        *,
        setting: ExitSetting,
        deadline_s: float | None = None,
        prefix: Prefix | None = None,
    ) -> PolicyOutput:
        output = self._inner.act(observation, setting=setting, deadline_s=deadline_s, prefix=prefix)
        time.sleep(self._delay_s())
        return output


class BareTimer(Node):
    """Nothing but a timer at `rate_hz`; prints its times (steady clock, ns) at the end."""

    def __init__(self, **node_kwargs: Any) -> None:
        super().__init__("bare_timer", **node_kwargs)
        self.times_ns: list[int] = []
        rate_hz = float(self.declare_parameter("rate_hz", 100.0).value)
        self.create_timer(1.0 / rate_hz, lambda: self.times_ns.append(steady_now_ns()))

    def destroy_node(self) -> None:
        print(json.dumps(self.times_ns))
        super().destroy_node()


@contextmanager
def process(
    node: str, parameters: dict[str, Any], log: Path, answer: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The node `module:Class` while the context lasts; what it prints goes to `answer`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(HERE), node, json.dumps(parameters)]
    with log.open("wb") as errors, (answer or log.with_suffix(".out")).open("wb") as printed:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=printed, stderr=errors)
    try:
        yield child
    finally:
        assert child.stdin is not None
        child.stdin.close()
        try:
            child.wait(20.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def main() -> None:
    """Be the node of the command line."""
    name, parameters = sys.argv[1], json.loads(sys.argv[2])
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    with Composition([name], parameters={name: parameters}) as composition:
        for further in getattr(composition.nodes[name], "controllers", ()):
            composition.executor.add_node(further)
        composition.bring_up()
        sys.stdin.read()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
