"""The policy over a bag, nothing moves: every exit's chunk at every tick, and what was done.

Ticks are those at which the node would have thought: the bag's reader is its own path. Rows are
compared with what the robot did at the time they were due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from a1_msgs.msg import ControllerState
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message

from a1_core.chunk import JOINT_SPACES, ActionSpace, DeltaBase, is_gripper
from a1_core.errors import BagError, SpecError
from a1_core.intake import is_due
from a1_core.observation import Observation
from a1_core.policy import ExitSetting, ExitTrace
from a1_core.spec import RobotSpec
from a1_data.reader import Bag
from a1_data.replay import Frame
from a1_data.storage import look, read
from a1_model.policy import AdaptivePolicy

Floats = NDArray[np.float64]
Truth = Literal["commanded", "measured"]

CONTROLLER_TOPIC = "/a1/controller_state"
CONTROLLER_STATE = "a1_msgs/msg/ControllerState"
ARMED = (ControllerState.HOLD, ControllerState.TRACKING)
# Between two samples further apart nobody knows what was done.
GAP_NS = 500_000_000


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One tick: where it is in the bag, and what was to be done."""

    episode: int
    stamp_ns: int
    received_ns: int
    instruction: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """Positions [M, D] (rad; gripper 0..1) at times [M] (ns, ascending)."""

    times_M: NDArray[np.int64]
    positions_MD: Floats

    def at(self, times_X: NDArray[np.int64]) -> Floats:
        """Positions [..., D] at times [...], linear between samples; NaN where nothing is known."""
        flat = times_X.ravel()
        found = np.full((len(flat), self.positions_MD.shape[1]), np.nan)
        if len(self.times_M) < 2:
            return found.reshape(*times_X.shape, -1)
        after = np.clip(np.searchsorted(self.times_M, flat), 1, len(self.times_M) - 1)
        begin, end = self.times_M[after - 1], self.times_M[after]
        known = (flat >= begin) & (flat <= end) & (end - begin <= GAP_NS)
        share = ((flat - begin) / np.maximum(end - begin, 1))[:, None]
        line = (1.0 - share) * self.positions_MD[after - 1] + share * self.positions_MD[after]
        found[known] = line[known]
        return found.reshape(*times_X.shape, -1)


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenLoop:
    """What the policy said at N ticks, of K exits and H rows.

    Attributes:
        actions_KNHD: of every exit, in the policy's action space, as all of its actions.
        full_NHD: those of full depth.
        taken_NHD, traces: what the setting would have sent, and where it left.
        state_ND: observed (rad; gripper 0..1).
        truth: what `done` is; done_NHD: positions when the rows were due, NaN where unknown or
            after the episode.
    """

    ticks: tuple[Tick, ...]
    actions_KNHD: Floats
    full_NHD: Floats
    taken_NHD: Floats
    traces: tuple[ExitTrace, ...]
    state_ND: Floats
    truth: Truth
    done_NHD: Floats


def absolute(spec: RobotSpec, actions_XHD: NDArray[np.floating], state_XD: Floats) -> Floats:
    """Rows [..., H, D] of the policy as positions; as `a1_core.chunk.absolute_rows`, many at once.

    Raises SpecError where the policy speaks of the tip's pose.
    """
    if spec.policy.action_space not in JOINT_SPACES:
        raise SpecError(
            f"{spec.path}: action_space is {spec.policy.action_space.name}; errors are taken of "
            "joint rows, use joint_position or joint_delta"
        )
    rows = np.array(actions_XHD, np.float64)
    if spec.policy.action_space is ActionSpace.JOINT_POSITION:
        return rows
    arm = np.array([not is_gripper(name) for name in spec.action_names])
    deltas = rows[..., arm]
    if spec.policy.delta_base is DeltaBase.PREVIOUS_ROW:
        deltas = np.cumsum(deltas, axis=-2)
    rows[..., arm] = state_XD[..., None, :][..., arm] + deltas
    return rows


def run_open_loop(
    bag: Bag,
    spec: RobotSpec,
    policy: AdaptivePolicy,
    setting: ExitSetting,
    *,
    period_s: float,
    batch: int,
    truth: Truth | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> OpenLoop:
    """One pass over a bag that was opened for every tick.

    Args:
        period_s: time between the ticks at which the policy thinks; 0: all.
        truth: None takes what was commanded where the bag tells it, else what was measured.
        tell: images seen, and how many there are.

    Raises BagError where the bag gives no observation, or none whose rows can be compared.
    """
    passes = _Passes(policy, setting, batch)
    measured_times, measured, ends = [], [], {}
    last_ns: int | None = None
    for frame in bag.frames():
        observation, stamp_ns = frame.observation, frame.observation.stamp_ns
        measured_times.append(stamp_ns)
        measured.append(observation.state_D)
        if frame.episode.index not in ends:
            last_ns = None
        ends[frame.episode.index] = stamp_ns
        if is_due(stamp_ns, last_ns, period_s, spec.cameras[0].rate_hz):
            last_ns = stamp_ns
            passes.take(frame)
        tell(bag.report.ticks.total(), bag.images)
    ticks = passes.finish()
    if not ticks:
        raise BagError(f"{bag.path}: gives no observation; `bag_info` says why")
    moved = _trajectory(measured_times, measured)
    commanded = None if truth == "measured" else read_commanded(bag, spec)
    if truth == "commanded" and commanded is None:
        raise BagError(
            f"{bag.path}: holds no {CONTROLLER_STATE} of an armed arm on {CONTROLLER_TOPIC}; "
            "compare with what was measured"
        )
    done_NHD = _done(commanded or moved, ticks, ends, spec)
    if not np.isfinite(done_NHD[:, 1:]).any():
        raise BagError(f"{bag.path}: ends before a row is due; record longer episodes")
    return OpenLoop(
        ticks=ticks,
        actions_KNHD=np.concatenate(passes.actions, axis=1),
        full_NHD=np.concatenate(passes.full),
        taken_NHD=np.concatenate(passes.taken),
        traces=tuple(passes.traces),
        state_ND=np.concatenate(passes.states),
        truth="measured" if commanded is None else "commanded",
        done_NHD=done_NHD,
    )


def read_commanded(bag: Bag, spec: RobotSpec) -> Trajectory | None:
    """What an armed controller commanded, by the bag; None where it does not tell."""
    times, positions = [], []
    for msg in controller_states(bag):
        if msg.mode in ARMED and tuple(msg.names) == spec.action_names:
            times.append(msg.header.stamp.sec * 1_000_000_000 + msg.header.stamp.nanosec)
            positions.append(msg.position)
    return _trajectory(times, positions) if len(times) > 1 else None


def _trajectory(times: list[int], positions: list) -> Trajectory:
    order = np.argsort(times, kind="stable")
    return Trajectory(
        times_M=np.array(times, np.int64)[order], positions_MD=np.array(positions, float)[order]
    )


def controller_states(bag: Bag) -> Iterator[ControllerState]:
    """The controller's states in a bag, in the order of their receipt."""
    for file in bag.files.files:
        contents = look(file, bag.files.findings)
        for raw in read(file, contents, {CONTROLLER_TOPIC}, bag.files.findings):
            if raw.channel.msgtype == CONTROLLER_STATE:
                yield deserialize_message(bytes(raw.data), ControllerState)


def _done(
    trajectory: Trajectory, ticks: Sequence[Tick], ends: dict[int, int], spec: RobotSpec
) -> Floats:
    """What was done when the rows were due [N, H, D]; NaN after the end of a tick's episode."""
    stamps_N = np.array([tick.stamp_ns for tick in ticks])
    due_NH = stamps_N[:, None] + spec.policy.period_ns * np.arange(spec.policy.horizon)
    done_NHD = trajectory.at(due_NH)
    done_NHD[due_NH > np.array([ends[tick.episode] for tick in ticks])[:, None]] = np.nan
    return done_NHD


class _Passes:
    """Batches of ticks through the policy; arrays grow batch by batch."""

    def __init__(self, policy: AdaptivePolicy, setting: ExitSetting, batch: int) -> None:
        self._policy, self._setting, self._batch = policy, setting, batch
        self._waiting: list[Observation] = []
        self._ticks: list[Tick] = []
        self.actions: list[Floats] = []
        self.full: list[Floats] = []
        self.taken: list[Floats] = []
        self.states: list[Floats] = []
        self.traces: list[ExitTrace] = []

    def take(self, frame: Frame) -> None:
        """One more tick."""
        observation = frame.observation
        self._waiting.append(observation)
        self._ticks.append(
            Tick(
                episode=frame.episode.index,
                stamp_ns=observation.stamp_ns,
                received_ns=frame.received_ns,
                instruction=observation.instruction,
            )
        )
        if len(self._waiting) == self._batch:
            self._compute()

    def finish(self) -> tuple[Tick, ...]:
        """All ticks, the last of them computed."""
        if self._waiting:
            self._compute()
        return tuple(self._ticks)

    def _compute(self) -> None:
        observations, self._waiting = self._waiting, []
        study = self._policy.all_exits(observations)
        outputs = [self._policy.act(each, setting=self._setting) for each in observations]
        self.actions.append(study.actions_KNHD.astype(np.float64))
        self.full.append(study.full_NHD.astype(np.float64))
        self.taken.append(np.stack([output.actions_HD for output in outputs]).astype(np.float64))
        self.states.append(np.stack([each.state_D for each in observations]).astype(np.float64))
        self.traces += [output.trace for output in outputs]
