"""What an evaluation or a demonstration plays on: files, and the system brought up with them."""

import gc
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from a1_core.errors import A1Error
from a1_ros.compose import Composition
from a1_ros.executor import make_executor
from a1_sim.operator_node import Operator
from a1_sim.system import LaunchedSystem

OPERATOR = "a1_sim.operator_node:Operator"
SIMULATOR = "a1_sim.node:SimNode"
LAUNCH_FILE = "sim.launch.xml"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The files that decide what is played; without thresholds the policy goes to full depth."""

    robot: Path
    checkpoint: Path
    thresholds: Path | None

    def exits(self) -> list[int]:
        """Exits of the checkpoint (block indices); A1Error when its config does not tell."""
        path = self.checkpoint / "config.json"
        try:
            return [int(block) for block in json.loads(path.read_text())["model"]["exits"]]
        except (OSError, ValueError, KeyError) as error:
            raise A1Error(f"{path}: no list model.exits ({error}); is this a checkpoint?") from None


@contextmanager
def composed_stage(stage: Stage) -> Iterator[Operator]:
    """Simulator, policy and controller in this process, over DDS, in lockstep."""
    robot = str(stage.robot)
    policy = {
        "robot": robot,
        "lockstep": True,
        "use_sim_time": True,
        "checkpoint": str(stage.checkpoint),
        "thresholds": str(stage.thresholds or ""),
        "thumbnail_rate": 0.0,
    }
    with _composed(robot, {"policy": policy}, {}) as operator:
        yield operator


@contextmanager
def expert_stage(robot: Path) -> Iterator[Operator]:
    """As `composed_stage`, with the scripted expert sending the chunks in place of a policy."""
    with _composed(str(robot), {}, {"expert": True, "lockstep_nodes": ["controller"]}) as operator:
        yield operator


@contextmanager
def _composed(
    robot: str, policy: dict[str, dict[str, Any]], simulator: dict[str, Any]
) -> Iterator[Operator]:
    common = {"robot": robot, "lockstep": True}
    parameters = {
        **policy,
        "controller": {**common, "use_sim_time": True, "hardware": False},
        SIMULATOR: {**common, **simulator},
    }
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        with Composition([*parameters, OPERATOR], parameters=parameters) as composition:
            composition.bring_up()
            operator = composition.nodes[OPERATOR]
            assert isinstance(operator, Operator)
            operator.wait_ready(policy=bool(policy))
            yield operator
            del operator, composition
    finally:
        rclpy.try_shutdown()
        # Nodes hang in reference cycles, and the DDS participant with them: one that is left over
        # keeps processes that are started later from finding each other.
        gc.collect()


@contextmanager
def launched_stage(
    stage: Stage,
    out: Path,
    spectator: Callable[[], Node] | None = None,
    *,
    page_port: int | None = None,
) -> Iterator[tuple[Operator, Node | None]]:
    """Simulator, policy and controller as processes of their own, in real time.

    `spectator` makes one more node that is spun in this process. With `page_port` the page that
    shows the run is served there, on 127.0.0.1.
    """
    arguments = {
        "spec": str(stage.robot),
        "checkpoint": str(stage.checkpoint),
        "domain": os.environ["ROS_DOMAIN_ID"],
    }
    if stage.thresholds is not None:
        arguments["thresholds"] = str(stage.thresholds)
    if page_port is not None:
        arguments |= {"page": "true", "page_port": str(page_port)}
    with LaunchedSystem(LAUNCH_FILE, arguments, out / "system.log") as system, spinning() as spin:
        operator = Operator()
        operator.watch_controller()
        spin(operator)
        operator.health = system.check
        watching = None if spectator is None else spin(spectator())
        operator.wait_ready()
        operator.wait_armed()
        yield operator, watching


@contextmanager
def spinning() -> Iterator[Any]:
    """rclpy with an executor in a thread; what is given to it is spun and destroyed at the end."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    executor = make_executor()
    nodes: list[Node] = []

    def spin(node: Node) -> Node:
        nodes.append(node)
        executor.add_node(node)
        return node

    thread = threading.Thread(target=executor.spin, name="executor", daemon=True)
    thread.start()
    try:
        yield spin
    finally:
        executor.shutdown(timeout_sec=2.0)
        thread.join(timeout=5.0)
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
