"""The training loop: one optimiser step at a time, resumable to the same result."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.optim import Optimizer

from a1_model.losses import training_losses
from a1_model.network import A1Network
from a1_training.recipe import Recipe, Stage
from a1_training.samples import BatchSampler

# Muon's step is a matrix whose singular values are about its learning rate, AdamW's one whose
# entries are: this many times the stage's rate gives changes of about the same size.
MATRIX_RATE = 20.0
_LAYERS = ("vision.", "backbone.layers.", "expert.layers.")


def learning_rate(stage: Stage, step: int) -> float:
    """Linear warm-up, then a cosine from the peak to `final_fraction` of it."""
    if step < stage.warmup_steps:
        return stage.learning_rate * (step + 1) / stage.warmup_steps
    progress = (step - stage.warmup_steps) / max(1, stage.steps - stage.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return stage.learning_rate * (stage.final_fraction + (1 - stage.final_fraction) * cosine)


def optimisers(network: A1Network, weight_decay: float) -> tuple[Optimizer, Optimizer]:
    """Muon for the matrices of the layers (Jordan et al., 2024), AdamW for everything else.

    Muon's steps have the same size in every direction of a matrix. Regression of actions needs
    that: with AdamW it takes about ten times as many samples to the same error.
    """
    layers, matrices, vectors = [], [], []
    for name, parameter in network.named_parameters():
        if parameter.ndim == 2 and name.startswith(_LAYERS):
            layers.append(parameter)
        else:
            (matrices if parameter.ndim >= 2 else vectors).append(parameter)
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return (
        torch.optim.Muon(layers, weight_decay=weight_decay),
        torch.optim.AdamW(groups, betas=(0.9, 0.95)),
    )


class Trainer:
    """Owns the network, its averaged copy, the optimiser and every random stream.

    A run that is killed and resumed from `save` continues with the same numbers as one that
    was not, because the sampler's and torch's generators are part of what is saved.
    """

    def __init__(self, network: A1Network, recipe: Recipe):
        self.network = network
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        self._recipe = recipe
        self._optimisers = optimisers(network, recipe.weight_decay)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.steps_done = 0

    def run(
        self,
        stage: Stage,
        sampler: BatchSampler,
        first_step: int = 0,
        *,
        save: Callable[[int], None] = lambda step: None,
        save_every: int = 250,
    ) -> Iterator[tuple[int, dict[str, float]]]:
        """Yields (step, losses) after every optimiser step of `stage` from `first_step` on."""
        self.network.train()
        for step in range(first_step, stage.steps):
            yield step, self._step(stage, step, sampler)
            if (step + 1) % save_every == 0 or step + 1 == stage.steps:
                save(step + 1)

    def _step(self, stage: Stage, step: int, sampler: BatchSampler) -> dict[str, float]:
        batch = sampler.draw(stage.mixture, self._recipe.images_per_step)
        for optimiser, rate in zip(self._optimisers, (MATRIX_RATE, 1.0), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * learning_rate(stage, step)
        wanted = tuple(name for name, weight in stage.loss_weights.items() if weight > 0)
        losses = training_losses(self.network, batch, self.generator, wanted)
        total = torch.stack([stage.loss_weights[name] * losses[name] for name in wanted]).sum()
        self.network.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._recipe.gradient_clip)
        if not torch.isfinite(norm):
            raise FloatingPointError(
                f"stage {stage.name}, step {step}: the gradient is not finite; "
                "lower the stage's learning_rate or look for NaN in its data"
            )
        for optimiser in self._optimisers:
            optimiser.step()
        self.steps_done += 1
        self._update_average()
        report = {name: float(losses[name].detach()) for name in wanted}
        return report | {"lr": learning_rate(stage, step), "gradient_norm": float(norm)}

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early on the average follows quickly, else it would carry the random start for long.
        decay = min(self._recipe.ema_decay, (1 + self.steps_done) / (10 + self.steps_done))
        torch._foreach_lerp_(
            list(self.average.parameters()), list(self.network.parameters()), 1 - decay
        )
        for mean, value in zip(self.average.buffers(), self.network.buffers(), strict=True):
            mean.copy_(value)

    def save(self, path: Path, progress: dict[str, int], sampler: BatchSampler) -> None:
        """Writes the whole state of the run; the old file stays until the new one is complete."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "generator": self.generator.get_state(),
            "sampler": sampler.rng.bit_generator.state,
            "steps_done": self.steps_done,
            "progress": progress,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def load(self, path: Path, sampler: BatchSampler) -> dict[str, int]:
        """Restores what `save` wrote and returns its `progress`."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        for optimiser, kept in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        self.generator.set_state(state["generator"])
        self.steps_done = state["steps_done"]
        sampler.rng.bit_generator.state = state["sampler"]
        return state["progress"]
