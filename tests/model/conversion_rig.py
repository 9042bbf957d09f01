"""What tests of conversions share: one observation, one data set's statistics, a chunk."""

import numpy as np
import published as pub
import torch

from a1_core.observation import Observation
from a1_core.policy import ExitSetting
from a1_model.batch import TrainBatch

STAMP = 1_000_000_000
TEXT = "touch the red cube"
TEXT_IDS = [pub.WORDS.index(w) for w in ["User", ":", *TEXT.split(), "Assistant", ":"]]
ACTION = pub.WORDS.index("Action")
TIGHT = {"rtol": 2e-4, "atol": 2e-4}
STATISTICS = {
    "libero": {
        "action": {
            "q01": [-1.0, -0.5, 0.1, 0.0],
            "q99": [0.5, 0.5, 0.3, 1.0],
            "min": [-2.0] * 4,
            "max": [2.0] * 4,
            "mean": [0.1] * 4,
            "std": [0.3] * 4,
            "mask": [True, True, True, False],
        },
        "proprio": {
            "q01": [-0.2, -0.5, 0.0, -1.0],
            "q99": [0.2, 0.5, 0.5, 1.0],
            "min": [-3.0] * 4,
            "max": [3.0] * 4,
            "mean": [0.0] * 4,
            "std": [1.0] * 4,
        },
    }
}


def observe(cameras=("front",), size=(40, 56), seed=0):
    random = np.random.default_rng(seed)
    return Observation(
        stamp_ns=STAMP,
        images={name: random.integers(0, 256, (*size, 3), dtype=np.uint8) for name in cameras},
        state_D=random.uniform(-1, 1, 4).astype(np.float32),
        instruction=TEXT,
    )


def image(observation, camera="front"):
    return torch.from_numpy(observation.images[camera])


def normalised_state(observation):
    bounds = STATISTICS["libero"]["proprio"]
    low, high = np.array(bounds["q01"]), np.array(bounds["q99"])
    return np.clip(2 * (observation.state_D - low) / (high - low + 1e-8) - 1, -1, 1)


def denormalised(actions):
    bounds = STATISTICS["libero"]["action"]
    low, high = np.array(bounds["q01"]), np.array(bounds["q99"])
    real = 0.5 * (actions + 1) * (high - low + 1e-8) + low
    return np.where(bounds["mask"], real, actions)


def act(policy, observation, block):
    return policy.act(observation, setting=ExitSetting(mode="fixed", fixed_exit=block)).actions_HD


def one_sample(given, actions_BHD):
    """One prepared observation as training sees it, with these actions."""
    yes = torch.ones(1, dtype=torch.bool)
    return TrainBatch(
        images_UVHWC=torch.stack(list(given.images_VNHWC), dim=1),
        image_of_B=torch.zeros(1, dtype=torch.int64),
        text_ids_BT=given.text_ids_BT,
        text_mask_BT=given.text_mask_BT,
        state_BD=given.state_BD,
        actions_BHD=actions_BHD,
        action_valid_B=yes,
        row_weight_BH=torch.ones(actions_BHD.shape[:2]),
        end_B=torch.zeros(1),
        end_valid_B=yes,
        points_BOV2=torch.zeros(1, 2, 1, 2),
        points_valid_BOV=torch.zeros(1, 2, 1, dtype=torch.bool),
    )
