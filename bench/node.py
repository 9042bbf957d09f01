"""What the policy node adds to its model: time from a camera's stamp to the chunk, over real DDS.

This process runs the node with a randomly initialised tiny checkpoint; a second one is the robot:
two cameras of 224x224 at 10 Hz, joint states at 100 Hz, and it hears the chunks. Prints one JSON
line and writes out/bench/node.json.

overhead_ms_p95: camera stamp until the chunk is heard in the robot's process, less model time and
less the wait for a busy worker. callback_wait_ms_p99: stamp of a joint state until a callback in
the node's executor has it. setup_s: configure (import torch, load, warm up, measure segments) and
activate, in a process that had not loaded torch.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from a1_ros.domain import own_domain

os.environ.setdefault("ROS_DOMAIN_ID", str(own_domain()))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import rclpy
from a1_msgs.msg import ActionChunk, ExitState
from a1_msgs.srv import SetInstruction
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image, JointState

from a1_core.spec import load_spec
from a1_core.times import NS_PER_S
from a1_ros.compose import Composition
from a1_ros.executor import make_executor
from a1_ros.images import to_image
from a1_ros.messages import to_joint_state
from a1_ros.qos import RELIABLE, SENSOR
from a1_ros.times import node_now_ns, stamp_to_ns

ROOT = Path(__file__).parents[1]
SPEC = ROOT / "config/robots/franka.yaml"
OUT = ROOT / "out/bench/node.json"
NODE = "a1_policy_node.node:PolicyNode"
INSTRUCTION = "touch the red cube"
SIDE_PX = 224
WARM_UP_CHUNKS = 5


class Robot(Node):
    """Publishes what the spec's robot publishes; hears chunks and their exit states."""

    def __init__(self) -> None:
        super().__init__("bench_robot")
        self.spec = load_spec(SPEC)
        self.heard_ns: dict[int, int] = {}
        self.states: dict[int, ExitState] = {}
        rng = np.random.default_rng(0)
        self._pixels = rng.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
        self._images = [self.create_publisher(Image, c.topic, SENSOR) for c in self.spec.cameras]
        self._joints = [
            (source, self.create_publisher(JointState, source.topic, SENSOR))
            for source in self.spec.state_sources
        ]
        self.create_subscription(ActionChunk, "a1/chunk", self._hear, RELIABLE)
        self.create_subscription(ExitState, "a1/exit_state", self._note, RELIABLE)
        self.create_timer(0.1, self._look)
        self.create_timer(0.01, self._feel)
        self._instruct = self.create_client(SetInstruction, "a1/set_instruction")

    def instruct(self) -> None:
        """Give the instruction; the answer does not matter here."""
        self._instruct.wait_for_service()
        self._instruct.call_async(SetInstruction.Request(instruction=INSTRUCTION))

    def samples(self) -> list[dict[str, float]]:
        """One entry a chunk after the first few, in milliseconds; `stamp_s`: its observation's."""
        chunks = sorted(self.heard_ns.keys() & self.states.keys())[WARM_UP_CHUNKS:]
        return [self._sample(self.states[seq], self.heard_ns[seq]) for seq in chunks]

    def _sample(self, state: ExitState, heard_ns: int) -> dict[str, float]:
        stamp_ns = stamp_to_ns(state.header.stamp)
        whole_ms = (heard_ns - stamp_ns) / 1e6
        return {
            "stamp_s": stamp_ns / NS_PER_S,
            "overhead": whole_ms - state.total_ms - state.wait_ms,
            "wait": state.wait_ms,
            "model": state.total_ms,
            "age": state.observation_age_ms,
        }

    def _look(self) -> None:
        stamp_ns = node_now_ns(self)
        for publisher in self._images:
            publisher.publish(to_image(self._pixels, stamp_ns, "camera"))

    def _feel(self) -> None:
        stamp_ns = node_now_ns(self)
        for source, publisher in self._joints:
            publisher.publish(to_joint_state(source.joints, [0.0] * len(source.joints), stamp_ns))

    def _hear(self, msg: ActionChunk) -> None:
        self.heard_ns[msg.seq] = node_now_ns(self)

    def _note(self, msg: ExitState) -> None:
        self.states[msg.seq] = msg


def be_robot(seconds: float) -> None:
    """The second process: stream for `seconds`, or until terminated, then print the samples."""
    # rclpy's own handler takes the context away in the middle of a wait.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    robot = Robot()
    robot.instruct()
    executor = make_executor()
    executor.add_node(robot)
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s and not terminated.is_set():
        executor.spin_once(timeout_sec=0.05)
    print(json.dumps(robot.samples()))


def write_checkpoint(directory: Path) -> None:
    """A tiny network with random weights: it costs what a trained one costs."""
    import torch

    from a1_core.normaliser import Normaliser
    from a1_model.checkpoint import save_checkpoint
    from a1_model.config import tiny
    from a1_model.network import A1Network
    from a1_model.tokenizer import InstructionTokenizer

    spec = load_spec(SPEC)
    torch.manual_seed(0)
    tokenizer = InstructionTokenizer.from_words(INSTRUCTION.split())
    ones_D = np.ones(spec.dim)
    save_checkpoint(
        directory,
        network=A1Network(tiny(vocab_size=len(tokenizer))),
        tokenizer=tokenizer,
        normaliser=Normaliser(
            names=spec.action_names,
            state_low_D=-ones_D,
            state_high_D=ones_D,
            action_low_D=-ones_D,
            action_high_D=ones_D,
        ),
        spec=spec,
        metadata={"made_by": "bench/node.py"},
    )


def run_node(directory: Path, seconds: float) -> tuple[list[dict[str, float]], list[float], float]:
    """Samples of the robot's process, callback waits (ms) and the set-up time (s)."""
    waits_ms: list[float] = []
    rclpy.init()
    parameters = {NODE: {"robot": str(SPEC), "checkpoint": str(directory), "mode": "full"}}
    with Composition([NODE], parameters=parameters) as composition:
        began_s = time.monotonic()
        composition.bring_up()
        setup_s = time.monotonic() - began_s
        probe = rclpy.create_node("bench_probe")
        topic = load_spec(SPEC).state_sources[0].topic

        def hear(msg: JointState) -> None:
            waits_ms.append((node_now_ns(probe) - stamp_to_ns(msg.header.stamp)) / 1e6)

        probe.create_subscription(JointState, topic, hear, SENSOR)
        composition.executor.add_node(probe)
        command = [sys.executable, __file__, "--robot", "--seconds", str(seconds)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        composition.executor.remove_node(probe)
        probe.destroy_node()
    rclpy.shutdown()
    return json.loads(answer.stdout.splitlines()[-1]), waits_ms, setup_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="time of measurement")
    parser.add_argument("--robot", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write_checkpoint(arguments.write)
        return
    if arguments.robot:
        be_robot(arguments.seconds)
        return
    with tempfile.TemporaryDirectory() as directory:
        checkpoint = Path(directory) / "checkpoint"
        command = [sys.executable, __file__, "--write", str(checkpoint)]
        subprocess.run(command, check=True)
        samples, waits_ms, setup_s = run_node(checkpoint, arguments.seconds)
    by_name = {name: [sample[name] for sample in samples] for name in samples[0]}
    figures = [
        ("overhead_ms_p50", np.percentile(by_name["overhead"], 50), "ms"),
        ("overhead_ms_p95", np.percentile(by_name["overhead"], 95), "ms"),
        ("callback_wait_ms_p99", np.percentile(waits_ms, 99), "ms"),
        ("wait_ms_p95", np.percentile(by_name["wait"], 95), "ms"),
        ("observation_age_ms_p95", np.percentile(by_name["age"], 95), "ms"),
        ("model_ms_p50", np.percentile(by_name["model"], 50), "ms"),
        ("setup_s", setup_s, "s"),
        ("chunks", len(samples), "1"),
    ]
    rows = [{"name": n, "value": round(float(v), 3), "unit": unit} for n, v, unit in figures]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    print(json.dumps({"bench": "node", **{row["name"]: row["value"] for row in rows}}))


if __name__ == "__main__":
    main()
