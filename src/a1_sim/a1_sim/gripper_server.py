"""The hand's action server: control_msgs/action/GripperCommand, position = travel of a finger (m).

As Franka's own server: a position out of range aborts, a cancel stops the hand. A goal that closes
on something ends as stalled and keeps squeezing; a new goal takes the place of the old one.
"""

from control_msgs.action import GripperCommand
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from a1_core.spec import RobotSpec
from a1_sim.gripper import GripperGoal, GripperStatus
from a1_sim.robot import SimulatedRobot


class GripperServer:
    """Serves the hand of `robot` under the name of the spec; `tick` looks after the goal."""

    def __init__(self, node: Node, spec: RobotSpec, robot: SimulatedRobot) -> None:
        self._robot = robot
        self._closed = spec.gripper.command.closed
        self._open = spec.gripper.command.open
        self._goal: GripperGoal | None = None
        self._handle: ServerGoalHandle | None = None
        self._server = ActionServer(
            node,
            GripperCommand,
            spec.gripper.command.action,
            execute_callback=self._finish,
            goal_callback=lambda request: GoalResponse.ACCEPT,
            handle_accepted_callback=self._begin,
            cancel_callback=lambda handle: CancelResponse.ACCEPT,
        )

    def tick(self) -> None:
        """Look whether the goal in hand has ended."""
        if self._handle is None or self._goal is None:
            return
        finger_m = self._robot.world.finger_position
        if self._handle.is_cancel_requested:
            self._robot.gripper_unit = self._unit(finger_m)
            self._end(reached=False, stalled=False, good=False)
            return
        status = self._goal.status(self._robot.now_ns, finger_m)
        if status is not GripperStatus.MOVING:
            reached = status is GripperStatus.REACHED
            self._end(reached=reached, stalled=not reached, good=True)

    def abort(self) -> None:
        """End the goal in hand, as a reset of the world does."""
        if self._handle is not None:
            self._end(reached=False, stalled=False, good=False)

    def close(self) -> None:
        """Take the server down."""
        self._goal = self._handle = None
        self._server.destroy()

    def _begin(self, handle: ServerGoalHandle) -> None:
        self.abort()
        position_m = handle.request.command.position
        low, high = sorted((self._closed, self._open))
        self._handle = handle
        if not low <= position_m <= high:
            self._end(reached=False, stalled=False, good=False)
            return
        robot = self._robot
        self._goal = GripperGoal(
            position_m=position_m, start_ns=robot.now_ns, start_m=robot.world.finger_position
        )
        robot.gripper_unit = self._unit(position_m)

    def _end(self, *, reached: bool, stalled: bool, good: bool) -> None:
        handle, self._handle, self._goal = self._handle, None, None
        assert handle is not None
        handle.execute(lambda handle: self._finish(handle, reached, stalled, good))

    def _finish(
        self,
        handle: ServerGoalHandle,
        reached: bool = False,
        stalled: bool = False,
        good: bool = False,
    ) -> GripperCommand.Result:
        if handle.is_cancel_requested:
            handle.canceled()
        elif good:
            handle.succeed()
        else:
            handle.abort()
        return GripperCommand.Result(
            position=self._robot.world.finger_position,
            effort=0.0,
            reached_goal=reached,
            stalled=stalled,
        )

    def _unit(self, position_m: float) -> float:
        return (position_m - self._closed) / (self._open - self._closed)
