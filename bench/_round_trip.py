"""What a bag loses on its way to a LeRobot data set and back, for bench/recorder.py.

Streams have stamps of their own: cameras at the policy's rate with some jitter, joint states at
100 Hz, commands at 50 Hz. State and action errors are of the worst number (rad, or share of the
gripper's travel), pictures' of the worst picture's mean in levels of 0..255, stamps' in periods.
"""

from pathlib import Path

import cv2
import numpy as np

from a1_core.spec import RobotSpec
from a1_data.definitions import Definitions
from a1_data.lerobot.columns import Naming
from a1_data.lerobot.dataset import Dataset
from a1_data.lerobot.episode_filters import Dropped, Wanted
from a1_data.lerobot.from_bags import ExportSettings, policy_fps
from a1_data.lerobot.writer import DatasetWriter
from a1_data.reader import Bag, ReadSettings, open_bags
from a1_recorder.bag_writer import BagWriter
from a1_recorder.export import export_bags
from a1_recorder.import_dataset import import_dataset
from a1_recorder.robot_messages import RobotMessages

MS = 1_000_000
START_NS = 1_700_000_000_000 * MS
SIZE = (480, 640)


def round_trip(spec: RobotSpec, folder: Path, seconds: float) -> dict[str, float]:
    """Errors by their names."""
    write_bag(folder / "bag", spec, seconds)
    plans = export(folder / "bag", folder / "set", spec)
    first = observations(folder / "bag", spec)
    dropped = Dropped()
    import_dataset(Dataset(folder / "set"), spec, folder / "back", Naming(), Wanted(), dropped)
    back = observations(folder / "back", spec)
    again = export(folder / "back", folder / "set_again", spec)
    assert (
        not dropped.counts and len(back) == plans[0].frames > 0.8 * seconds / spec.policy.period_s
    )
    state = picture = stamp = 0.0
    for seen_ns, theirs in zip(plans[0].stamps_T, back.values(), strict=True):
        ours = first[seen_ns]
        state = max(state, float(np.abs(ours.state_D - theirs.state_D).max()))
        stamp = max(stamp, abs(seen_ns - theirs.stamp_ns) / spec.policy.period_ns)
        for camera, rgb in ours.images.items():
            apart = np.abs(rgb.astype(np.int16) - theirs.images[camera]).mean()
            picture = max(picture, float(apart))
    return {
        "round_trip_state_error_max": state,
        "round_trip_action_error_max": float(np.abs(plans[0].action_TD - again[0].action_TD).max()),
        "round_trip_picture_error_max": picture,
        "round_trip_stamp_error_max": stamp,
    }


def write_bag(path: Path, spec: RobotSpec, seconds: float) -> None:
    rng = np.random.default_rng(0)
    scene = cv2.resize(
        rng.integers(0, 256, (12, 16, 3), dtype=np.uint8),
        (2 * SIZE[1], SIZE[0]),
        interpolation=cv2.INTER_CUBIC,
    )
    bag = BagWriter(path, {"instruction": "pick up the cube"})
    messages = RobotMessages(bag, spec, Definitions())
    period_ms = round(spec.policy.period_s * 1000)
    for at_ms in range(0, round(seconds * 1000), 10):
        stamp_ns = START_NS + at_ms * MS
        state = np.sin(np.arange(spec.dim) + at_ms / 400).astype(np.float32)
        state[len(spec.joint_names) :] = 0.5 + 0.5 * np.sin(at_ms / 300)
        messages.joints(stamp_ns, state)
        if at_ms % 20 == 0:
            messages.command(stamp_ns + 3 * MS, state, state + np.float32(0.02))
        if at_ms % period_ms == 0:
            shift = at_ms // period_ms * 4
            rgb = np.ascontiguousarray(np.roll(scene, shift, axis=1)[:, : SIZE[1]])
            for camera in spec.cameras:
                messages.picture(camera, stamp_ns + int(rng.integers(0, 9)) * MS, rgb)
    bag.finish({"instruction": "pick up the cube"})


def export(bags: Path, out: Path, spec: RobotSpec) -> list:
    settings = ExportSettings(fps=policy_fps(spec))
    with DatasetWriter(out, robot=spec.robot, fps=settings.fps, names=spec.action_names) as writer:
        accounts = list(export_bags(bags_of(bags, spec), spec, writer, settings))
        for number, episode in enumerate(accounts):
            assert episode.written, f"{bags}, bag {number}: {episode.plans}"
        writer.finish()
    return [plan for account in accounts for plan in account.written]


def observations(bags: Path, spec: RobotSpec) -> dict:
    found = (frame.observation for bag in bags_of(bags, spec) for frame in bag.frames())
    return {observation.stamp_ns: observation for observation in found}


def bags_of(path: Path, spec: RobotSpec) -> list[Bag]:
    return open_bags(path, spec, ReadSettings())
