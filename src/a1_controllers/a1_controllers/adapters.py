"""From what a robot spec asks for to what can do it, or to the reason why nothing can."""

from collections.abc import Callable, Mapping, Sequence

from rclpy.node import Node

from a1_controllers.adapter import ArmLink, GripperLink
from a1_controllers.gripper_command import GripperCommandClient
from a1_controllers.joint_group import JointGroupSender, JointSingleLink
from a1_controllers.joint_state import HandTopic, JointStateSender
from a1_controllers.joint_trajectory import JointTrajectoryLink
from a1_controllers.libfranka import LibfrankaHand, LibfrankaLink
from a1_controllers.made_state import BY_THE_ADAPTER, COMMANDED, CONVERSIONS
from a1_controllers.robot import Robot
from a1_controllers.robot_cmd import RobotCmdSender, WithArmLink
from a1_controllers.servo_j import ServoJSender, ToolOutputLink
from a1_controllers.stream import Sender, StreamedArm
from a1_core.errors import A1Error
from a1_core.spec import CommandSpec, GripperSpec, RobotSpec

SENDERS: Mapping[str, Callable[[Node, RobotSpec, CommandSpec], Sender]] = {
    "joint_state": JointStateSender,
    "joint_group": JointGroupSender,
    "servo_j": ServoJSender,
    "robot_cmd": RobotCmdSender,
}


def make_robot(node: Node, spec: RobotSpec, *, hardware: bool, address: str = "") -> Robot:
    """Links for every command and gripper of `spec`.

    `address` takes the place of the one in the spec, for a robot that is spoken to without ROS.
    Raises A1Error when a fact is a GAP without which nothing may move, or when a vendor's message
    package is not installed.
    """
    refuse_unserved(spec, hardware=hardware)
    arms = [_arm(node, spec, command, address) for command in spec.commands]
    topics: dict[str, HandTopic] = {}
    grippers = [_gripper(node, spec, gripper, arms, topics) for gripper in spec.grippers]
    return Robot(node, spec, arms, grippers)


def _arm(node: Node, spec: RobotSpec, command: CommandSpec, address: str) -> ArmLink:
    if command.adapter == "joint_trajectory":
        return JointTrajectoryLink(node, spec, command)
    if command.adapter == "libfranka":
        return LibfrankaLink(node, spec, command, address or command.endpoint)
    return StreamedArm(node, spec, command, SENDERS[command.adapter](node, spec, command))


def _gripper(
    node: Node,
    spec: RobotSpec,
    gripper: GripperSpec,
    arms: Sequence[ArmLink],
    topics: dict[str, HandTopic],
) -> GripperLink:
    match gripper.command.interface:
        case "gripper_command" | "parallel_gripper":
            return GripperCommandClient(node, gripper)
        case "joint_state":
            endpoint = gripper.command.endpoint
            return topics.setdefault(endpoint, HandTopic(node, endpoint)).link(gripper)
        case "joint_single":
            return JointSingleLink(node, spec, gripper)
        case "tool_output":
            return ToolOutputLink(node, spec, gripper)
        case "with_arm":
            return WithArmLink()
        case "libfranka":
            link = next((arm for arm in arms if isinstance(arm, LibfrankaLink)), None)
            if link is None:
                raise A1Error(f"{spec.path}: {gripper.name}: libfranka, and no command is")
            return LibfrankaHand(link, gripper)


def refuse_unserved(spec: RobotSpec, *, hardware: bool) -> None:
    """Raise A1Error with `why_not`, if there is a reason."""
    refusal = why_not(spec, hardware=hardware)
    if refusal:
        raise A1Error(f"{spec.path}: {refusal}")


def why_not(spec: RobotSpec, *, hardware: bool) -> str:
    """Why the controller cannot move this robot, with what to do; empty when it can.

    A simulated robot may do without what only matters to a real one: what becomes of an arm whose
    commands stop, and its kinematics.
    """
    if spec.gaps:
        return (
            f"nobody published {', '.join(spec.gaps)} (GAP): measure on the robot and write into "
            "a copy of the spec"
        )
    if hardware and spec.kinematics is None:
        return (
            "kinematics are GAP, and on hardware the workspace limit needs them: write the chain "
            "of frames into a copy of the spec"
        )
    for command in spec.commands:
        if hardware and command.stream is not None and command.stream.silence == "GAP":
            return (
                f"nobody published what the arm does when commands stop (stream.silence of command "
                f"'{command.name}' is GAP): find out with the arm moving slowly, and write holds "
                "into a copy of the spec if it holds"
            )
    for source in spec.state_sources:
        made_of = COMMANDED if source.made_from is None else source.made_from.type
        if made_of not in (COMMANDED, *BY_THE_ADAPTER, *CONVERSIONS):
            return (
                f"nothing makes a joint state of {made_of} ({source.topic}); there are: "
                f"{', '.join(CONVERSIONS)}"
            )
    return ""
