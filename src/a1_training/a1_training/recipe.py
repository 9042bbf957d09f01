"""A training run as data: what is generated, what is learned from it, for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stretch of training with a fixed mixture of sources and loss weights.

    Attributes:
        name: shown in the progress bar and kept in the checkpoint's metadata.
        steps: optimiser steps.
        mixture: source name to sampling weight; weights need not sum to one.
        loss_weights: loss name (`fm`, `mlp`, `end`, `match`, `point`) to weight.
        learning_rate: peak of the cosine.
        final_fraction: learning rate at the last step over the peak.
        warmup_steps: linear rise from zero.
    """

    name: str
    steps: int
    mixture: Mapping[str, float]
    loss_weights: Mapping[str, float]
    learning_rate: float
    final_fraction: float = 0.05
    warmup_steps: int = 200


@dataclass(frozen=True, kw_only=True)
class DaggerRound:
    """The policy drives, the expert labels (Ross et al., 2011), then a further stage trains.

    Attributes:
        episodes: rollouts added to the source `dagger`.
        beta: fraction of ticks on which the expert's rows are executed instead.
        any_exit: each episode is driven from one exit, drawn at random, else all from the last:
            what leaves early has to have seen where leaving early leads.
        stage: training after the new episodes have been added.
    """

    episodes: int
    beta: float
    any_exit: bool
    stage: Stage


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole run; every number that decides the checkpoint stands here.

    Attributes:
        scenes: random layouts and arm poses, three instructions each.
        demonstration_episodes: scripted expert episodes.
        noise: execution noise of the demonstrations (see `a1_world.generate`).
        images_per_step: images an optimiser step; with each come all samples about it.
        state_mask_probability: chance that a sample's state is replaced by zeros.
        brightness: largest relative change of an image's brightness, per sample.
        ema_decay: decay of the averaged weights that are saved.
        seed: of the data, the initial weights and the sampling.
    """

    scenes: int
    demonstration_episodes: int
    noise: float
    stages: tuple[Stage, ...]
    dagger: tuple[DaggerRound, ...]
    images_per_step: int = 16
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    state_mask_probability: float = 0.0
    brightness: float = 0.1
    ema_decay: float = 0.999
    seed: int = 0


_ACT = {"fm": 1.0, "mlp": 0.5, "end": 0.05, "match": 0.2, "point": 0.2}


def tiny_recipe() -> Recipe:
    """Match, point, clone, then two rounds of DAgger."""
    return Recipe(
        scenes=16_000,
        demonstration_episodes=1_600,
        noise=1.0,
        stages=(
            Stage(
                name="match",
                steps=600,
                mixture={"scenes": 1.0},
                loss_weights={"match": 1.0},
                learning_rate=1e-3,
                final_fraction=0.5,
            ),
            Stage(
                name="point",
                steps=300,
                mixture={"scenes": 1.0},
                loss_weights={"match": 1.0, "point": 1.0},
                learning_rate=1e-3,
                final_fraction=1.0,
                warmup_steps=50,
            ),
            Stage(
                name="clone",
                steps=1_500,
                mixture={"demonstrations": 0.6, "scenes": 0.4},
                loss_weights=_ACT,
                learning_rate=1e-3,
                final_fraction=0.3,
            ),
        ),
        dagger=(
            DaggerRound(
                episodes=200,
                beta=0.2,
                any_exit=False,
                stage=Stage(
                    name="dagger-1",
                    steps=1_200,
                    mixture={"demonstrations": 0.4, "dagger": 0.45, "scenes": 0.15},
                    loss_weights=_ACT,
                    learning_rate=6e-4,
                    final_fraction=0.02,
                    warmup_steps=50,
                ),
            ),
            DaggerRound(
                episodes=240,
                beta=0.0,
                any_exit=True,
                stage=Stage(
                    name="dagger-2",
                    steps=1_000,
                    mixture={"demonstrations": 0.35, "dagger": 0.5, "scenes": 0.15},
                    loss_weights=_ACT,
                    learning_rate=6e-4,
                    final_fraction=0.02,
                    warmup_steps=50,
                ),
            ),
        ),
    )
