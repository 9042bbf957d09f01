"""A robot spec against what the running robot says of itself: description, states, endpoints."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from a1_core.spec import CommandSpec, GripperSpec, RobotSpec

IMAGES = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
STATES = "sensor_msgs/msg/JointState"
ACTION_STATUS = "action_msgs/msg/GoalStatusArray"
# A vendor limit in the spec and one in the description that are farther apart are told (rad).
SAME_RAD = 0.01


class Level(Enum):
    """How a finding stands; OPEN is for a person to look at."""

    GOOD = "ok"
    OPEN = "??"
    BAD = "NO"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the table."""

    level: Level
    what: str
    found: str


def check_gaps(spec: RobotSpec) -> list[Finding]:
    """What the spec leaves open, which keeps the robot from moving."""
    return [
        Finding(level=Level.BAD, what=gap, found="GAP in the spec: measure it") for gap in spec.gaps
    ]


def check_description(spec: RobotSpec, urdf: str | None) -> list[Finding]:
    """Joints, limits and frames of the robot's URDF; None when none was heard."""
    if urdf is None:
        return [Finding(level=Level.OPEN, what="/robot_description", found="nothing heard")]
    try:
        root = ElementTree.fromstring(urdf)
    except ElementTree.ParseError as error:
        return [Finding(level=Level.BAD, what="/robot_description", found=f"no XML: {error}")]
    joints = {joint.get("name"): joint for joint in root.iter("joint")}
    links = {link.get("name") for link in root.iter("link")}
    frames = {spec.base_frame, *(f for arm in spec.arms for f in (arm.base_frame, arm.tip_frame))}
    findings = [
        _there(f"frame {frame}", frame in links, "not a link of the description")
        for frame in sorted(frames)
    ]
    for index, name in enumerate(spec.urdf_names):
        what = f"joint {spec.joint_names[index]}"
        if name not in joints:
            findings.append(_there(what, False, f"no joint {name} in the description"))
        else:
            findings.append(_limits(spec, index, what, joints[name].find("limit")))
    return findings


def _limits(spec: RobotSpec, index: int, what: str, limit: ElementTree.Element | None) -> Finding:
    ends = [] if limit is None else [limit.get("lower"), limit.get("upper")]
    if None in ends or not ends:
        return Finding(level=Level.OPEN, what=what, found="the description gives no range")
    low, high = (float(end or 0.0) for end in ends)
    operating, vendor = spec.operating_limits, spec.vendor_limits
    if operating.position_lower[index] < low or operating.position_upper[index] > high:
        return Finding(
            level=Level.BAD,
            what=what,
            found=f"range {low:.4g}..{high:.4g}: the operating limits of the spec reach beyond it",
        )
    known = ((vendor.position_lower, low), (vendor.position_upper, high))
    if any(limits is not None and abs(limits[index] - end) > SAME_RAD for limits, end in known):
        return Finding(
            level=Level.OPEN,
            what=what,
            found=f"range {low:.4g}..{high:.4g} is not the vendor's in the spec: same build?",
        )
    return Finding(level=Level.GOOD, what=what, found=f"range {low:.4g}..{high:.4g}")


def check_states(spec: RobotSpec, heard: Mapping[int, tuple[Sequence[str], int]]) -> list[Finding]:
    """Joint states by index of their source: names and number of positions of a message."""
    findings = []
    for index, source in enumerate(spec.state_sources):
        what = f"state {source.topic}"
        if index not in heard:
            by = "" if source.made_from is None else ", which the adapter publishes"
            findings.append(Finding(level=Level.BAD, what=what, found=f"nothing heard{by}"))
            continue
        places = source.places(*heard[index])
        missing = [joint for joint in source.joints if joint not in places]
        findings.append(
            _there(what, not missing, f"without {', '.join(missing)}", f"{len(places)} joints")
        )
    return findings


def check_endpoints(spec: RobotSpec, types: Mapping[str, Iterable[str]]) -> list[Finding]:
    """Topics and services that the spec names, by the types that the graph shows for them."""
    wanted = [(f"camera {c.name}", c.topic, IMAGES[c.type]) for c in spec.cameras]
    for source in spec.state_sources:
        if source.made_from is not None and source.made_from.topic is not None:
            wanted.append(("state", source.made_from.topic, source.made_from.type))
    for command in spec.commands:
        wanted += _command_endpoints(command)
    for gripper in spec.grippers:
        wanted += _gripper_endpoints(gripper)
    return [_endpoint(what, name, kind, types) for what, name, kind in wanted]


def _command_endpoints(command: CommandSpec) -> list[tuple[str, str, str]]:
    what = f"command {command.name}"
    if command.adapter == "libfranka":
        return []  # spoken to without ROS: the controller says whether the robot answers
    found = [(what, command.endpoint, command.type or TRAJECTORY)]
    found += [(f"{what}, errors", error.topic, error.type) for error in command.error_states]
    if command.stop is not None and command.stop.name:
        found.append((f"{what}, stop", command.stop.name, command.stop.type))
    return found


def _gripper_endpoints(gripper: GripperSpec) -> list[tuple[str, str, str]]:
    command = gripper.command
    if not command.endpoint:
        return []
    if not command.type:
        return [(gripper.name, f"{command.endpoint}/_action/status", ACTION_STATUS)]
    return [(gripper.name, command.endpoint, command.type)]


def _endpoint(what: str, name: str, kind: str, types: Mapping[str, Iterable[str]]) -> Finding:
    found = sorted(types.get(name, ()))
    if kind in found:
        return Finding(level=Level.GOOD, what=f"{what} {name}", found=kind)
    told = f"has {', '.join(found)}, the spec wants {kind}" if found else "is not there"
    return Finding(level=Level.BAD, what=f"{what} {name}", found=told)


def _there(what: str, good: bool, bad: str, found: str = "there") -> Finding:
    return Finding(level=Level.GOOD if good else Level.BAD, what=what, found=found if good else bad)


def table(findings: Sequence[Finding]) -> str:
    """The findings for a person, one a line."""
    width = max((len(finding.what) for finding in findings), default=0)
    return "\n".join(f"{f.level.value}  {f.what:<{width}}  {f.found}" for f in findings)
