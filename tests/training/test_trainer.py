"""The training loop on a handful of made-up samples: reproducible, resumable, honest about data."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from a1_core.normaliser import Normaliser
from a1_model.config import tiny
from a1_model.losses import training_losses
from a1_model.network import A1Network
from a1_model.tokenizer import InstructionTokenizer
from a1_training.recipe import Recipe, Stage
from a1_training.samples import Augmentation, BatchSampler, fit_normaliser
from a1_training.trainer import Trainer, learning_rate
from a1_world.sample import Sample
from a1_world.shards import open_shards, write_shards

NAMES = tuple(f"joint{i}" for i in range(7)) + ("gripper",)
STAGE = Stage(
    name="clone",
    steps=4,
    mixture={"demonstrations": 1.0, "scenes": 1.0},
    loss_weights={"fm": 1.0, "mlp": 1.0, "end": 0.1, "match": 0.1, "point": 0.1},
    learning_rate=1e-3,
    warmup_steps=1,
)
RECIPE = Recipe(
    scenes=0,
    demonstration_episodes=0,
    noise=0.0,
    stages=(STAGE,),
    dagger=(),
    images_per_step=4,
)


def made_up(count: int, seed: int, with_actions: bool):
    rng = np.random.default_rng(seed)
    images = {}
    for tick in range(count):
        if tick % 2 == 0:
            images = {c: rng.integers(0, 255, (32, 32, 3), np.uint8) for c in ("front", "wrist")}
        actions = rng.normal(size=(16, 8)).astype(np.float32) if with_actions else None
        yield Sample(
            images=images,
            state_D=rng.normal(size=8).astype(np.float32),
            instruction="touch the red cube" if tick % 2 else "touch the blue cube",
            actions_HD=actions,
            end=tick == count - 1,
            points={"front": (0.25, 0.75), "wrist": None},
            episode=0,
            tick=tick,
            seed=seed,
        )


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    for name, actions in (("demonstrations", True), ("scenes", False)):
        write_shards(made_up(12, 3, actions), root / name, manifest={"source": name})
    return {name: open_shards(root / name) for name in ("demonstrations", "scenes")}


@pytest.fixture
def parts(sources):
    torch.manual_seed(0)
    tokenizer = InstructionTokenizer.from_words(["touch", "the", "red", "blue", "cube"])
    sampler = BatchSampler(
        sources,
        tokenizer,
        fit_normaliser(NAMES, sources["demonstrations"]),
        Augmentation(brightness=0.1, state_mask_probability=0.25),
        seed=7,
    )
    network = A1Network(tiny(vocab_size=len(tokenizer)))
    return Trainer(network, RECIPE), sampler


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.average.parameters()])


def finish(trainer: Trainer, sampler: BatchSampler, first: int, stop: int | None = None):
    for step, _ in trainer.run(STAGE, sampler, first):
        if step + 1 == stop:
            break


def test_a_killed_run_resumes_to_the_same_weights(parts, sources, tmp_path):
    trainer, sampler = parts
    start = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    finish(trainer, sampler, 0, stop=2)
    trainer.save(tmp_path / "state.pt", {"stage": 0, "step": 2}, sampler)
    finish(trainer, sampler, 2)
    uninterrupted = weights(trainer)

    network = A1Network(trainer.network.config)
    network.load_state_dict(start)
    again = Trainer(network, RECIPE)
    sampler.rng.random(100)
    progress = again.load(tmp_path / "state.pt", sampler)
    finish(again, sampler, progress["step"])
    assert torch.equal(weights(again), uninterrupted)


def test_samples_without_actions_leave_the_action_losses_alone(parts):
    trainer, sampler = parts
    batch = sampler.draw({"scenes": 1.0}, 6)
    assert not batch.action_valid_B.any()
    assert not batch.action_valid_B.any()
    losses = training_losses(trainer.network, batch, trainer.generator, ("fm", "mlp", "point"))
    assert float(losses["fm"].detach()) == 0.0
    assert float(losses["mlp"].detach()) == 0.0
    assert float(losses["point"].detach()) > 0.0


def test_an_unseen_object_is_not_pointed_at(parts):
    _, sampler = parts
    batch = sampler.draw({"scenes": 1.0}, 6)
    assert batch.points_valid_BV[:, 0].all()
    assert not batch.points_valid_BV[:, 1].any()
    assert torch.isfinite(batch.points_BV2).all()


def test_the_mixture_is_kept(parts):
    _, sampler = parts
    batch = sampler.draw({"demonstrations": 3.0, "scenes": 1.0}, 400)
    assert len(batch.images_UVHWC) == 400
    assert batch.image_of_B.tolist() == [i // 2 for i in range(800)]
    share = float(batch.action_valid_B.float().mean())
    # 400 draws at 0.75: five standard deviations are 0.11.
    assert abs(share - 0.75) < 0.11


def test_a_gradient_that_is_not_finite_stops_the_run(parts):
    trainer, sampler = parts
    with torch.no_grad():
        next(iter(trainer.network.backbone.parameters())).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="stage clone, step 0"):
        finish(trainer, sampler, 0)


def test_learning_rate_rises_then_falls_to_its_final_fraction():
    stage = Stage(
        name="s",
        steps=100,
        mixture={},
        loss_weights={},
        learning_rate=1.0,
        final_fraction=0.1,
        warmup_steps=10,
    )
    rates = [learning_rate(stage, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    assert all(a <= b for a, b in pairwise(rates[:11]))
    assert all(a >= b for a, b in pairwise(rates[10:]))


def test_normaliser_keeps_the_grippers_own_bounds(sources):
    normaliser: Normaliser = fit_normaliser(NAMES, sources["demonstrations"])
    assert normaliser.state_low_D[-1] == normaliser.action_low_D[-1] == 0.0
    assert normaliser.state_high_D[-1] == normaliser.action_high_D[-1] == 1.0
    rows = sources["demonstrations"].actions_NHD.reshape(-1, 8)
    assert normaliser.action_high_D[0] == pytest.approx(np.quantile(rows[:, 0], 0.99))
