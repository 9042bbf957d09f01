"""The controller: smoothness between chunks, an even loop, and no unsafe command whatever comes.

    make bench-control                     all of it, about nine minutes on a quiet machine
    make bench-control ARGS="--only hostile --count 2000"

Three parts, each with its rows, written to out/bench/control.json. `smooth` (_smoothness.py):
`rest_between_chunks_s`, `border_jerk_ratio`, `task_time_ratio`, `success_change`. `period`
(_loop_period.py): `loop_period_p999_ratio`. `hostile`, here: `hostile_chunks`,
`hostile_unsafe_commands`, `hostile_without_verdict`.

Hostile chunks, half of them at the Franka, half at two OpenArms: good chunks, which keep the arms
moving, alternate with bad ones: NaN, infinities, huge and tiny numbers, wrong sizes and names,
wrong codes, stamps from the past, the future and before the epoch, replays, another robot's, absurd
periods, jumps and steps. Each goes the way of the node's callback, as a message; the clock is
simulated and the arms are where they are commanded to be. Every command is checked here, by its own
arithmetic, against the spec's operating limits: range, velocity, acceleration, jerk, step between
commands, workspace.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import _loop_period
import _smoothness
import numpy as np
from a1_msgs.msg import ActionChunk as ActionChunkMsg

from a1_controllers.adapter import READY
from a1_controllers.controller import Controller
from a1_controllers.settings import ControllerSettings, Now
from a1_core.chunk import ActionChunk, Source, joint_chunk
from a1_core.errors import A1Error
from a1_core.limits import BULGE_M, SafetyGate
from a1_core.player import Setpoint
from a1_core.spec import RobotSpec, load_spec
from a1_core.verdict import Verdict, VerdictCode
from a1_ros.domain import isolate
from a1_ros.messages import chunk_to_msg, msg_to_chunk

ROOT = Path(__file__).parents[1]
OUT = ROOT / "out/bench/control.json"
PARTS = ("hostile", "period", "smooth")
ROBOTS = ("franka", "openarm")
TICK_NS = 20_000_000
SHARE_GOOD = 0.35
# Sampling and rounding; a command beyond a limit by more is unsafe.
SLACK = 1.01
SLACK_RAD = 2e-3


class Bench:
    """One robot, its controller without ROS, and an arm that follows exactly."""

    def __init__(self, spec: RobotSpec, rng: np.random.Generator) -> None:
        self.spec, self.rng = spec, rng
        self.tips = spec.kinematics
        self.now = Now(node_ns=10_000_000_000, watch_ns=10_000_000_000)
        settings = ControllerSettings(hardware=False)
        self.controller = Controller(spec, settings, SafetyGate(spec, self.tips), self.now)
        self.q_D = np.array([*spec.home, *[1.0] * len(spec.grippers)])
        self.session, self.seq = str(uuid.UUID(int=int(rng.integers(1, 2**62)))), 0
        self.sent: list[ActionChunkMsg] = []
        self.before: Setpoint | None = None
        self.verdicts: Counter[str] = Counter()
        self.unsafe: list[str] = []
        self.without_verdict: list[str] = []
        self.commands = 0

    def tick(self) -> None:
        """One control tick, and a look at what it commands."""
        self.now = Now(node_ns=self.now.node_ns + TICK_NS, watch_ns=self.now.watch_ns + TICK_NS)
        self._speak()
        if not self.controller.mode.armed:
            if self.controller.mode.latched:
                self.controller.reset(self.now)
            self.controller.arm(READY, self.now)
            self.before = None
        output = self.controller.tick(self.now)
        if output.window is None:
            self.before = None
            return
        self.commands += 1
        self._check(output.window)
        self.before = output.window[0]
        self.q_D = np.array(output.window[0].q_D)

    def judge(self, msg: ActionChunkMsg, what: str) -> None:
        """As the node's callback does it: exactly one verdict, whatever comes."""
        try:
            verdict = self.controller.judge(msg_to_chunk(msg), self.now)
        except A1Error as error:
            verdict = Verdict(code=VerdictCode.WRONG_SHAPE, detail=str(error))
        except (ValueError, ArithmeticError, TypeError, IndexError, AssertionError) as error:
            self.without_verdict.append(f"{what}: {error!r}")
            return
        self.verdicts[verdict.code.name] += 1

    def good(self) -> ActionChunk:
        """A motion within the limits, from where the arm is."""
        spec, policy = self.spec, self.spec.policy
        arm = len(spec.joint_names)
        limits = spec.operating_limits
        reach_J = self.rng.uniform(-0.5, 0.5, arm) * limits.velocity * 0.5
        u = np.linspace(0.0, 1.0, policy.horizon)[:, None]
        rows_HD = np.repeat(self.q_D[None], policy.horizon, axis=0)
        low, high = limits.position_lower + 0.05, limits.position_upper - 0.05
        rows_HD[:, :arm] = np.clip(rows_HD[:, :arm] + u * reach_J, low, high)
        rows_HD[:, arm:] = self.rng.integers(0, 2, len(spec.grippers))
        self.seq += 1
        return joint_chunk(
            spec,
            stamp_ns=self.now.node_ns,
            session_id=self.session,
            seq=self.seq,
            source=Source.POLICY,
            actions_HD=rows_HD,
        )

    def _speak(self) -> None:
        spec = self.spec
        place = dict(zip(spec.joint_names, self.q_D.tolist(), strict=False))
        for gripper, opening in zip(spec.grippers, self.q_D[len(place) :], strict=True):
            place[gripper.joint] = gripper.from_unit(float(opening))
        for index, source in enumerate(spec.state_sources):
            positions = [place[joint] for joint in source.joints]
            rest = np.zeros(len(positions))
            self.controller.sensing.push(
                index, self.now.node_ns, source.wire_names, positions, rest, self.now
            )

    def _check(self, window: Any) -> None:
        spec, limits, arm = self.spec, self.spec.operating_limits, len(self.spec.joint_names)
        q_KJ = np.array([point.q_D[:arm] for point in window])
        qd_KJ = np.array([point.qd_D[:arm] for point in window])
        qdd_KJ = np.array([point.qdd_D[:arm] for point in window])
        dt_K = np.diff([point.time_ns for point in window]) / 1e9
        found = []
        if not (np.isfinite(q_KJ).all() and np.isfinite(qd_KJ).all() and np.isfinite(qdd_KJ).all()):
            found.append("not finite")
        lower, upper = limits.position_lower - SLACK_RAD, limits.position_upper + SLACK_RAD
        if (q_KJ < lower).any() or (q_KJ > upper).any():
            found.append("position")
        if (np.abs(qd_KJ) > SLACK * limits.velocity).any():
            found.append("velocity")
        if (np.abs(qdd_KJ) > SLACK * limits.acceleration).any():
            found.append("acceleration")
        jerk_KJ = np.abs(np.diff(qdd_KJ[:-1], axis=0)) / dt_K[:-1, None]
        if (jerk_KJ > SLACK * limits.jerk).any():
            found.append("jerk")
        if (dt_K <= 0.0).any() or np.abs(qd_KJ[-1]).max() > 0.0:
            found.append("no rest at its end")
        if self.before is not None:
            step_J = np.abs(q_KJ[0] - self.before.q_D[:arm])
            if (step_J > SLACK * limits.velocity * TICK_NS / 1e9 + 1e-6).any():
                found.append("step")
        for q_J in q_KJ[:: max(1, len(q_KJ) // 3)]:
            for place, part in zip(self.tips(q_J), spec.arms, strict=True):
                box = limits.workspaces[part.name]
                out = np.maximum(np.maximum(box.lower - place, place - box.upper), 0.0)
                if np.linalg.norm(out) > BULGE_M + SLACK_RAD:
                    found.append("workspace")
        openings = np.array([point.q_D[arm:] for point in window])
        if (openings < -1e-6).any() or (openings > 1.0 + 1e-6).any():
            found.append("gripper")
        self.unsafe += found


def hostile(bench: Bench) -> tuple[ActionChunkMsg, str]:
    """A message that no honest policy sends, and what is wrong with it."""
    rng, good = bench.rng, bench.good()
    rows_HD = good.actions_HD.copy()
    horizon, dim = rows_HD.shape
    cell = (int(rng.integers(horizon)), int(rng.integers(dim)))
    kind = int(rng.integers(18))
    if kind < 6:
        what = ("nan", "inf", "huge", "tiny", "jump", "noise")[kind]
        if what == "jump":
            rows_HD[cell[0] :, cell[1]] += float(rng.choice([-1, 1]) * rng.uniform(0.1, 6.0))
        elif what == "noise":
            rows_HD += rng.normal(0.0, rng.choice([0.01, 0.1, 1.0]), rows_HD.shape)
        else:
            values = {"nan": np.nan, "inf": np.inf, "huge": 3e38, "tiny": 1e-42}
            rows_HD[cell] = float(rng.choice([-1, 1])) * values[what]
        return chunk_to_msg(replace(good, actions_HD=rows_HD.astype(np.float32))), what
    msg = chunk_to_msg(good)
    if kind == 6:
        msg.horizon, what = int(rng.integers(0, 2**31)), "horizon"
    elif kind == 7:
        msg.data, what = msg.data[: int(rng.integers(len(msg.data)))], "cut short"
    elif kind == 8:
        msg.names, what = list(rng.permutation(msg.names)), "names in another order"
    elif kind == 9:
        msg.names, what = msg.names[:-1], "a name is missing"
    elif kind == 10:
        msg.header.stamp.sec, what = int(rng.integers(-(2**31), 2**31 - 1)), "stamp"
    elif kind == 11:
        msg.period.sec, msg.period.nanosec = (
            int(rng.choice([-5, 0, 0, 2**31 - 1])),
            int(rng.choice([0, 1, 1000, 5_000_000])),
        )
        what = "period"
    elif kind == 12:
        msg.seq, what = int(rng.integers(0, bench.seq + 1)), "old number"
    elif kind == 13:
        msg.robot, what = "panda", "another robot"
    elif kind == 14:
        msg.spec_digest, what = "0" * 64, "another spec"
    elif kind == 15:
        msg.action_space, what = int(rng.integers(1, 256)), "space or code"
    elif kind == 16:
        msg.committed_rows, what = int(rng.integers(1, 2**31)), "committed rows"
    else:
        msg.session_id.uuid, what = rng.integers(0, 256, 16, dtype=np.uint8), "another session"
    return msg, what


def measure(count: int, seed: int) -> dict[str, Any]:
    """The rows, over `count` messages, good ones not counted."""
    rng = np.random.default_rng(seed)
    benches = [Bench(load_spec(ROOT / f"config/robots/{name}.yaml"), rng) for name in ROBOTS]
    kinds: Counter[str] = Counter()
    for bench in benches:
        for _ in range(3):
            bench.tick()
        sent = 0
        while sent < count // len(benches):
            if rng.random() < SHARE_GOOD:
                msg, what = chunk_to_msg(bench.good()), "good"
                bench.sent = [msg, *bench.sent[:9]]
            elif bench.sent and rng.random() < 0.08:
                msg, what = bench.sent[int(rng.integers(len(bench.sent)))], "replay"
            else:
                msg, what = hostile(bench)
            sent += what != "good"
            kinds[what] += 1
            bench.judge(msg, what)
            for _ in range(int(rng.integers(1, 4))):
                bench.tick()
    verdicts = sum((bench.verdicts for bench in benches), Counter())
    return {
        "hostile_chunks": sum(kinds.values()) - kinds["good"],
        "hostile_unsafe_commands": sum(len(bench.unsafe) for bench in benches),
        "hostile_without_verdict": sum(len(bench.without_verdict) for bench in benches),
        "good_chunks_between": kinds["good"],
        "commands": sum(bench.commands for bench in benches),
        "verdicts": dict(verdicts.most_common()),
        "kinds": dict(kinds.most_common()),
        "unsafe": dict(Counter(word for bench in benches for word in bench.unsafe)),
        "examples_without_verdict": [t for bench in benches for t in bench.without_verdict][:5],
        "robots": list(ROBOTS),
        "seed": seed,
    }


def main() -> int:
    """Exit status 1 when a command was unsafe or a chunk had no verdict."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="hostile chunks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=8, help="layouts of the smooth part")
    parser.add_argument("--seconds", type=float, default=40.0, help="of the period part")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "checkpoints/tiny")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    options = parser.parse_args()
    parts, robot, logs = options.only or PARTS, ROOT / "config/robots/franka.yaml", OUT.parent
    rows: dict[str, Any] = {}
    if "hostile" in parts:
        rows |= measure(options.count, options.seed)
    isolate(int(os.environ["ROS_DOMAIN_ID"]) if "ROS_DOMAIN_ID" in os.environ else None)
    if "period" in parts:
        rows |= _loop_period.measure(robot, options.checkpoint, logs / "period", options.seconds)
    if "smooth" in parts:
        rows |= _smoothness.measure(robot, options.checkpoint, logs / "smooth", options.episodes)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(rows, indent=2) + "\n")
    print(json.dumps({name: value for name, value in rows.items() if name != "episodes"}))
    return 1 if rows.get("hostile_unsafe_commands") or rows.get("hostile_without_verdict") else 0


if __name__ == "__main__":
    sys.exit(main())
