"""Robot and policy on two computers: what each sees when the link or a clock fails.

Argument: a folder. Prints one JSON line of what happened, for test_two_hosts.py. With `--policy`
this is the other computer's process: the policy node, around a policy that swings the first joint,
on a clock of its own that is set 3 s ahead when a line comes in.
"""

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import rclpy
from _hosts import Hosts, become_robot_host, die_with_parent
from a1_msgs.msg import ControllerState
from a1_msgs.srv import SetInstruction
from diagnostic_msgs.msg import DiagnosticArray
from policy_rig import KnownPolicy, known_checkpoint, write_quick_spec
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool
from waiting import wait_for

from a1_controllers.node import ControllerNode
from a1_core.spec import RobotSpec, load_spec
from a1_ros.executor import SpinThread, make_executor
from a1_ros.images import to_image
from a1_ros.qos import RELIABLE
from a1_ros.times import node_now_ns, ns_to_stamp
from a1_sim.stand_in import StandIn

# What is looked at here is not how punctual this machine is.
PATIENCE_S = 4.0
BEHIND = "behind this computer's clock"
AHEAD_NS = 3_000_000_000
SWING_NS = 2_000_000_000
patiently = partial(wait_for, timeout_s=60.0)


class Swinging(KnownPolicy):
    """The first joint goes to one side for two seconds, then to the other."""

    def act(self, observation, *, setting, deadline_s=None, prefix=None):
        output = super().act(observation, setting=setting, deadline_s=deadline_s, prefix=prefix)
        output.actions_HD[:] = 0.0
        side = 1.0 if observation.stamp_ns // SWING_NS % 2 else -1.0
        output.actions_HD[:, 0] = side * np.linspace(0.0, 0.1, self.horizon)
        output.actions_HD[:, 7] = 1.0
        return output


def be_policy(spec_file: str) -> None:
    """The policy's computer."""
    from a1_policy_node.node import PolicyNode

    rclpy.init(args=["--ros-args", "-r", "/clock:=/policy/clock"])
    values = {"robot": spec_file, "checkpoint": str(Path(spec_file).parent), "use_sim_time": True}
    checkpoint = known_checkpoint(Swinging())
    policy = PolicyNode(
        load_checkpoint=lambda directory, spec, settings: checkpoint,
        parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
    )
    clock, ahead_ns = rclpy.create_node("policy_clock"), [0]
    ticks = clock.create_publisher(Clock, "/policy/clock", RELIABLE)
    clock.create_timer(
        0.02, lambda: ticks.publish(Clock(clock=ns_to_stamp(node_now_ns(clock) + ahead_ns[0])))
    )
    executor = make_executor()
    for node in (policy, clock):
        executor.add_node(node)
    SpinThread(executor)
    policy.trigger_configure()
    policy.trigger_activate()
    print("up", flush=True)
    for _ in sys.stdin:
        ahead_ns[0] = AHEAD_NS
    os._exit(0)  # the other computer has ended


class Person(Node):
    """Cameras at the robot, and an operator who arms, instructs and reads."""

    def __init__(self, spec: RobotSpec) -> None:
        super().__init__("person")
        self.mode, self.reason, self.clock_complaint = -1, "", ""
        self._cameras = [self.create_publisher(Image, c.topic, RELIABLE) for c in spec.cameras]
        self._rng = np.random.default_rng(0)
        self.create_timer(1.0 / spec.cameras[0].rate_hz, self._look)
        self.create_subscription(ControllerState, "a1/controller_state", self._hear, RELIABLE)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._read, RELIABLE)
        self._arm = self.create_client(SetBool, "a1/arm")
        self._instruct = self.create_client(SetInstruction, "a1/set_instruction")

    def armed(self) -> bool:
        return self._asked(self._arm, SetBool.Request(data=True))

    def instructed(self) -> bool:
        return self._asked(self._instruct, SetInstruction.Request(instruction="swing"))

    def _asked(self, client, request) -> bool:
        if not client.service_is_ready():
            return False
        future = client.call_async(request)
        return wait_for(future.done, 2.0) and future.result().success

    def _look(self) -> None:
        pixels = self._rng.integers(0, 255, (32, 32, 3), np.uint8)
        for camera in self._cameras:
            camera.publish(to_image(pixels, node_now_ns(self), "camera"))

    def _hear(self, msg: ControllerState) -> None:
        self.mode, self.reason = msg.mode, msg.reason

    def _read(self, msg: DiagnosticArray) -> None:
        said = (s.message for s in msg.status if s.name.startswith("/policy: joints"))
        self.clock_complaint = next((text for text in said if "clock" in text), "")


def be_robot(hosts: Hosts, spec: RobotSpec) -> dict[str, object]:
    """The robot's computer, and all that is done to the two."""
    argv = [sys.executable, __file__, "--policy", str(spec.path)]
    argv, environment = hosts.on_policy_host(argv, os.environ)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    policy = subprocess.Popen(argv, env=environment, preexec_fn=die_with_parent, **pipes)  # noqa: PLW1509
    rclpy.init()
    values = {"robot": str(spec.path), "settle_s": 0.0}
    stand_in = StandIn(parameter_overrides=[Parameter(k, value=v) for k, v in values.items()])
    values = {"robot": str(spec.path), "hardware": False}
    controller = ControllerNode(
        parameter_overrides=[Parameter(k, value=v) for k, v in values.items()]
    )
    controller.trigger_configure()
    controller.trigger_activate()
    person = Person(spec)
    executor = make_executor()
    for node in (stand_in, controller, person):
        executor.add_node(node)
    SpinThread(executor)

    def tracks() -> bool:
        return person.mode == ControllerState.TRACKING

    told: dict[str, object] = {"policy is up": policy.stdout.readline().strip() == "up"}
    told["armed"] = patiently(person.armed)
    told["instructed over the link"] = patiently(person.instructed)
    told["moves"] = patiently(tracks)
    told["clocks agree"] = BEHIND not in person.clock_complaint
    hosts.pull_the_cable()
    told["holds without the link"] = patiently(lambda: person.mode == ControllerState.HOLD)
    told["why"] = person.reason
    hosts.plug_it_in()
    told["goes on by itself"] = patiently(tracks)
    policy.stdin.write("set your clock ahead\n")
    policy.stdin.flush()
    patiently(lambda: BEHIND in person.clock_complaint)
    told["of the clocks"] = person.clock_complaint
    return told


def main() -> None:
    if sys.argv[1] == "--policy":
        be_policy(sys.argv[2])
        return
    become_robot_host()
    path = write_quick_spec(Path(sys.argv[1]) / "patient.yaml")
    path.write_text(re.sub(r"max_age_s: .*", f"max_age_s: {PATIENCE_S}", path.read_text()))
    with Hosts() as hosts:
        print(json.dumps(be_robot(hosts, load_spec(path))), flush=True)
    os._exit(0)  # nothing of the two computers is to be taken down in order


if __name__ == "__main__":
    main()
