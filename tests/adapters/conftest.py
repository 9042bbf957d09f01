"""Robots of every protocol: stand-in on the vendor's topics, controller, scripted policy."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What test files and benches share lies beside them: franky.
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests" / "interfaces")]
import interface_builder

interface_builder.ensure()

import pytest
import rclpy
import yaml
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool
from waiting import wait_for

from a1_controllers.node import ControllerNode
from a1_core.spec import RobotSpec, load_spec
from a1_ros.executor import SpinThread, make_executor
from a1_sim.filled_spec import write_filled
from a1_sim.script_source import ScriptSource
from a1_sim.stand_in import StandIn

# What is measured in these tests is not how punctual this machine is.
PATIENCE_S = 2.0


class Rig:
    """Stand-in and scripted policy, spun in a thread; the controller too where asked for."""

    def __init__(self, spec: RobotSpec, *, controller: bool = True, physics: bool = False) -> None:
        rclpy.init()
        self.spec = spec
        self._executor = make_executor()
        self.stand_in = self.add(
            StandIn(
                parameter_overrides=[
                    Parameter("robot", value=str(spec.path)),
                    Parameter("settle_s", value=0.0),
                    Parameter("physics", value=physics),
                ],
                use_global_arguments=False,
            )
        )
        self.script = self.add(ScriptSource(spec, use_global_arguments=False))
        self._arm = self.script.create_client(SetBool, "a1/arm")
        if controller:
            self.controller = self.add(
                ControllerNode(
                    parameter_overrides=[
                        Parameter("robot", value=str(spec.path)),
                        Parameter("hardware", value=False),
                    ],
                    use_global_arguments=False,
                )
            )
            self.controller.trigger_configure()
            self.controller.trigger_activate()
        self._spinning = SpinThread(self._executor)

    def add(self, node: Node) -> Node:
        """Spin a node."""
        self._executor.add_node(node)
        return node

    def close(self) -> None:
        """Take everything down."""
        nodes = self._executor.get_nodes()
        self._spinning.stop()
        own = [node for node in nodes if node not in self.stand_in.controllers]
        for node in reversed(own):
            node.destroy_node()
        rclpy.try_shutdown()

    def arm(self, on: bool = True) -> str:
        """Arm or disarm; returns what was answered last."""
        answers = []

        def tried() -> bool:
            if not self._arm.service_is_ready():
                return False
            future = self._arm.call_async(SetBool.Request(data=on))
            if not wait_for(future.done, 5.0):
                return False
            answers.append(future.result())
            return answers[-1].success

        assert wait_for(tried, 15.0 if on else 5.0), answers[-1].message if answers else "silence"
        return answers[-1].message


@pytest.fixture(name="wait_for")
def wait_for_fixture() -> Callable[..., bool]:
    """`wait_for(predicate, timeout_s)`."""
    return wait_for


@pytest.fixture
def spec_of(tmp_path) -> Callable[[str], RobotSpec]:
    """`spec_of(name)`: a shipped spec with its gaps filled, patient with a busy machine."""

    def make(name: str) -> RobotSpec:
        shipped = ROOT / "config" / "robots" / f"{name}.yaml"
        copy = write_filled(shipped, tmp_path / f"{name}.yaml")
        content = yaml.safe_load(copy.read_text())
        for source in content["state_sources"]:
            source["max_age_s"] = PATIENCE_S
        for command in content.get("commands") or [content["command"]]:
            if command.get("stream", {}).get("max_gap_s"):
                command["stream"]["max_gap_s"] = PATIENCE_S
        copy.write_text(yaml.safe_dump(content))
        return load_spec(copy)

    return make


@pytest.fixture
def rig_of(spec_of) -> Iterator[Callable[..., Rig]]:
    """`rig_of(name, controller=True, physics=False)`: a robot that runs."""
    rigs: list[Rig] = []

    def make(name: str, *, controller: bool = True, physics: bool = False) -> Rig:
        rigs.append(Rig(spec_of(name), controller=controller, physics=physics))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
    rclpy.try_shutdown()
