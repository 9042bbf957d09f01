"""What tests of training share: a handful of made-up samples."""

import numpy as np

from a1_world.sample import Sample

NAMES = tuple(f"joint{i}" for i in range(7)) + ("gripper",)


def made_up(count: int, seed: int, with_actions: bool):
    """Two samples an image; smooth actions."""
    rng = np.random.default_rng(seed)
    images = {}
    for tick in range(count):
        if tick % 2 == 0:
            images = {c: rng.integers(0, 255, (32, 32, 3), np.uint8) for c in ("front", "wrist")}
        ends = rng.uniform(-1, 1, (1, 8))
        actions = (np.linspace(0, 1, 16)[:, None] * ends).astype(np.float32)
        yield Sample(
            images=images,
            state_D=rng.normal(size=8).astype(np.float32),
            instruction="touch the red cube" if tick % 2 else "touch the blue cube",
            actions_HD=actions if with_actions else None,
            end=tick == count - 1,
            points={"front": (0.25, 0.75), "wrist": None},
            episode=0,
            tick=tick,
            seed=seed,
        )
