"""Console script `robot_demo`: any robot's loop with a stand-in in its place and a scripted policy.

The controller is the real one and speaks the robot's own topics; the stand-in answers on them, with
physics where the spec names a MuJoCo model. What nobody has published of a robot, the stand-in
makes up, in a copy of the spec beside the results.
"""

import argparse
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from a1_msgs.msg import ChunkVerdict, ControllerState
from rclpy.client import Client
from rclpy.task import Future
from rich.console import Console
from std_srvs.srv import SetBool

from a1_core.errors import A1Error
from a1_core.spec import RobotSpec, load_spec
from a1_core.whole_file import write_whole
from a1_data.share import find_spec
from a1_ros.command_line import ends_in_one_line
from a1_ros.domain import isolate
from a1_sim.filled_spec import write_filled
from a1_sim.script_source import ROUND_S, ScriptSource
from a1_sim.stage import spinning
from a1_sim.system import LaunchedSystem

LAUNCH_FILE = "stand_in.launch.xml"
READY_S = 180.0
# Of its swing, what a joint has to have done for the motion to count.
DONE = 0.8


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="robot_demo", description=__doc__)
    parser.add_argument("--robot", required=True, help="name of a robot spec, or its path")
    parser.add_argument("--seconds", type=float, default=3.0 * ROUND_S, help="of motion")
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    parser.add_argument("--kinematic", action="store_true", help="without physics and cameras")
    parser.add_argument("--domain", type=int, help="ROS domain; one of its own by default")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Move the robot and write a summary; exits with 1 and one line when it did not move."""
    options = parse(argv)
    console = Console()
    with ends_in_one_line("robot_demo", console, left="every node is ended"):
        _demo(options, console)


def _demo(options: argparse.Namespace, console: Console) -> None:
    domain = isolate(options.domain)
    out = options.out / Path(options.robot).stem
    spec = load_spec(write_filled(find_spec(options.robot).path, out / "spec.yaml"))
    physics = spec.model is not None and not options.kinematic
    arguments = {
        "robot": spec.robot,
        "spec": str(spec.path.resolve()),
        "domain": str(domain),
        "physics": str(physics).lower(),
    }
    with LaunchedSystem(LAUNCH_FILE, arguments, out / "system.log") as system, spinning() as spin:
        script = spin(ScriptSource(spec))
        with console.status("starting stand-in and controller"):
            _arm(script, script.create_client(SetBool, "a1/arm"), system)
        script.begin()
        with console.status(f"{options.seconds:.0f} s of motion"):
            _watch(system, options.seconds)
        script.end()
        summary = summarise(spec, script, physics=physics)
    write_whole(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    console.print(
        f"{spec.robot} {spec.variant}, {summary['stand_in']}: "
        f"{summary['chunks_accepted']} chunks accepted, "
        f"{summary['chunks_refused']} refused; the least of the joints did "
        f"{summary['least_share_of_swing']:.0%} of its swing; written: {out}/summary.json"
    )
    if not summary["moved"]:
        raise A1Error(f"the robot did not do its motion: {summary['last_words']}")


def _arm(script: ScriptSource, client: Client, system: LaunchedSystem) -> None:
    end_s = time.monotonic() + READY_S
    said = "the controller (a1/arm) is not there"
    while time.monotonic() < end_s:
        system.check()
        if client.wait_for_service(timeout_sec=0.2):
            future = client.call_async(SetBool.Request(data=True))
            if _done(future, 2.0):
                said = future.result().message
                if future.result().success:
                    return
        time.sleep(0.2)
    raise A1Error(f"not armed within {READY_S:.0f} s: {said}")


def _done(future: Future, timeout_s: float) -> bool:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    return done.wait(timeout_s)


def _watch(system: LaunchedSystem, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        system.check()
        time.sleep(0.1)


def summarise(spec: RobotSpec, script: ScriptSource, *, physics: bool) -> dict[str, Any]:
    """The figures of a motion; `moved` when every joint and gripper did what it was sent to do."""
    arm = len(spec.joint_names)
    measured_KD = np.array(script.measured) if script.measured else np.zeros((1, spec.dim))
    span_D = np.ptp(measured_KD, axis=0)
    shares_J = span_D[:arm] / np.abs(script.swing_J)
    accepted = script.codes.get(ChunkVerdict.ACCEPTED, 0)
    refused = sum(script.codes.values()) - accepted
    grippers = dict(zip(spec.action_names[arm:], span_D[arm:].round(3).tolist(), strict=True))
    armed = script.mode in (ControllerState.HOLD, ControllerState.TRACKING)
    return {
        "robot": spec.robot,
        "variant": spec.variant,
        "stand_in": "physics" if physics else "kinematic",
        "chunks_accepted": accepted,
        "chunks_refused": refused,
        "least_share_of_swing": float(shares_J.min()),
        "span_rad": dict(zip(spec.joint_names, span_D[:arm].round(4).tolist(), strict=True)),
        "span_of_grippers": grippers,
        "moved": bool(
            armed and accepted and (shares_J > DONE).all() and (span_D[arm:] > 0.5).all()
        ),
        "last_words": script.refusals[-1] if script.refusals else script.reason,
    }
