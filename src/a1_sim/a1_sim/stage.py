"""What an evaluation or a demonstration plays on: files, and the system brought up with them."""

import gc
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
import yaml
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_dict_from_yaml_file
from rclpy.signals import SignalHandlerOptions

from a1_core.errors import A1Error
from a1_ros.compose import Composition
from a1_ros.executor import SpinThread, make_executor
from a1_sim.operator_node import Operator
from a1_sim.system import LaunchedSystem

POLICY, RECORDER = "policy", "recorder"
OPERATOR = "a1_sim.operator_node:Operator"
SIMULATOR = "a1_sim.node:SimNode"
LAUNCH_FILE = "sim.launch.xml"
# Going on without somebody would make the result depend on how busy the machine is.
LOCKSTEP_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The files that decide what is played; without thresholds the policy goes to full depth.

    `simulator` holds parameters of the simulator's node; None: its own.
    """

    robot: Path
    checkpoint: Path
    thresholds: Path | None
    simulator: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All of them."""
        named = (self.checkpoint, self.robot, self.thresholds, self.simulator)
        return [path for path in named if path is not None]

    def exits(self) -> list[int]:
        """Exits of the checkpoint (block indices); A1Error when its config does not tell."""
        path = self.checkpoint / "config.json"
        try:
            return [int(block) for block in json.loads(path.read_text())["model"]["exits"]]
        except (OSError, ValueError, KeyError) as error:
            raise A1Error(f"{path}: no list model.exits ({error}); is this a checkpoint?") from None

    def words(self) -> set[str]:
        """Words that the checkpoint's instructions were made of; A1Error when it does not tell."""
        path = self.checkpoint / "tokenizer.json"
        try:
            return set(json.loads(path.read_text())["model"]["vocab"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise A1Error(f"{path}: no model.vocab ({error}); is this a checkpoint?") from None


def simulator_parameters(path: Path | None) -> dict[str, Any]:
    """Values of a file of the simulator's parameters; A1Error where it is none."""
    if path is None:
        return {}
    try:
        told = parameter_dict_from_yaml_file(str(path))
    except (OSError, RuntimeError, AttributeError, yaml.YAMLError) as error:
        raise A1Error(f"{path}: no file of the simulator's parameters ({error})") from None
    return {name: Parameter.from_parameter_msg(msg).value for name, msg in told.items()}


@contextmanager
def composed_stage(stage: Stage, recordings: Path | None = None) -> Iterator[Operator]:
    """Simulator, policy and controller in this process, over DDS, in lockstep.

    With `recordings` the recorder too, with that folder for its bags.
    """
    robot = str(stage.robot)
    policy = {
        "robot": robot,
        "lockstep": True,
        "use_sim_time": True,
        "checkpoint": str(stage.checkpoint),
        "thresholds": str(stage.thresholds or ""),
        "thumbnail_rate": 0.0,
        # An alarm would go one setting towards full depth, and figures would be of two.
        "audit_fraction": 0.0,
    }
    beside: dict[str, dict[str, Any]] = {POLICY: policy}
    if recordings is not None:
        beside[RECORDER] = _recorder(robot, recordings)
    with _composed(robot, beside, simulator_parameters(stage.simulator)) as operator:
        yield operator


@contextmanager
def expert_stage(
    robot: Path, simulator: Path | None = None, *, recordings: Path | None = None
) -> Iterator[Operator]:
    """As `composed_stage`, with the scripted expert sending the chunks in place of a policy.

    Args:
        simulator: parameters of its node.
        recordings: folder of a recorder that is brought up beside; None: none is.
    """
    values = simulator_parameters(simulator)
    values |= {"expert": True, "lockstep_nodes": ["controller"]}
    beside: dict[str, dict[str, Any]] = {}
    if recordings is not None:
        beside[RECORDER] = _recorder(str(robot), recordings)
    with _composed(str(robot), beside, values) as operator:
        yield operator


def _recorder(robot: str, folder: Path) -> dict[str, Any]:
    return {"robot": robot, "folder": str(folder), "use_sim_time": True, "pedal.topic": ""}


@contextmanager
def _composed(
    robot: str, beside: dict[str, dict[str, Any]], simulator: dict[str, Any]
) -> Iterator[Operator]:
    """Simulator and controller, and `beside` them other nodes with their parameters."""
    common = {"robot": robot, "lockstep": True}
    parameters = {
        **beside,
        "controller": {**common, "use_sim_time": True, "hardware": False},
        SIMULATOR: {**common, "lockstep_timeout": LOCKSTEP_TIMEOUT_S, **simulator},
    }
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        with Composition([*parameters, OPERATOR], parameters=parameters) as composition:
            composition.bring_up()
            composition.forget_qos_events()
            operator = composition.nodes[OPERATOR]
            assert isinstance(operator, Operator)
            operator.wait_ready(policy=POLICY in beside)
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
    if stage.simulator is not None:
        arguments["simulator"] = str(stage.simulator)
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

    spun = SpinThread(executor)
    try:
        yield spin
    finally:
        spun.stop()
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
