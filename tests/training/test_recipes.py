"""What the recipes say, beside the paper's tables; who is drawn how often."""

import dataclasses

import pytest

from a1_core.errors import A1Error
from a1_training.balance import balanced_mixture
from a1_training.recipe import Recipe, Stage, tiny_recipe
from a1_training.recipes import RECIPES, recipe_by_name
from a1_training.trainer import learning_rate

# Tables 8 and 9: batch size, steps, state mask.
TABLES = {
    "paper-pretrain": (1024, 200_000, 0.5),
    "paper-libero": (128, 50_000, 0.0),
    "paper-vlabench": (64, 50_000, 0.0),
    "paper-robochallenge-aloha": (64, 100_000, 0.3),
    "paper-robochallenge-arx5": (32, 50_000, 0.3),
    "paper-robochallenge-ur5": (64, 50_000, 0.3),
    "paper-robochallenge-franka": (64, 50_000, 0.3),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_papers_tables(name):
    recipe = recipe_by_name(name)
    (stage,) = recipe.stages
    numbers = (recipe.images_per_step, stage.steps, recipe.state_mask_probability)
    assert numbers == TABLES[name]
    assert recipe.optimiser == "adamw" and stage.warmup_steps == 2000
    assert recipe.augmentation.erase > 0 and recipe.augmentation.sharpen > 0
    assert recipe.row_decay == 0.0

    def rate(part, step):
        return stage.share(part, step) * learning_rate(stage, step)

    assert all(rate("tower", step) == 0 for step in (0, 1500, 30_000))
    assert rate("vlm", 999) == 0 < rate("vlm", 1000)
    assert rate("head", 2000) == pytest.approx(5e-5) and rate("vlm", 2000) == pytest.approx(5e-6)
    assert rate("head", 999) == pytest.approx(2.5e-5)
    assert rate("head", stage.steps - 1) < 0.06 * 5e-5


def test_the_tables_are_all_there_is_of_the_papers():
    assert {name for name in RECIPES if name.startswith("paper-")} == set(TABLES)


def test_insulation_comes_with_tokens():
    recipe = recipe_by_name("insulated")
    assert recipe.insulate and recipe.fast_vocab and "fast" in recipe.losses
    assert recipe.stages[0].loss_weights["fast"] == recipe.stages[0].loss_weights["fm"] == 1.0
    with pytest.raises(ValueError, match="fast_vocab"):
        dataclasses.replace(recipe, fast_vocab=0)


def test_an_unknown_recipe_is_told_the_names():
    with pytest.raises(A1Error, match=r"'paper'.*paper-libero"):
        recipe_by_name("paper")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"objective": "some"}, "objective"),
        ({"rates": {"eyes": 1.0}}, "eyes"),
        ({"frozen_steps": {"backbone": 3}}, "backbone"),
    ],
)
def test_a_stage_with_a_wrong_word_is_refused(changes, named):
    with pytest.raises(ValueError, match=named):
        dataclasses.replace(recipe_by_name("insulated").stages[0], **changes)


def test_the_simulators_recipe_trains_all_exits_of_everything():
    recipe: Recipe = tiny_recipe()
    assert recipe.optimiser == "muon" and recipe.precision == "float32"
    assert not recipe.augmentation.any and not recipe.insulate
    for stage in recipe.all_stages:
        assert isinstance(stage, Stage) and stage.objective == "all_exits"
        assert not stage.rates and not stage.frozen_steps


def test_data_sets_weigh_the_same_and_so_do_the_robots_within():
    names = ["droid:franka", "agibot:g1", "agibot:a2", "coin:aloha", "coin:ur5", "coin:arx5"]
    weights = balanced_mixture(names)
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["droid:franka"] == pytest.approx(1 / 3)
    assert weights["agibot:g1"] == weights["agibot:a2"] == pytest.approx(1 / 6)
    assert weights["coin:ur5"] == pytest.approx(1 / 9)
