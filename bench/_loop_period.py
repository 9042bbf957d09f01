"""How evenly the controller ticks at 100 Hz under load, beside a timer that does nothing.

The controller plays a scripted motion with a chunk every 0.3 s on a kinematic stand-in, in real
time; a bare rclpy timer of the same rate runs in another process, and one more process infers
without a pause on the shipped checkpoint. Errors are how far periods are from nominal.
"""

import json
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import torch
from _one_node import process
from _smoothness import EVERY, RATE_HZ
from a1_msgs.msg import ControllerState
from numpy.typing import NDArray
from rclpy.node import Node
from std_srvs.srv import SetBool

from a1_core.errors import A1Error
from a1_core.policy import ExitSetting
from a1_core.spec import load_spec
from a1_model.checkpoint import load_checkpoint
from a1_policy_node.loading import warm_up_observation
from a1_ros.times import stamp_to_ns
from a1_sim.filled_spec import write_filled
from a1_sim.script_source import ScriptSource
from a1_sim.stage import spinning

ARM_S = 300.0
FIRST_S = 2.0


class InferenceLoad(Node):
    """Infers at full depth, again and again, on one thread."""

    def __init__(self, **node_kwargs: Any) -> None:
        super().__init__("load", **node_kwargs)
        spec = load_spec(self.declare_parameter("robot", "").value)
        torch.set_num_threads(1)
        policy = load_checkpoint(self.declare_parameter("checkpoint", "").value, spec).policy
        observation, self._over = warm_up_observation(spec), Event()

        def work() -> None:
            while not self._over.is_set():
                policy.act(observation, setting=ExitSetting(mode="full"))

        self._thread = Thread(target=work)
        self._thread.start()

    def destroy_node(self) -> None:
        self._over.set()
        self._thread.join()
        super().destroy_node()


class Ticks(Node):
    """Stamps of the controller's ticks (ns)."""

    def __init__(self) -> None:
        super().__init__("ticks", start_parameter_services=False)
        self.times_ns: list[int] = []
        self.create_subscription(ControllerState, "a1/controller_state", self._on_state, EVERY)

    def _on_state(self, msg: ControllerState) -> None:
        self.times_ns.append(stamp_to_ns(msg.header.stamp))


def p999_error_ms(times_ns: list[int]) -> float:
    """99.9th percentile of how far periods are from nominal (ms)."""
    periods_ms: NDArray[np.float64] = np.diff(np.array(times_ns)) / 1e6
    return float(np.percentile(np.abs(periods_ms - 1e3 / RATE_HZ), 99.9))


def measure(spec: Path, checkpoint: Path, out: Path, seconds: float) -> dict[str, float]:
    """The figures; A1Error when the controller could not be armed."""
    filled = load_spec(write_filled(spec, out / "spec.yaml"))
    robot = str(filled.path.resolve())
    answer = out / "bare.json"
    with ExitStack() as stack:
        for node, parameters in {
            "a1_sim.stand_in:StandIn": {"robot": robot},
            "_loop_period:InferenceLoad": {"robot": str(spec), "checkpoint": str(checkpoint)},
            "a1_controllers.node:ControllerNode": {
                "robot": robot,
                "hardware": False,
                "rate_hz": RATE_HZ,
            },
        }.items():
            name = node.rpartition(":")[2]
            stack.enter_context(process(node, parameters, out / f"{name}.log"))
        spin = stack.enter_context(spinning())
        script, ticks = spin(ScriptSource(filled)), spin(Ticks())
        _arm(script)
        script.begin()
        time.sleep(FIRST_S)
        with process("_one_node:BareTimer", {"rate_hz": RATE_HZ}, out / "bare.log", answer):
            time.sleep(FIRST_S)
            first = len(ticks.times_ns)
            time.sleep(seconds)
            controller_ns = ticks.times_ns[first:]
        script.end()
        accepted = sum(script.codes.values()) - len(script.refusals)
    bare_ns = json.loads(answer.read_text())[-len(controller_ns) :]
    controller_ms, bare_ms = p999_error_ms(controller_ns), p999_error_ms(bare_ns)
    return {
        "loop_period_p999_ratio": round(controller_ms / bare_ms, 3),
        "loop_period_p999_ms": round(controller_ms, 3),
        "bare_period_p999_ms": round(bare_ms, 3),
        "loop_periods": len(controller_ns) - 1,
        "loop_chunks": accepted,
    }


def _arm(script: ScriptSource) -> None:
    client = script.create_client(SetBool, "a1/arm")
    until_s, said = time.monotonic() + ARM_S, "a1/arm is not there"
    while time.monotonic() < until_s:
        if client.wait_for_service(timeout_sec=0.5):
            answered = Event()
            future = client.call_async(SetBool.Request(data=True))
            future.add_done_callback(lambda _, answered=answered: answered.set())
            if answered.wait(5.0):
                said = future.result().message
                if future.result().success:
                    return
        time.sleep(0.2)
    raise A1Error(f"not armed within {ARM_S:.0f} s: {said}")
