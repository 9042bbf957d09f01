"""Loads a data set with the real LeRobot and compares it with what our reader found in it.

Runs in LeRobot's own environment (`make check-lerobot`): `check_lerobot.py DATASET FOUND`, where
FOUND is the .npz file that `a1_data.lerobot.found` wrote of the same data set.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

PICTURE = 3.0
"""Levels of 0..255, in the mean of a picture: two decoders of one video."""


def main() -> None:
    """Exits with an AssertionError that says what differs."""
    path, found = Path(sys.argv[1]).resolve(), np.load(sys.argv[2], allow_pickle=False)
    dataset = LeRobotDataset("local/a1", root=path, video_backend="pyav")
    cameras = [key for key in found.files if key.startswith("observation.images.")]
    assert len(dataset) == len(found["action"]), (
        f"{len(dataset)} frames, ours {len(found['action'])}"
    )
    assert sorted(dataset.meta.camera_keys) == sorted(cameras), dataset.meta.camera_keys
    worst = 0.0
    for index in range(len(dataset)):
        item = dataset[index]
        for key in ("observation.state", "action"):
            np.testing.assert_array_equal(item[key].numpy(), found[key][index], err_msg=key)
        assert item["task"] == str(found["task"][index]), item["task"]
        for key in cameras:
            ours = found[key][index]
            theirs = item[key].numpy().transpose(1, 2, 0) * 255.0
            assert theirs.shape == ours.shape, f"{key}: {theirs.shape}, ours {ours.shape}"
            worst = max(worst, float(np.abs(theirs - ours).mean()))
    assert worst <= PICTURE, f"a picture differs by {worst:.2f} levels in the mean"
    period = 1.0 / dataset.meta.fps
    chunks = LeRobotDataset(
        "local/a1",
        root=path,
        video_backend="pyav",
        delta_timestamps={"action": [row * period for row in range(16)]},
    )
    assert tuple(chunks[0]["action"].shape) == (16, found["action"].shape[1])
    for key in ("observation.state", "action"):
        for name in ("min", "max", "mean", "std", "q01", "q99"):
            assert dataset.meta.stats[key][name].shape == found[key].shape[1:], (key, name)
        np.testing.assert_allclose(
            dataset.meta.stats[key]["mean"], found[key].mean(axis=0), atol=1e-4
        )
    for key in cameras:
        assert dataset.meta.stats[key]["mean"].shape == (3, 1, 1), key
    print(
        f"lerobot {version('lerobot')} loads {path.name}: {dataset.num_episodes} episodes, "
        f"{len(dataset)} frames, {len(cameras)} cameras, {dataset.meta.total_tasks} tasks; "
        f"numbers equal, pictures within {worst:.2f} levels"
    )


if __name__ == "__main__":
    main()
