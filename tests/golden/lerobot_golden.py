"""What is in the golden data set, and how it is made: with the real LeRobot, in its environment.

`lerobot_golden.py DIR` writes it; tests/golden/lerobot holds what lerobot 0.4.4 wrote.
"""

import sys
from pathlib import Path

import numpy as np

FPS = 10
LENGTHS = (7, 5)
SIZE = (48, 64)
NAMES = [f"fr3_joint{number}" for number in range(1, 8)] + ["gripper"]
TASKS = ("touch the red cube", "put the blue cube in the bowl")


def numbers(episode: int, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """State and action [8] of a frame, float32."""
    state = np.sin(np.arange(8) + frame / 3 + episode).astype(np.float32)
    state[-1] = frame % 2
    return state, (state * np.float32(0.5)).astype(np.float32)


def picture(camera: str, episode: int, frame: int) -> np.ndarray:
    """A soft ramp that moves, uint8 [48, 64, 3]; the wrist's is upside down."""
    across, down = np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0]))
    shades = [across * 3 + frame * 5, down * 4 + episode * 20, (across + down) * 2]
    rgb = np.stack(shades, axis=-1).clip(0, 255).astype(np.uint8)
    return rgb if camera == "front" else np.ascontiguousarray(rgb[::-1])


def main() -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    vector = {"dtype": "float32", "shape": (8,), "names": NAMES}
    camera = {"dtype": "video", "shape": (*SIZE, 3), "names": ["height", "width", "channels"]}
    dataset = LeRobotDataset.create(
        "local/golden",
        fps=FPS,
        root=Path(sys.argv[1]),
        robot_type="franka",
        features={
            "observation.state": vector,
            "action": vector,
            "next.done": {"dtype": "bool", "shape": (1,), "names": None},
            "observation.images.front": camera,
            "observation.images.wrist": camera,
        },
    )
    for episode, length in enumerate(LENGTHS):
        for frame in range(length):
            state, action = numbers(episode, frame)
            dataset.add_frame(
                {
                    "observation.state": state,
                    "action": action,
                    "next.done": np.array([frame == length - 1]),
                    "observation.images.front": picture("front", episode, frame),
                    "observation.images.wrist": picture("wrist", episode, frame),
                    "task": TASKS[episode],
                }
            )
        dataset.save_episode()
    dataset.finalize()


if __name__ == "__main__":
    main()
