"""check_robot compares a spec with what the robot says of itself."""

from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from a1_controllers.check_robot import Listener, main
from a1_controllers.kinematics_check import check_kinematics
from a1_controllers.robot_check import (
    Level,
    check_description,
    check_endpoints,
    check_gaps,
    check_states,
    table,
)
from a1_core.errors import A1Error
from a1_core.spec import load_spec
from a1_data.share import find_spec
from a1_ros.qos import LATCHED, RELIABLE

ROBOTS = Path(__file__).parents[2] / "config" / "robots"
SPECS = {path.stem: load_spec(path) for path in sorted(ROBOTS.glob("*.yaml"))}


def urdf(spec, *, shift: float = 0.0, without: str = "") -> str:
    """A description with the vendor's ranges, moved by `shift`."""
    frames = {spec.base_frame, *(f for a in spec.arms for f in (a.base_frame, a.tip_frame))}
    limits = spec.vendor_limits
    ranges = zip(spec.urdf_names, limits.position_lower, limits.position_upper, strict=True)
    joints = [
        f'<joint name="{name}"><limit lower="{low + shift}" upper="{high + shift}"/></joint>'
        for name, low, high in ranges
        if name != without
    ]
    links = [f'<link name="{frame}"/>' for frame in frames]
    return f"<robot name='r'>{''.join(links + joints)}</robot>"


def levels(findings) -> set[Level]:
    return {finding.level for finding in findings}


@pytest.mark.parametrize("name", sorted(SPECS))
def test_a_description_that_fits(name):
    assert levels(check_description(SPECS[name], urdf(SPECS[name]))) == {Level.GOOD}


def test_other_zeros_are_seen():
    spec = SPECS["openarm_v2"]
    moved = check_description(spec, urdf(spec, shift=-1.2))
    assert Level.BAD in levels(moved)
    assert any("reach beyond it" in finding.found for finding in moved)
    near = check_description(SPECS["ur5e"], urdf(SPECS["ur5e"], shift=0.02))
    assert levels(near) == {Level.GOOD, Level.OPEN}


def test_a_joint_or_a_description_that_is_not_there():
    spec = SPECS["agibot"]
    found = check_description(spec, urdf(spec, without="idx21_arm_l_joint1"))
    (bad,) = [f for f in found if f.level is Level.BAD]
    assert (bad.what, "idx21_arm_l_joint1" in bad.found) == ("joint left_arm_joint1", True)
    assert levels(check_description(spec, None)) == {Level.OPEN}
    assert "no XML" in check_description(spec, "<robot")[0].found


def chain_urdf(spec, *, longer_m: float = 0.0, turned: str = "") -> str:
    """A description with the chains of the spec, between a fixed joint and the tips'."""
    text = []
    for arm in spec.arms:
        names = dict(zip(spec.joint_names, spec.urdf_names, strict=True))
        link = arm.base_frame
        for index, origin in enumerate(arm.chain.origins_N6):
            last = index == len(arm.joints)
            child = arm.tip_frame if last else f"{arm.name}_{index}"
            name = f"{arm.name}_tip" if last else names[arm.joints[index]]
            x, y, z, *rpy = origin + [0.0, 0.0, longer_m * last, 0.0, 0.0, 0.0]
            axis = np.zeros(3) if last else arm.chain.axes_J3[index]
            if name == turned:
                axis = -axis
            text.append(
                f'<joint name="{name}"><parent link="{link}"/><child link="{child}"/>'
                f'<origin xyz="{x} {y} {z}" rpy="{rpy[0]} {rpy[1]} {rpy[2]}"/>'
                f'<axis xyz="{axis[0]} {axis[1]} {axis[2]}"/></joint>'
            )
            link = child
    return f"<robot name='r'>{''.join(text)}</robot>"


@pytest.mark.parametrize("name", sorted(set(SPECS) - {"agibot_a2"}))
def test_kinematics_are_compared_with_the_description(name):
    spec = SPECS[name]
    assert levels(check_kinematics(spec, chain_urdf(spec))) == {Level.GOOD}
    assert len(check_kinematics(spec, chain_urdf(spec))) == len(spec.arms)
    assert levels(check_kinematics(spec, chain_urdf(spec, longer_m=0.005))) == {Level.OPEN}
    assert levels(check_kinematics(spec, chain_urdf(spec, longer_m=0.1))) == {Level.BAD}


def test_a_joint_that_turns_the_other_way_is_seen():
    spec = SPECS["openarm"]
    found = check_kinematics(spec, chain_urdf(spec, turned="openarm_right_joint4"))
    assert [f.level for f in found] == [Level.GOOD, Level.BAD]


def test_a_description_without_the_chain_is_for_a_person():
    spec = SPECS["ur5e"]
    assert levels(check_kinematics(spec, urdf(spec))) == {Level.OPEN}
    assert check_kinematics(spec, None) == []


def test_states_by_the_names_on_the_wire():
    spec = SPECS["aloha"]
    names = [*spec.state_sources[0].wire_names, "left_finger"]
    good, bad = check_states(spec, {0: (names, 8), 1: (names[1:], 7)})
    assert (good.level, good.found) == (Level.GOOD, "7 joints")
    assert (bad.level, bad.found) == (Level.BAD, "without right_waist")
    assert "the adapter publishes" in check_states(SPECS["arx5"], {})[0].found


def test_endpoints_by_their_types():
    spec = SPECS["dobot"]
    service = {spec.command.endpoint: ["dobot_msgs_v4/srv/ServoJ"]}
    cameras = {camera.topic: ["sensor_msgs/msg/CompressedImage"] for camera in spec.cameras}
    found = {f.what.split()[-1]: f for f in check_endpoints(spec, service | cameras)}
    assert found[spec.command.endpoint].level is Level.GOOD
    assert "the spec wants sensor_msgs/msg/Image" in found[spec.cameras[0].topic].found
    assert found["/dobot_bringup_ros2/srv/Stop"].found == "is not there"
    franka = check_endpoints(SPECS["franka"], {})
    assert any("gripper_action/_action/status" in f.what for f in franka)


def test_gaps_are_wrong_and_the_table_says_so():
    found = check_gaps(SPECS["arx5"])
    assert table(found).splitlines()[0].startswith("NO  gripper.closed")
    assert check_gaps(SPECS["franka"]) == []


def test_robots_are_found_by_name_or_file(bringup_share, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "share")
    assert find_spec("openarm_v2").path.samefile(ROBOTS / "openarm_v2.yaml")
    assert find_spec(str(ROBOTS / "ur5e.yaml")).path == ROBOTS / "ur5e.yaml"
    with pytest.raises(A1Error, match=r"no r2d2\.yaml in .*; choose one of agibot, agibot_a2"):
        find_spec("r2d2")


def test_it_listens(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "78")
    spec = SPECS["openarm_single"]
    rclpy.init()
    robot, listener = rclpy.create_node("robot"), Listener(spec)
    executor = SingleThreadedExecutor()
    executor.add_node(robot)
    executor.add_node(listener)
    try:
        robot.create_publisher(String, "/robot_description", LATCHED).publish(
            String(data=urdf(spec))
        )
        states = robot.create_publisher(JointState, "/joint_states", RELIABLE)
        names = list(spec.state_sources[0].joints)
        for _ in range(100):
            states.publish(JointState(name=names, position=[0.0] * len(names)))
            executor.spin_once(timeout_sec=0.05)
            if listener.urdf and listener.states:
                break
        wrong = [f.what for f in listener.findings() if f.level is Level.BAD]
    finally:
        executor.shutdown()
        robot.destroy_node()
        listener.destroy_node()
        rclpy.try_shutdown()
    assert not [what for what in wrong if what.startswith(("joint", "frame", "state"))]
    assert any(what.startswith("command arm") for what in wrong)


def test_the_exit_status(monkeypatch, capsys):
    monkeypatch.setenv("ROS_DOMAIN_ID", "78")
    assert main([str(ROBOTS / "none.yaml")]) == 2
    assert main([str(ROBOTS / "ur5e.yaml"), "--seconds", "0.1"]) == 1
    said = capsys.readouterr().out
    assert "ur5e robotiq-2f85" in said
    assert said.splitlines()[-1].endswith(" wrong")
