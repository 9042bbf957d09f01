import sys
from pathlib import Path
from types import SimpleNamespace

# What tests of several files share lies beside them: published, published_equations,
# conversion_rig.
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import published as pub
import pytest
import torch
from networks import eight_blocks

from a1_core.chunk import ActionSpace, DeltaBase
from a1_core.exit_rule import Thresholds
from a1_core.normaliser import Normaliser
from a1_core.observation import Observation
from a1_model.a1_layout import convert_a1
from a1_model.batch import TrainBatch
from a1_model.checkpoint import grow_network, load_checkpoint
from a1_model.molmo_layout import convert_molmo
from a1_model.network import A1Network
from a1_model.policy import AdaptivePolicy
from a1_model.tokenizer import InstructionTokenizer

NAMES = tuple(f"fr3_joint{i}" for i in range(1, 8)) + ("gripper",)
TOUCH, BOWL = "touch the red cube", "put the green cube in the bowl"


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer():
    return InstructionTokenizer.from_words((TOUCH + " " + BOWL).split())


@pytest.fixture
def make_network(tokenizer):
    def make(**changes):
        torch.manual_seed(0)
        return A1Network(eight_blocks(len(tokenizer), **changes)).eval()

    return make


@pytest.fixture
def network(make_network):
    return make_network().requires_grad_(False)


@pytest.fixture(scope="session")
def normaliser():
    return Normaliser(
        names=NAMES,
        state_low_D=np.linspace(-2, -1, 8),
        state_high_D=np.linspace(1, 2, 8),
        action_low_D=np.full(8, -0.3),
        action_high_D=np.full(8, 0.2),
    )


@pytest.fixture
def make_policy(network, tokenizer, normaliser):
    def make(network=network, **changes):
        return AdaptivePolicy(
            network, tokenizer, normaliser, digest="d", spec_digest="s", **changes
        )

    return make


@pytest.fixture(scope="session")
def make_observation():
    def make(stamp_ns=1_000_000_000, instruction=TOUCH, seed=0, size=128):
        rng = np.random.default_rng(seed)
        return Observation(
            stamp_ns=stamp_ns,
            images={
                name: rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
                for name in ("front", "wrist")
            },
            state_D=rng.uniform(-1, 1, 8).astype(np.float32),
            instruction=instruction,
        )

    return make


@pytest.fixture(scope="session")
def make_thresholds():
    def make(exits, eta):
        return Thresholds(exits=tuple(exits), eta=tuple(eta), metric="l2")

    return make


@pytest.fixture(scope="session")
def make_batch(tokenizer):
    def make(texts=(TOUCH, BOWL, TOUCH), seed=0, image_of=None):
        """`image_of`: which image each text is about; one image a text when left out."""
        generator = torch.Generator().manual_seed(seed)
        size = len(texts)
        ids_BT, mask_BT = tokenizer.encode(texts)
        image_of = range(size) if image_of is None else image_of
        shape = (max(image_of) + 1, 2, 128, 128, 3)
        images = torch.randint(0, 256, shape, generator=generator)
        return TrainBatch(
            images_UVHWC=images.to(torch.uint8),
            image_of_B=torch.tensor(list(image_of)),
            text_ids_BT=ids_BT,
            text_mask_BT=mask_BT,
            state_BD=torch.randn(size, 8, generator=generator),
            actions_BHD=torch.randn(size, 16, 8, generator=generator),
            action_valid_B=torch.ones(size, dtype=torch.bool),
            row_weight_BH=torch.ones(size, 16),
            end_B=(torch.arange(size) % 2).float(),
            end_valid_B=torch.ones(size, dtype=torch.bool),
            points_BOV2=torch.rand(size, 2, 2, 2, generator=generator),
            points_valid_BOV=torch.ones(size, 2, 2, dtype=torch.bool),
        )

    return make


@pytest.fixture(scope="session")
def spec():
    """What a checkpoint asks of a robot spec."""
    return SimpleNamespace(
        robot="franka",
        action_names=NAMES,
        policy_names=NAMES,
        dim=8,
        policy=SimpleNamespace(
            period_s=0.1,
            horizon=16,
            action_space=ActionSpace.JOINT_DELTA,
            delta_base=DeltaBase.OBSERVED,
        ),
        cameras=(SimpleNamespace(name="front"), SimpleNamespace(name="wrist")),
        digest="s",
        path="franka.yaml",
    )


@pytest.fixture(scope="session")
def molmo():
    return pub.molmo_tensors("model.")


@pytest.fixture(scope="session")
def flow():
    return pub.molmo_tensors("") | pub.flow_tensors()


@pytest.fixture
def converted(tmp_path):
    """Converts, writes and loads; further arguments go to the converter."""

    def make(kind, source, spec, *arguments, **options):
        convert = {"molmo": convert_molmo, "a1": convert_a1}[kind]
        conversion = convert(source, spec, *arguments, **options)
        conversion.write(tmp_path / "ours", spec)
        if kind == "molmo":
            return grow_network(tmp_path / "ours", conversion.config).eval()
        return load_checkpoint(tmp_path / "ours", spec).policy

    return make
