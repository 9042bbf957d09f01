"""From what a robot spec asks for to the adapter that can do it, or to the reason why none can."""

from collections.abc import Callable, Mapping

from rclpy.node import Node

from a1_controllers.adapter import Adapter
from a1_controllers.joint_trajectory import JointTrajectoryAdapter
from a1_core.errors import A1Error
from a1_core.spec import RobotSpec

ADAPTERS: Mapping[str, Callable[[Node, RobotSpec], Adapter]] = {
    "joint_trajectory": JointTrajectoryAdapter,
}
GRIPPERS = ("gripper_command",)


def make_adapter(node: Node, spec: RobotSpec) -> Adapter:
    """The adapter for the robot of `spec`.

    Raises A1Error when a fact is a GAP without which nothing may move, when an adapter or a
    gripper's interface is not there, or when the robot has more arms than an adapter serves.
    """
    refuse_unserved(spec)
    return ADAPTERS[spec.command.adapter](node, spec)


def refuse_unserved(spec: RobotSpec) -> None:
    """Raise A1Error with `why_not`, if there is a reason."""
    refusal = why_not(spec)
    if refusal:
        raise A1Error(f"{spec.path}: {refusal}")


def why_not(spec: RobotSpec) -> str:
    """Why the controller cannot move this robot, with what to do; empty when it can."""
    if spec.gaps:
        return (
            f"nobody published {', '.join(spec.gaps)} (GAP): measure on the robot and write into "
            "a copy of the spec"
        )
    for command in spec.commands:
        if command.adapter not in ADAPTERS:
            return (
                f"adapter '{command.adapter}' of command '{command.name}' is not part of this "
                f"release; there are: {', '.join(ADAPTERS)}"
            )
    for gripper in spec.grippers:
        if gripper.command.interface not in GRIPPERS:
            return (
                f"interface '{gripper.command.interface}' of {gripper.name} is not part of this "
                f"release; there are: {', '.join(GRIPPERS)}"
            )
    if len(spec.commands) > 1 or len(spec.grippers) > 1:
        return (
            f"has {len(spec.commands)} commands and {len(spec.grippers)} grippers; this release "
            "moves robots with one of each"
        )
    return ""
