"""`make train-tiny` on a handful of scenes: data, stages, a DAgger round, and going on."""

import dataclasses
import io
import shutil

import pytest
import torch
from rich.console import Console

from a1_core.spec import load_spec
from a1_model.checkpoint import load_checkpoint
from a1_training.recipe import DaggerRound, Recipe, Stage
from a1_training.train_tiny import Paths, TinyRun

ACT = {"fm": 1.0, "mlp": 1.0, "end": 0.05, "match": 0.2, "point": 0.2}


def stage(name: str, steps: int, **losses: float) -> Stage:
    mixture = {"scenes": 0.5, "demonstrations": 0.5}
    return Stage(
        name=name, steps=steps, mixture=mixture, loss_weights=ACT | losses, learning_rate=1e-3
    )


RECIPE = Recipe(
    scenes=40,
    demonstration_episodes=2,
    noise=1.0,
    stages=(stage("clone", 2),),
    dagger=(
        DaggerRound(episodes=1, beta=1.0, stage=stage("dagger-1", 2)),
        DaggerRound(
            episodes=1,
            beta=1.0,
            kinds=("push",),
            exits=(2, 3),
            stage=stage("dagger-2", 2, distil=3.0),
        ),
    ),
    images_per_step=4,
)


@pytest.fixture(scope="module")
def spec_file(root):
    return root / "config" / "robots" / "franka.yaml"


def train(folder, recipe, spec_file):
    """Weights of the checkpoint, and what was printed."""
    paths = Paths(work=folder / "work", checkpoint=folder / "checkpoint", spec=spec_file)
    paths.work.mkdir(exist_ok=True)
    printed = io.StringIO()
    TinyRun(paths, recipe, 1, Console(file=printed)).run()
    loaded = load_checkpoint(paths.checkpoint, load_spec(spec_file))
    return loaded.policy.network.state_dict(), printed.getvalue()


def test_a_run_that_goes_on_ends_where_a_whole_one_does(tmp_path, spec_file):
    whole, printed = train(tmp_path, RECIPE, spec_file)
    for source in ("scenes", "demonstrations", "dagger/1", "dagger/2"):
        assert f"{source}: " in printed
    # What was generated stays; the training begins again, and is broken off before its last round.
    (tmp_path / "work" / "state.pt").unlink()
    first, _ = train(tmp_path, dataclasses.replace(RECIPE, dagger=RECIPE.dagger[:1]), spec_file)
    # A kill after the state was written and before the checkpoint was, which drives what follows.
    shutil.rmtree(tmp_path / "checkpoint")
    shutil.rmtree(tmp_path / "work" / "data" / "dagger" / "2")
    again, printed = train(tmp_path, RECIPE, spec_file)
    assert "resuming at stage 2, step 0" in printed
    assert any(not torch.equal(first[name], whole[name]) for name in whole)
    for name, value in whole.items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=0)
