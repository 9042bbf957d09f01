"""Whole systems: a ROS domain of this process, nothing beyond this machine."""

import os

os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.pop("ROS_STATIC_PEERS", None)

from pathlib import Path

import numpy as np
import pytest
import torch

from a1_core.normaliser import Normaliser
from a1_core.spec import load_spec
from a1_model.checkpoint import save_checkpoint
from a1_model.config import tiny
from a1_model.network import A1Network
from a1_model.tokenizer import InstructionTokenizer
from a1_sim.stage import Stage
from a1_world.tasks import COLOURS, KINDS, make_task

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "checkpoints/tiny"


@pytest.fixture(scope="session")
def robot() -> Path:
    """The spec of the simulated robot."""
    return ROOT / "config/robots/franka.yaml"


@pytest.fixture(scope="session")
def trained() -> bool:
    """Whether the checkpoint under test can be expected to solve tasks."""
    return SHIPPED.is_dir()


@pytest.fixture(scope="session")
def stage(robot: Path, trained: bool, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The shipped checkpoint with its thresholds; untrained weights where there is none."""
    thresholds = ROOT / "config/thresholds/franka_tiny.yaml"
    if not trained:
        checkpoint = untrained(tmp_path_factory.mktemp("checkpoint") / "tiny", robot)
        return Stage(robot=robot, checkpoint=checkpoint, thresholds=None)
    return Stage(
        robot=robot, checkpoint=SHIPPED, thresholds=thresholds if thresholds.exists() else None
    )


def untrained(directory: Path, robot: Path) -> Path:
    """Write a tiny checkpoint with random weights whose chunks move each joint by a hair."""
    spec = load_spec(robot)
    sentences = [make_task(kind, colour).instruction for kind in KINDS for colour in COLOURS]
    tokenizer = InstructionTokenizer.from_words(" ".join(sentences).split())
    torch.manual_seed(0)
    bound_D = np.array([*[0.01] * (spec.dim - 1), 1.0])
    normaliser = Normaliser(
        names=spec.action_names,
        state_low_D=np.full(spec.dim, -3.0),
        state_high_D=np.full(spec.dim, 3.0),
        action_low_D=np.array([*-bound_D[:-1], 0.0]),
        action_high_D=bound_D,
    )
    save_checkpoint(
        directory,
        network=A1Network(tiny(vocab_size=len(tokenizer))).eval(),
        tokenizer=tokenizer,
        normaliser=normaliser,
        spec=spec,
        metadata={"trained": False},
    )
    return directory
