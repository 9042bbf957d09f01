"""The training loop: one optimiser step at a time, resumable to the same result."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from a1_model.network import A1Network
from a1_training.recipe import Recipe, Stage
from a1_training.samples import BatchSampler


def learning_rate(stage: Stage, step: int) -> float:
    """Linear warm-up, then a cosine from the peak to `final_fraction` of it."""
    if step < stage.warmup_steps:
        return stage.learning_rate * (step + 1) / stage.warmup_steps
    progress = (step - stage.warmup_steps) / max(1, stage.steps - stage.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return stage.learning_rate * (stage.final_fraction + (1 - stage.final_fraction) * cosine)


class Trainer:
    """Owns the network, its averaged copy, the optimiser and every random stream.

    A run that is killed and resumed from `save` continues with the same numbers as one that
    was not, because the sampler's and torch's generators are part of what is saved.
    """

    def __init__(self, network: A1Network, recipe: Recipe):
        self.network = network
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        self._recipe = recipe
        decayed = [p for p in network.parameters() if p.ndim >= 2]
        plain = [p for p in network.parameters() if p.ndim < 2]
        self._optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": recipe.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            betas=(0.9, 0.95),
        )
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
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(stage, step)
        wanted = tuple(name for name, weight in stage.loss_weights.items() if weight > 0)
        losses = self.network.losses(batch, self.generator, wanted=wanted)
        total = torch.stack([stage.loss_weights[name] * losses[name] for name in wanted]).sum()
        self._optimiser.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._recipe.gradient_clip)
        if not torch.isfinite(norm):
            raise FloatingPointError(
                f"stage {stage.name}, step {step}: the gradient is not finite; "
                "lower the stage's learning_rate or look for NaN in its data"
            )
        self._optimiser.step()
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
            "optimiser": self._optimiser.state_dict(),
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
        self._optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.steps_done = state["steps_done"]
        sampler.rng.bit_generator.state = state["sampler"]
        return state["progress"]
