"""One robot for the controller: every command and gripper of its spec, and the states it lacks."""

from collections.abc import Sequence

from rclpy.node import Node

from a1_controllers.adapter import ArmLink, Floats, GripperLink, Readiness
from a1_controllers.error_state import ErrorStates
from a1_controllers.made_state import MadeStates
from a1_core.player import Setpoint
from a1_core.spec import RobotSpec


class Robot:
    """Windows to every arm, wishes to every gripper; ready when all of them are."""

    def __init__(
        self,
        node: Node,
        spec: RobotSpec,
        arms: Sequence[ArmLink],
        grippers: Sequence[GripperLink],
    ) -> None:
        self._arms = arms
        self._grippers = grippers
        self._links: list[ArmLink | GripperLink] = [*arms, *grippers]
        self._joints = len(spec.joint_names)
        self._states = MadeStates(node, spec)
        self._errors = ErrorStates(node, spec)

    def start(self) -> None:
        """Make the endpoints and begin to ask the robot's side about itself."""
        self._states.start()
        self._errors.start()
        for link in self._links:
            link.start()

    def refresh(self) -> None:
        """Ask the robot's side again; called about once a second."""
        for link in self._links:
            link.refresh()

    def ready(self) -> Readiness:
        """The first refusal, in the order of the spec; ready when there is none."""
        for link in self._links:
            if not (answer := link.ready()).ok:
                return answer
        return self._errors.ready()

    def fault(self) -> str:
        """Why the robot cannot follow now; empty when it can."""
        found = (arm.fault() for arm in self._arms)
        return next((reason for reason in found if reason), "") or self._errors.fault()

    def update(self, *, armed: bool, measured_D: Floats | None) -> None:
        """Once a tick: whether the robot is ours, and where it is."""
        for arm in self._arms:
            arm.update(armed=armed, measured_D=measured_D)
        if measured_D is not None:
            for link, unit in zip(self._grippers, measured_D[self._joints :], strict=True):
                link.update(float(unit))

    def command(self, window: Sequence[Setpoint], *, stamp_ns: int) -> None:
        """Follow `window`, whose first set-point is that of `stamp_ns` on the node's clock."""
        for arm in self._arms:
            arm.command(window, stamp_ns=stamp_ns)

    def grippers(self, units: Sequence[float | None]) -> None:
        """Bring the grippers, in the spec's order, to these openings; None stays as it is."""
        for index, (link, unit) in enumerate(zip(self._grippers, units, strict=False)):
            if unit is not None:
                link.command(unit)
                self._states.gripper_told(index, unit)

    def forget_grippers(self) -> None:
        """Drop wishes that have not been sent: a stop must not open a hand later."""
        for link in self._grippers:
            link.forget()

    def recover(self) -> None:
        """An operator wants to go on after a fault."""
        for arm in self._arms:
            arm.recover()

    def close(self) -> None:
        """Take the endpoints down."""
        for link in self._links:
            link.close()
        self._errors.close()
        self._states.close()
