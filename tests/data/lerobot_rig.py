"""Input of the tests of data sets: a commanded robot's bags, made-up episodes."""

from pathlib import Path

import bag_rig as rig
import cv2
import numpy as np
from bag_rig import MS, START, TYPES, Run, header, make, write_bag
from rosbags.typesys import get_types_from_msg

from a1_data.lerobot.from_bags import ExportSettings, plan_bag, policy_fps, write_frames
from a1_data.lerobot.writer import DatasetWriter, Frame
from a1_data.reader import ReadSettings, open_bags

CONTROLLER_STATE = "a1_msgs/msg/ControllerState"
TYPES.register(
    get_types_from_msg(
        (rig.ROOT / "src/a1_msgs/msg/ControllerState.msg").read_text(), CONTROLLER_STATE
    )
)
HOLD, TRACKING, DISARMED = 2, 3, 0
CODEC_MEAN = 4.0
"""Mean difference of a decoded picture, in levels of 0..255."""


def controller_state(spec, stamp_ns: int, position, mode: int = TRACKING, source: int | None = 0):
    empty = np.zeros(0)
    uuid = make("unique_identifier_msgs/msg/UUID", uuid=np.full(16, source is not None, np.uint8))
    numbers = dict.fromkeys(
        ("seq", "row", "rows_applied", "chunks_accepted", "chunks_refused", "clamped", "slowed"), 0
    )
    return make(
        CONTROLLER_STATE,
        header=header(stamp_ns),
        mode=mode,
        reason="",
        session_id=uuid,
        source=source or 0,
        state_age_ms=0.0,
        chunk_age_ms=0.0,
        tracking_error=0.0,
        underruns=0,
        late_ticks=0,
        names=list(spec.action_names),
        position=np.ascontiguousarray(position, float),
        velocity=empty,
        acceleration=empty,
        measured=empty,
        **numbers,
    )


class Commanded(Run):
    """A run whose pictures are scenes, and whose controller says what it commands at 50 Hz."""

    def record(self) -> "Commanded":
        self._scene = np.random.default_rng(self.seed).integers(50, 210, (3, 4, 3), np.uint8)
        self._shift = 0
        super().record()
        for at in range(0, round(self.seconds * 1000), 20):
            self.command(START + at * MS, self.wanted(at))
        self.messages.sort(key=lambda message: message.received_ns)
        return self

    @property
    def messages_of_the_robot(self) -> list:
        others = ("/a1/controller_state", "/a1/episode")
        return [message for message in self.messages if message.topic not in others]

    def wanted(self, at_ms: int):
        return np.append(np.linspace(0.1, 1, 7) * np.sin((at_ms + 80) / 300), at_ms % 400 > 200)

    def command(
        self, stamp_ns: int, position, mode: int = TRACKING, source: int | None = 0
    ) -> None:
        msg = controller_state(self.spec, stamp_ns, position, mode, source)
        self.add("/a1/controller_state", CONTROLLER_STATE, stamp_ns + 1 * MS, msg)

    def pixels(self, rng) -> np.ndarray:
        self._shift += 1
        height, width = self.size
        large = cv2.resize(self._scene, (width * 2, height), interpolation=cv2.INTER_CUBIC)
        return np.ascontiguousarray(np.roll(large, self._shift, axis=1)[:, :width])


def export(path: Path, bags: Path, spec, *, pictures="video", data_mb=100, **settings) -> list:
    """Every bag below a folder as one data set; the plans of all its episodes."""
    settings = ExportSettings(**{"fps": policy_fps(spec), **settings})
    plans = []
    with DatasetWriter(
        path,
        robot=spec.robot,
        fps=settings.fps,
        names=spec.action_names,
        pictures=pictures,
        data_mb=data_mb,
    ) as writer:
        for bag in open_bags(bags, spec, ReadSettings(instruction="do it")):
            planned = plan_bag(bag, spec, settings)
            plans += planned
            for plan, frames in write_frames(bag, planned):
                note = {"outcome": plan.outcome, "begin_ns": plan.grid_ns, "drivers": plan.drivers}
                writer.add_episode(frames, note)
        writer.finish()
    return plans


def record(folder: Path, spec, count: int = 1, **options) -> list[Commanded]:
    """So many runs, each a bag of its own."""
    runs = []
    for number in range(count):
        run = Commanded(spec, seed=number, size=(48, 64), **options).record()
        write_bag(folder / f"bag{number}", run.messages, outcome="success")
        runs.append(run)
    return runs


def away(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean distance of two pictures."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours.astype(int) - theirs).mean())


def frame(number: int, *, dim: int = 8, size=(32, 48), task: str = "do it") -> Frame:
    """Some frame of a made-up episode; pictures with soft edges that move with `number`."""
    ramp = np.linspace(0, 200, size[1], dtype=np.uint8)
    rgb = np.ascontiguousarray(np.broadcast_to(np.roll(ramp, number)[None, :, None], (*size, 3)))
    state = (np.arange(dim) * 0.1 + np.sin(number / 5)).astype(np.float32)
    state[-1] = number % 2
    return Frame(
        images={"front": rgb, "wrist": 255 - rgb},
        state_D=state,
        action_D=state + np.float32(0.01),
        task=task,
    )
