"""A training run as data: what is generated, what is learned from it, for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from a1_model.draws import OBJECTIVES
from a1_model.plain import one_of
from a1_training.augment import ImageAugmentation
from a1_training.samples import ROW_DECAY
from a1_world.tasks import KINDS

PARTS = ("tower", "vlm", "head")
OPTIMISERS = ("muon", "adamw")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stretch of training with a fixed mixture of sources and loss weights.

    Attributes:
        name: shown in the progress bar and kept in the checkpoint's metadata.
        steps: optimiser steps.
        mixture: source name to sampling weight; weights need not sum to one. Empty: all sources
            there are, balanced (see `balance`).
        loss_weights: loss name (`fm`, `distil`, `mlp`, `end`, `match`, `point`, `fast`) to weight.
        learning_rate: peak of the cosine.
        final_fraction: learning rate at the last step over the peak.
        warmup_steps: linear rise from zero.
        objective: which exits a step supervises: "all_exits" or one "random_exit".
        rates: share of the learning rate of each part of the network: the vision "tower", the
            rest of vision and backbone ("vlm"), and every "head". Left out: 1; 0: never moves.
        frozen_steps: first steps of the stage in which a part does not move.
    """

    name: str
    steps: int
    mixture: Mapping[str, float]
    loss_weights: Mapping[str, float]
    learning_rate: float
    final_fraction: float = 0.05
    warmup_steps: int = 200
    objective: str = "all_exits"
    rates: Mapping[str, float] = field(default_factory=dict)
    frozen_steps: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one_of("objective", self.objective, OBJECTIVES)
        for part in (*self.rates, *self.frozen_steps):
            one_of("rates, frozen_steps", part, PARTS)

    def share(self, part: str, step: int) -> float:
        """Of the learning rate that a part has at a step."""
        if step < self.frozen_steps.get(part, 0):
            return 0.0
        return self.rates.get(part, 1.0)


@dataclass(frozen=True, kw_only=True)
class DaggerRound:
    """The policy drives, the expert labels (Ross et al., 2011), then a further stage trains.

    Each episode is driven from one exit, drawn at random: what leaves early has to have seen where
    leaving early leads.

    Attributes:
        episodes: rollouts added to the source `dagger`.
        beta: fraction of ticks on which the expert's rows are executed instead.
        stage: training after the new episodes have been added.
        kinds: of their tasks, in turn; by default all.
        exits: blocks after which the driver leaves; empty: every exit's but the first, at which
            nothing leaves, since there is no earlier one to agree with.
        latency_s: lowest and highest time by which an episode's chunks come late; until then the
            plan before goes on.
    """

    episodes: int
    beta: float
    stage: Stage
    kinds: tuple[str, ...] = KINDS
    exits: tuple[int, ...] = ()
    latency_s: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole run; every number that decides the checkpoint stands here.

    Attributes:
        scenes: random layouts and arm poses, three instructions each; with the next two, what is
            generated in the simulator. A recipe for data that is given has none.
        demonstration_episodes: scripted expert episodes.
        noise: execution noise of the demonstrations (see `a1_world.generate`).
        chained: share of the episodes, demonstrated or not, that go on with a second task.
        images_per_step: images an optimiser step, of all processes; with each come all samples
            about it.
        images_per_pass: images at a time in one process, whose gradients are added up; None: all.
        state_mask_probability: chance that a sample's state is replaced by zeros.
        brightness: largest relative change of an image's brightness, per sample.
        ema_decay: decay of the averaged weights that are saved; 0: the weights themselves are.
        seed: of the data, the initial weights and the sampling.
        optimiser: "muon" for the matrices of the layers and AdamW for the rest, or "adamw".
        precision: of the products, "float32" or "bfloat16"; weights are float32 in either case.
        augmentation: of the images, beside `brightness`.
        insulate: no gradient from the expert into the backbone (knowledge insulation).
        fast_vocab: action tokens to learn for the loss `fast`; 0: none.
        keep_normaliser: use that of the checkpoint to go on from, not one fitted to the data: what
            its numbers mean stays, however few the data are.
        row_decay: row r of a chunk weighs (r + 1)^-row_decay in the losses; 0: all weigh the same.
    """

    stages: tuple[Stage, ...]
    scenes: int = 0
    demonstration_episodes: int = 0
    noise: float = 0.0
    chained: float = 0.0
    dagger: tuple[DaggerRound, ...] = ()
    images_per_step: int = 16
    images_per_pass: int | None = None
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    state_mask_probability: float = 0.0
    brightness: float = 0.1
    ema_decay: float = 0.999
    seed: int = 0
    optimiser: str = "muon"
    precision: str = "float32"
    augmentation: ImageAugmentation = field(default_factory=ImageAugmentation)
    insulate: bool = False
    fast_vocab: int = 0
    keep_normaliser: bool = False
    row_decay: float = ROW_DECAY

    def __post_init__(self) -> None:
        one_of("optimiser", self.optimiser, OPTIMISERS)
        one_of("precision", self.precision, PRECISIONS)
        if "fast" in self.losses and not self.fast_vocab:
            raise ValueError("fast_vocab: 0, but a stage has the loss fast; give it tokens")

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """Those of the DAgger rounds included."""
        return (*self.stages, *(dagger.stage for dagger in self.dagger))

    @property
    def losses(self) -> set[str]:
        """Names of all losses of all stages."""
        return {
            name
            for stage in self.all_stages
            for name, weight in stage.loss_weights.items()
            if weight > 0
        }


_ACT = {"fm": 1.0, "mlp": 1.0, "end": 0.05, "match": 0.2, "point": 0.2}


def tiny_recipe() -> Recipe:
    """Match, point, clone, five rounds of DAgger: exits learn to agree, then chunks come late."""
    return Recipe(
        scenes=16_000,
        demonstration_episodes=2_000,
        noise=1.0,
        chained=0.25,
        stages=(
            Stage(
                name="match",
                steps=800,
                mixture={"scenes": 1.0},
                loss_weights={"match": 1.0},
                learning_rate=1e-3,
                final_fraction=0.5,
            ),
            Stage(
                name="point",
                steps=400,
                mixture={"scenes": 1.0},
                loss_weights={"match": 1.0, "point": 1.0},
                learning_rate=1e-3,
                final_fraction=1.0,
                warmup_steps=50,
            ),
            Stage(
                name="clone",
                steps=3_000,
                mixture={"demonstrations": 0.6, "scenes": 0.4},
                loss_weights=_ACT,
                learning_rate=1e-3,
                final_fraction=0.3,
            ),
        ),
        dagger=(
            DaggerRound(
                episodes=400,
                beta=0.2,
                stage=Stage(
                    name="dagger-1",
                    steps=1_500,
                    mixture={"demonstrations": 0.4, "dagger": 0.45, "scenes": 0.15},
                    loss_weights=_ACT,
                    learning_rate=6e-4,
                    final_fraction=0.02,
                    warmup_steps=50,
                ),
            ),
            DaggerRound(
                episodes=400,
                beta=0.0,
                stage=Stage(
                    name="dagger-2",
                    steps=1_800,
                    mixture={"demonstrations": 0.35, "dagger": 0.5, "scenes": 0.15},
                    loss_weights=_ACT,
                    learning_rate=6e-4,
                    final_fraction=0.02,
                    warmup_steps=50,
                ),
            ),
            # What is not solved by then: long pushes, and stacking from shallow exits.
            DaggerRound(
                episodes=500,
                beta=0.0,
                kinds=("push", "push", "stack"),
                stage=Stage(
                    name="dagger-3",
                    steps=1_800,
                    mixture={"demonstrations": 0.25, "dagger": 0.65, "scenes": 0.1},
                    loss_weights=_ACT,
                    learning_rate=6e-4,
                    final_fraction=0.02,
                    warmup_steps=50,
                ),
            ),
            # What is left of the losses of leaving early: pushing and stacking from shallow exits.
            DaggerRound(
                episodes=500,
                beta=0.0,
                kinds=("push", "push", "stack"),
                exits=(2, 3, 4),
                stage=Stage(
                    name="dagger-4",
                    steps=1_500,
                    mixture={"demonstrations": 0.2, "dagger": 0.7, "scenes": 0.1},
                    loss_weights=_ACT | {"distil": 3.0},
                    learning_rate=5e-4,
                    final_fraction=0.02,
                    warmup_steps=50,
                ),
            ),
            # What a robot in real time sees: moments in which an old plan was still going on.
            DaggerRound(
                episodes=500,
                beta=0.0,
                kinds=("bowl", "stack", "push"),
                latency_s=(0.0, 0.4),
                stage=Stage(
                    name="dagger-5",
                    steps=1_500,
                    mixture={"demonstrations": 0.2, "dagger": 0.7, "scenes": 0.1},
                    loss_weights=_ACT | {"distil": 3.0},
                    learning_rate=5e-4,
                    final_fraction=0.02,
                    warmup_steps=50,
                ),
            ),
        ),
    )
