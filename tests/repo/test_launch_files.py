"""Every launch file is read, starts executables that exist, and only the simulator's may arm."""

import re
from pathlib import Path

import pytest
import yaml

from a1_ros.launch_reader.reader import declared_arguments, read

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(ROOT.glob("launch/*.launch.xml"))
SPECS = sorted(ROOT.glob("config/robots/*.yaml"))


def nodes_of(share: Path, name: str, **arguments: str):
    path = share / "launch" / name
    for argument in declared_arguments(path):
        if argument.default is None:
            arguments.setdefault(argument.name, SPECS[0].stem)
    return read(path, arguments)


def values_of(node) -> dict:
    return {k: v for p in node.parameters if not isinstance(p, Path) for k, v in p.items()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_is_read_and_its_executables_exist(path, bringup_share):
    nodes = nodes_of(bringup_share, path.name)
    assert nodes
    for node in nodes:
        setup = (ROOT / "src" / node.package / "setup.py").read_text()
        assert re.search(rf'"{node.executable} ?= ?{node.package}\.', setup), node
        robot = values_of(node).get("robot")
        assert robot is None or Path(robot).is_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_only_the_simulator_arms_by_itself(path, bringup_share):
    nodes = nodes_of(bringup_share, path.name)
    arms = any(values_of(node).get("arm") for node in nodes)
    hardware = [values_of(node)["hardware"] for node in nodes if node.name == "controller"]
    if path.name != "sim.launch.xml":
        assert not arms
        return
    assert arms
    assert hardware == [False]
    for node in nodes:
        assert node.environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST", node.name
        assert node.environment["ROS_STATIC_PEERS"] == ""
        assert node.environment["ROS_DOMAIN_ID"] not in ("", "0")


def test_the_lifecycle_nodes_are_those_that_are_started(bringup_share):
    for path in FILES:
        nodes = {node.name: node for node in nodes_of(bringup_share, path.name)}
        if set(nodes) <= {"calibration", "page", "foxglove"}:
            continue  # they drive nothing and have no lifecycle
        (manager,) = (n for n, node in nodes.items() if node.executable == "lifecycle_manager")
        managed = values_of(nodes[manager])["nodes"].split()
        robot = {name for name, node in nodes.items() if node.executable == "stand_in"}
        assert sorted(managed) == sorted(set(nodes) - {manager} - robot), path.name


def test_every_robot_has_a_launch_file():
    robots = {yaml.safe_load(path.read_text())["robot"] for path in SPECS}
    assert robots <= {path.name.removesuffix(".launch.xml") for path in FILES}


def test_every_argument_says_what_it_is(bringup_share):
    for path in FILES:
        for argument in declared_arguments(bringup_share / "launch" / path.name):
            assert argument.description, f"{path.name}: {argument.name}"


def test_the_namespace_reaches_every_node(bringup_share):
    nodes = nodes_of(bringup_share, "a1.launch.xml", robot=SPECS[0].stem, namespace="left")
    assert {node.namespace for node in nodes} == {"left"}


def test_the_policy_can_be_on_another_computer(bringup_share):
    def started(file: str, part: str) -> dict:
        return {node.name: node for node in nodes_of(bringup_share, file, part=part)}

    for file in ("a1.launch.xml", "ur5e.launch.xml"):
        robot, policy = started(file, "robot"), started(file, "policy")
        assert "controller" in robot and "policy" not in robot
        assert values_of(robot["lifecycle_manager"])["nodes"].split() == ["controller"]
        assert set(policy) == {"policy", "policy_manager"}
        assert values_of(policy["policy_manager"])["nodes"] == "policy"
    assert "policy" not in started("sim.launch.xml", "robot")
