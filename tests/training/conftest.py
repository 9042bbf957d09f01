import sys
from pathlib import Path

# What tests of several files share lies beside them: training_rig.
sys.path.insert(0, str(Path(__file__).parent))

import pytest
import torch
from training_rig import NAMES, made_up

from a1_model.tokenizer import InstructionTokenizer
from a1_training.samples import Augmentation, BatchSampler, fit_normaliser
from a1_world.shards import open_shards, write_shards


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Stored samples: demonstrations with actions, scenes without."""
    root = tmp_path_factory.mktemp("shards")
    for name, actions in (("demonstrations", True), ("scenes", False)):
        write_shards(made_up(12, 3, actions), root / name, manifest={"source": name})
    return {name: root / name for name in ("demonstrations", "scenes")}


@pytest.fixture(scope="session")
def sources(folders):
    return {name: open_shards(folder) for name, folder in folders.items()}


@pytest.fixture(scope="session")
def tokenizer():
    return InstructionTokenizer.from_words(["touch", "the", "red", "blue", "cube"])


@pytest.fixture
def make_sampler(sources, tokenizer):
    def make(seed=7, **changes):
        return BatchSampler(
            sources,
            tokenizer,
            fit_normaliser(NAMES, sources["demonstrations"]),
            Augmentation(brightness=0.1, state_mask_probability=0.25),
            seed=seed,
            **changes,
        )

    return make
