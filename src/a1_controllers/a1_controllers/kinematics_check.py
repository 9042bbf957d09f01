"""The kinematics of a spec against those of the running robot's description."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np

from a1_controllers.robot_check import Finding, Level
from a1_core.kinematics import Chain, ChainKinematics
from a1_core.spec import ArmSpec, RobotSpec

# Tips in the home pose that are farther apart are told, and are wrong (m).
SAME_M = 0.002
WRONG_M = 0.02
IDLE_AXIS = "1 0 0"  # a URDF's default


def check_kinematics(spec: RobotSpec, urdf: str | None) -> list[Finding]:
    """Where the arms' tips are in the home pose, by the spec and by the description."""
    if urdf is None:
        return []
    try:
        root = ElementTree.fromstring(urdf)
    except ElementTree.ParseError:
        return []  # check_description says so
    return [_check(spec, arm, root) for arm in spec.arms if arm.chain is not None]


def _check(spec: RobotSpec, arm: ArmSpec, root: ElementTree.Element) -> Finding:
    what = f"kinematics of {arm.name}"
    home = dict(zip(spec.joint_names, spec.home.tolist(), strict=True))
    q_J = np.array([home[joint] for joint in arm.joints])
    assert arm.chain is not None
    told = _tip(root, arm, {u: home[j] for j, u in zip(spec.joint_names, spec.urdf_names)})
    if told is None:
        found = f"the description has no chain from {arm.base_frame} to {arm.tip_frame}"
        return Finding(level=Level.OPEN, what=what, found=found)
    away_m = float(np.linalg.norm(ChainKinematics([arm.chain])(q_J)[0] - told))
    found = f"{arm.tip_frame} in the home pose is {away_m * 1e3:.1f} mm from the description's"
    if away_m > WRONG_M:
        return Finding(level=Level.BAD, what=what, found=found)
    level = Level.GOOD if away_m <= SAME_M else Level.OPEN
    return Finding(level=level, what=what, found=found)


def _tip(root: ElementTree.Element, arm: ArmSpec, angles: dict[str, float]) -> np.ndarray | None:
    """The tip in the arm's base frame, joints that are not of the spec at 0; None without a way."""
    above = {_link(joint, "child"): joint for joint in root.iter("joint")}
    joints: list[ElementTree.Element] = []
    link = arm.tip_frame
    while link != arm.base_frame:
        if link not in above or len(joints) > len(above):
            return None
        joints.insert(0, above[link])
        link = _link(above[link], "parent")
    chain = Chain(
        origins_N6=np.array([*map(_origin, joints), np.zeros(6)]),
        axes_J3=np.array([_axis(joint) for joint in joints]),
        source="the robot's description",
    )
    q_J = np.array([angles.get(joint.get("name", ""), 0.0) for joint in joints])
    return ChainKinematics([chain])(q_J)[0]


def _link(joint: ElementTree.Element, end: str) -> str:
    found = joint.find(end)
    return "" if found is None else found.get("link", "")


def _origin(joint: ElementTree.Element) -> list[float]:
    origin = joint.find("origin")
    words = ["0 0 0"] * 2
    if origin is not None:
        words = [origin.get("xyz", "0 0 0"), origin.get("rpy", "0 0 0")]
    return [float(number) for word in words for number in word.split()]


def _axis(joint: ElementTree.Element) -> np.ndarray:
    axis = joint.find("axis")
    words = IDLE_AXIS if axis is None else axis.get("xyz", IDLE_AXIS)
    vector = np.array([float(number) for number in words.split()])
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0.0 else np.array([1.0, 0.0, 0.0])
