"""The training loop on a handful of made-up samples: reproducible, resumable, honest about data."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from training_rig import NAMES

from a1_core.normaliser import Normaliser
from a1_model.batch import TrainBatch
from a1_model.config import PARTS, tiny
from a1_model.fast_tokens import FastTokenizer
from a1_model.losses import training_losses
from a1_model.network import A1Network
from a1_training.augment import ImageAugmentation
from a1_training.recipe import Recipe, Stage
from a1_training.samples import BatchSampler, fit_normaliser
from a1_training.trainer import Trainer, learning_rate, part_of
from a1_training.workers import Workers

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
# Whatever draws a random number or keeps a state.
EVERYTHING = replace(
    RECIPE,
    stages=(
        replace(
            STAGE,
            objective="random_exit",
            loss_weights={**STAGE.loss_weights, "fast": 1.0},
            rates={"vlm": 0.5},
            frozen_steps={"vlm": 1},
        ),
    ),
    optimiser="adamw",
    augmentation=ImageAugmentation(crop=0.2, brightness=0.2, erase=0.5, sharpen=0.5),
    fast_vocab=300,
)


@pytest.fixture
def parts(make_sampler, make_trainer):
    return make_trainer(RECIPE), make_sampler()


@pytest.fixture
def make_trainer(tokenizer, sources):
    def make(recipe, **changes):
        torch.manual_seed(0)
        fast = None
        if recipe.fast_vocab:
            normaliser = fit_normaliser(NAMES, sources["demonstrations"])
            chunks = normaliser.encode_actions(sources["demonstrations"].actions_NHD)
            fast = FastTokenizer.fit(chunks, vocab=recipe.fast_vocab)
            changes |= {"parts": (*PARTS, "fast"), "fast_vocab": fast.vocab}
        config = tiny(vocab_size=len(tokenizer), exits=(1, 3), **changes)
        shallow = replace(config.backbone, layers=4)
        network = A1Network(replace(config, backbone=shallow))
        return Trainer(network, recipe, fast=fast)

    return make


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.average.parameters()])


def finish(trainer: Trainer, sampler: BatchSampler, first: int, stop: int | None = None):
    (stage,) = trainer.recipe.stages
    for step, _ in trainer.run(stage, sampler, first):
        if step + 1 == stop:
            break


@pytest.mark.parametrize("recipe", [RECIPE, EVERYTHING], ids=["tiny", "everything"])
def test_a_killed_run_resumes_to_the_same_weights(make_trainer, make_sampler, recipe, tmp_path):
    trainer, sampler = make_trainer(recipe), make_sampler()
    finish(trainer, sampler, 0, stop=2)
    trainer.save(tmp_path / "state.pt", {"stage": 0, "step": 2}, sampler)
    finish(trainer, sampler, 2)
    uninterrupted = weights(trainer)

    again, sampler = make_trainer(recipe), make_sampler(seed=8)
    progress = again.load(tmp_path / "state.pt", sampler)
    finish(again, sampler, progress["step"])
    assert torch.equal(weights(again), uninterrupted)


@pytest.mark.parametrize("size", [1, 3])
def test_passes_that_add_up_their_gradients_are_one_big_pass(make_trainer, make_sampler, size):
    """Weights after three steps, measured by how far they have moved."""
    start = weights(make_trainer(EVERYTHING))
    whole, cut = (
        make_trainer(replace(EVERYTHING, images_per_pass=images)) for images in (None, size)
    )
    for trainer in (whole, cut):
        finish(trainer, make_sampler(), 0, stop=3)
    moved = (weights(whole) - start).norm()
    assert moved > 0
    assert float((weights(cut) - weights(whole)).norm() / moved) < 1e-2


def test_half_precision_follows_the_full_one(make_trainer, make_sampler):
    exact, rough = (
        [losses for _, losses in make_trainer(recipe).run(replace(STAGE, steps=2), make_sampler())]
        for recipe in (RECIPE, replace(RECIPE, precision="bfloat16"))
    )
    for name in STAGE.loss_weights:
        assert rough[1][name] == pytest.approx(exact[1][name], rel=0.1)
        assert rough[0][name] != exact[0][name]


def test_weights_stay_in_full_precision(make_trainer, make_sampler):
    trainer = make_trainer(replace(RECIPE, precision="bfloat16"))
    finish(trainer, make_sampler(), 0, stop=1)
    assert {p.dtype for p in trainer.network.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in trainer.network.parameters() if p.grad is not None} == {
        torch.float32
    }


@pytest.mark.parametrize("optimiser", ["muon", "adamw"])
def test_parts_move_at_their_own_rates_and_from_their_own_step(
    make_trainer, make_sampler, optimiser
):
    stage = replace(
        STAGE, rates={"tower": 0.0, "vlm": 0.1}, frozen_steps={"vlm": 2}, warmup_steps=0
    )
    recipe = replace(RECIPE, stages=(stage,), optimiser=optimiser, weight_decay=0.0)
    trainer, sampler = make_trainer(recipe), make_sampler()

    def snapshot():
        moved = {"tower": [], "vlm": [], "head": []}
        for name, parameter in trainer.network.named_parameters():
            moved[part_of(name)].append(parameter.detach().clone())
        return moved

    history = [snapshot()]
    for _ in trainer.run(stage, sampler):
        history.append(snapshot())

    def moved(part, step):
        pairs = zip(history[step][part], history[step + 1][part], strict=True)
        return max(float((after - before).abs().max()) for before, after in pairs)

    assert all(moved("tower", step) == 0 for step in range(4))
    assert [moved("vlm", step) > 0 for step in range(4)] == [False, False, True, True]
    assert all(moved("head", step) > 0 for step in range(4))
    # AdamW's first step is about its learning rate, in every entry.
    if optimiser == "adamw":
        rate = learning_rate(stage, 2)
        assert moved("vlm", 2) == pytest.approx(0.1 * rate, rel=0.05)
        assert moved("head", 0) == pytest.approx(learning_rate(stage, 0), rel=0.05)
    assert not any(p.requires_grad for p in trainer.network.vision.tower.parameters())


def test_a_random_exit_trains_its_own_readout_alone(make_trainer, make_sampler):
    stage = replace(STAGE, objective="random_exit")
    trainer, sampler = make_trainer(replace(RECIPE, stages=(stage,))), make_sampler()
    met = set()
    for _ in trainer.run(stage, sampler):
        grads = [r.weight.grad is not None for r in trainer.network.expert.readouts]
        assert sum(grads) == 1
        met.add(grads.index(True))
    assert met == {0, 1}


def test_without_an_average_the_weights_themselves_are_kept(make_trainer, make_sampler, tmp_path):
    trainer, sampler = make_trainer(replace(RECIPE, ema_decay=0.0)), make_sampler()
    assert trainer.average is trainer.network
    finish(trainer, sampler, 0, stop=1)
    trainer.save(tmp_path / "state.pt", {"stage": 0, "step": 1}, sampler)
    again = make_trainer(replace(RECIPE, ema_decay=0.0))
    again.load(tmp_path / "state.pt", sampler)
    assert torch.equal(weights(again), weights(trainer))


def test_a_share_of_a_batch_is_what_the_whole_batch_has_there(make_sampler):
    mixture = {"demonstrations": 3.0, "scenes": 1.0}
    whole = make_sampler().draw_share(mixture, 9, slice(0, 9))
    seen = 0
    for rank in range(4):
        part = Workers(rank=rank, ranks=4, device=torch.device("cpu")).share(9)
        share = make_sampler().draw_share(mixture, 9, part)
        assert share.total == whole.total and share.first == seen
        expected, rows = whole.batch.of_images(part.start, part.stop)
        assert rows.start == seen
        seen = rows.stop
        for field in fields(TrainBatch):
            ours, theirs = getattr(share.batch, field.name), getattr(expected, field.name)
            assert (ours is None and theirs is None) or torch.equal(ours, theirs), field.name
    assert seen == whole.total


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
    assert batch.points_valid_BOV[:, 0, 0].all()
    assert not batch.points_valid_BOV[:, 0, 1].any()
    assert torch.isfinite(batch.points_BOV2).all()


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


@pytest.mark.parametrize(("decay", "first_over_last"), [(0.75, 16**0.75), (0.0, 1.0)])
def test_rows_weigh_what_the_recipe_says(make_sampler, decay, first_over_last):
    weights_H = make_sampler(row_decay=decay).draw({"demonstrations": 1.0}, 2).row_weight_BH[0]
    assert float(weights_H.mean()) == pytest.approx(1.0)
    assert float(weights_H[0] / weights_H[-1]) == pytest.approx(first_over_last)
