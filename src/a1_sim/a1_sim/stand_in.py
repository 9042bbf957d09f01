"""A stand-in for any robot: it plays a spec on the robot's own topics and types.

Where the spec names a MuJoCo model it has physics and cameras. Elsewhere it is kinematic:
trajectories are followed exactly, set-points as fast as servos can. What a vendor refuses (steps,
malformed trajectories) is refused. When commands stop it holds; that is the stand-in's way and says
nothing of the robot.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from a1_core.errors import A1Error
from a1_core.spec import load_spec
from a1_ros.executor import run_node
from a1_ros.guard import refuse_foreign_endpoints
from a1_sim.stand_in_arm import Joints, StreamedSetpoints
from a1_sim.stand_in_parts import (
    StandInErrors,
    StandInGripper,
    StandInJtc,
    listen_to_stream,
    state_publisher,
)
from a1_sim.stand_in_physics import PhysicalJoints, StandInCameras

CYCLE_HZ = 100.0
LONGEST_STEP_S = 0.1
CONTROLLER = "controller"


class StandIn(Node):
    """Parameters `robot`: file of the spec, without gaps; `physics`: false for a kinematic one of
    every robot; `settle_s`: time (s) in which to find out whether somebody else is on the command
    topics.

    Attributes:
        joints: where everything is.
        streams: one for every command that is streamed.
        controllers: trajectory controllers; nodes of their own, spun by this node's executor.
    """

    def __init__(self, **node_kwargs: Any) -> None:
        super().__init__("stand_in", **node_kwargs)
        file = self.declare_parameter("robot", "").value
        if not file:
            raise A1Error("stand_in: parameter robot is empty; give the file of a robot spec")
        spec = load_spec(file)
        if spec.gaps:
            raise A1Error(
                f"{spec.path}: {', '.join(spec.gaps)} (GAP): the stand-in needs numbers; "
                "`robot_demo` writes a copy with some"
            )
        if any(command.adapter == "libfranka" for command in spec.commands):
            raise A1Error(f"{spec.path}: is spoken to without ROS: franky-sim plays that robot")
        self.spec = spec
        endpoints = [c.endpoint for c in spec.commands if c.adapter != "servo_j"]
        names = [c.controller.rpartition("/")[2] for c in spec.commands if c.controller]
        settle_s = float(self.declare_parameter("settle_s", 1.0).value)
        refuse_foreign_endpoints(self, endpoints, allowed=(CONTROLLER, *names), settle_s=settle_s)
        physics = bool(self.declare_parameter("physics", True).value) and spec.model is not None
        self.joints = PhysicalJoints(spec) if physics else Joints(spec)
        self._stepped_s = time.monotonic()
        self.streams: list[StreamedSetpoints] = []
        self.controllers: list[StandInJtc] = []
        context = {k: v for k, v in node_kwargs.items() if k == "context"}
        period_ns = round(1e9 / CYCLE_HZ)
        for command in spec.commands:
            if command.adapter == "joint_trajectory":
                jtc = StandInJtc(spec, command, self.joints, period_ns, **context)
                self.controllers.append(jtc)
            else:
                self.streams.append(listen_to_stream(self, spec, command, self.joints))
        self.grippers = [
            StandInGripper(self, spec, index, self.joints) for index in range(len(spec.grippers))
        ]
        self.errors = StandInErrors(self, spec)
        self.speaking = True
        for source in spec.state_sources:
            publish = state_publisher(self, spec, source, self.joints)
            if publish is not None:
                rate_hz = min(source.rate_hz, CYCLE_HZ)
                self.create_timer(1.0 / rate_hz, self._while_speaking(publish))
        self.create_timer(1.0 / CYCLE_HZ, self._cycle)
        self.cameras = (
            StandInCameras(self, spec, self.joints)
            if isinstance(self.joints, PhysicalJoints)
            else None
        )
        self.create_timer(0.25, self._tell)

    def destroy_node(self) -> None:
        if self.cameras is not None:
            self.cameras.close()
        for gripper in self.grippers:
            gripper.close()
        for controller in self.controllers:
            controller.destroy_node()
        super().destroy_node()

    def _while_speaking(self, publish: Callable[[], None]) -> Callable[[], None]:
        def tell() -> None:
            if self.speaking:
                publish()

        return tell

    def _cycle(self) -> None:
        # A timer that came late leaves out the cycles between.
        now_s = time.monotonic()
        elapsed_s, self._stepped_s = now_s - self._stepped_s, now_s
        self.joints.step(min(max(elapsed_s, 1e-3), LONGEST_STEP_S))
        for controller in self.controllers:
            controller.step()

    def _tell(self) -> None:
        self.errors.tell()
        for controller in self.controllers:
            if controller.executor is None and self.executor is not None:
                self.executor.add_node(controller)
            controller.tell()


def main() -> None:
    """Console script `stand_in`."""
    run_node(StandIn)


if __name__ == "__main__":
    main()
