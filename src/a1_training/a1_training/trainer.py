"""The training loop: one optimiser step at a time, resumable to the same result."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from a1_core.errors import A1Error
from a1_model.batch import TrainBatch
from a1_model.draws import Draws, Totals, make_draws
from a1_model.fast_tokens import FastTokenizer
from a1_model.losses import TrainingPass
from a1_model.network import A1Network
from a1_training.augment import RANDOMS, augmented
from a1_training.balance import balanced_mixture
from a1_training.recipe import PARTS, Recipe, Stage
from a1_training.samples import BatchSampler
from a1_training.workers import Workers

# Muon's step is a matrix whose singular values are about its learning rate, AdamW's one whose
# entries are: this many times the stage's rate gives changes of about the same size.
MATRIX_RATE = 20.0
_LAYERS = ("vision.", "backbone.layers.", "expert.layers.", "query_head.readouts.")


def learning_rate(stage: Stage, step: int) -> float:
    """Linear warm-up, then a cosine from the peak to `final_fraction` of it."""
    if step < stage.warmup_steps:
        return stage.learning_rate * (step + 1) / stage.warmup_steps
    progress = (step - stage.warmup_steps) / max(1, stage.steps - stage.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return stage.learning_rate * (stage.final_fraction + (1 - stage.final_fraction) * cosine)


def part_of(name: str) -> str:
    """Of `recipe.PARTS`, the one that a parameter of the network belongs to."""
    if name.startswith("vision.tower."):
        return "tower"
    return "vlm" if name.startswith(("vision.", "backbone.")) else "head"


@dataclass(frozen=True, kw_only=True)
class Rated:
    """An optimiser and what the learning rate of each of its groups is.

    Attributes:
        parts: of the groups, in their order; None: all parts have the same rate.
        rate: factor of all of them.
    """

    optimiser: Optimizer
    parts: tuple[str | None, ...]
    rate: float

    def set_rates(self, stage: Stage, step: int) -> None:
        """Those of a step; what stands still gets no gradient either, so no moments of it."""
        for group, part in zip(self.optimiser.param_groups, self.parts, strict=True):
            share = 1.0 if part is None else stage.share(part, step)
            group["lr"] = self.rate * share * learning_rate(stage, step)
            if share == 0.0:
                for parameter in group["params"]:
                    parameter.grad = None


def optimisers(network: A1Network, recipe: Recipe) -> list[Rated]:
    """Muon for the matrices of the layers (Jordan et al., 2024), AdamW for everything else.

    Muon's steps have the same size in every direction of a matrix. Regression of actions needs
    that: with AdamW it takes about ten times as many samples to the same error.
    """
    apart = any(stage.rates or stage.frozen_steps for stage in recipe.all_stages)
    groups: dict[tuple[bool, bool, str | None], list[nn.Parameter]] = {}
    for part in PARTS if apart else (None,):
        for decayed in (True, False):
            for muon in (True, False):
                groups[muon, decayed, part] = []
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        muon = recipe.optimiser == "muon" and parameter.ndim == 2 and name.startswith(_LAYERS)
        groups[muon, parameter.ndim >= 2, part_of(name) if apart else None].append(parameter)
    rated = []
    for wanted, rate in ((True, MATRIX_RATE), (False, 1.0)):
        kept = [(key, group) for key, group in groups.items() if key[0] is wanted and group]
        if not kept:
            continue
        settings = [
            {"params": group, "weight_decay": recipe.weight_decay if decayed else 0.0}
            for (_, decayed, _), group in kept
        ]
        rated.append(
            Rated(
                optimiser=(
                    torch.optim.Muon(settings)
                    if wanted
                    else torch.optim.AdamW(settings, betas=(0.9, 0.95))
                ),
                parts=tuple(part for (_, _, part), _ in kept),
                rate=rate,
            )
        )
    return rated


class Trainer:
    """Owns the network, its averaged copy, the optimisers and every random stream.

    A run that is killed and resumed from `save` continues with the same numbers as one that
    was not, because the sampler's and torch's generators are part of what is saved. However a
    step's images are spread over processes and passes, its gradient is that of all of them.

    Args:
        network: to train; it is moved to the workers' device.
        fast: of the loss `fast`.
        workers: this process among those that train together; all of them make the same trainer.

    Raises:
        A1Error: the recipe needs whole matrices or a second copy, but the workers share one.
    """

    def __init__(
        self,
        network: A1Network,
        recipe: Recipe,
        *,
        fast: FastTokenizer | None = None,
        workers: Workers | None = None,
    ):
        self.workers = workers or Workers.alone(next(network.parameters()).device)
        if self.workers.sharded and (recipe.optimiser != "adamw" or recipe.ema_decay):
            raise A1Error(
                f"--shard: the recipe has the optimiser {recipe.optimiser} and ema_decay "
                f"{recipe.ema_decay}; only adamw without an average works on shares"
            )
        self.network = network.to(self.workers.device)
        self.recipe, self._fast = recipe, fast
        _freeze(network, recipe)
        self.average = network
        if recipe.ema_decay:
            self.average = copy.deepcopy(network).requires_grad_(False).eval()
        precision = getattr(torch, recipe.precision)
        self._pass = self.workers.wrap(TrainingPass(network), precision)
        self._optimisers = optimisers(network, recipe)
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
        wanted = tuple(name for name, weight in stage.loss_weights.items() if weight > 0)
        batch, draws = self._draw(stage, wanted, sampler)
        self.network.zero_grad(set_to_none=True)
        said_L = self._accumulate(batch, draws, {name: stage.loss_weights[name] for name in wanted})
        for rated in self._optimisers:
            rated.set_rates(stage, step)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.gradient_clip)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        if not torch.isfinite(norm):
            raise FloatingPointError(
                f"stage {stage.name}, step {step}: the gradient is not finite; "
                "lower the stage's learning_rate or look for NaN in its data"
            )
        for rated in self._optimisers:
            rated.optimiser.step()
        self.steps_done += 1
        self._update_average()
        report = dict(zip(wanted, self.workers.added(said_L).tolist(), strict=True))
        return report | {"lr": learning_rate(stage, step), "gradient_norm": float(norm)}

    def _draw(
        self, stage: Stage, wanted: Sequence[str], sampler: BatchSampler
    ) -> tuple[TrainBatch, Draws]:
        """This process's samples of a step, and what was drawn and counted for all of them."""
        recipe, workers, config = self.recipe, self.workers, self.network.config
        images = recipe.images_per_step
        mixture = stage.mixture or balanced_mixture(sampler.names)
        share = sampler.draw_share(mixture, images, workers.share(images))
        batch = share.batch
        if "fast" in wanted:
            assert self._fast is not None
            ids_BA, mask_BA = self._fast.encode(batch.actions_BHD.numpy())
            batch = replace(batch, fast_ids_BA=ids_BA, fast_mask_BA=mask_BA)
        batch = batch.to(workers.device)
        if recipe.augmentation.any:
            shape = (images, len(config.cameras), RANDOMS)
            random_UVR = torch.rand(shape, generator=self.generator)[workers.share(images)]
            padded = config.vision.connector is not None
            batch = augmented(
                batch, recipe.augmentation, random_UVR.to(workers.device), padded=padded
            )
        totals = Totals(workers.added(Totals.of(batch).counts))
        draws = make_draws(config, share.total, totals, self.generator, wanted, stage.objective)
        mine = slice(share.first, share.first + len(batch.state_BD))
        return batch, draws.of_samples(mine).to(workers.device)

    def _accumulate(self, batch: TrainBatch, draws: Draws, weights: Mapping[str, float]) -> Tensor:
        """Adds up the gradients of all passes; returns this process's part of the losses [L]."""
        workers, device = self.workers, self.workers.device
        wanted = tuple(weights)
        weight_L = torch.tensor(list(weights.values()), device=device)
        said_L = torch.zeros(len(wanted), device=device)
        size = self.recipe.images_per_pass or batch.images
        for first in range(0, batch.images, size):
            part, rows = batch.of_images(first, min(first + size, batch.images))
            last = first + size >= batch.images
            with workers.with_exchange(self._pass, last):
                with torch.autocast(
                    device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"
                ):
                    losses = self._pass(part, draws.of_samples(rows), wanted)
                losses_L = torch.stack([losses[name] for name in wanted])
                # The exchange takes the mean over processes, whose losses are parts of a sum.
                (workers.ranks * (weight_L * losses_L).sum()).backward()
            said_L += losses_L.detach()
        return said_L

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.average is self.network:
            return
        # Early on the average follows quickly, else it would carry the random start for long.
        decay = min(self.recipe.ema_decay, (1 + self.steps_done) / (10 + self.steps_done))
        torch._foreach_lerp_(
            list(self.average.parameters()), list(self.network.parameters()), 1 - decay
        )
        for mean, value in zip(self.average.buffers(), self.network.buffers(), strict=True):
            mean.copy_(value)

    def save(self, path: Path, progress: dict[str, int], sampler: BatchSampler) -> None:
        """Writes the whole state of the run; the old file stays until the new one is complete.

        All processes call it, the first writes.
        """
        workers, network = self.workers, self.network
        state = {
            "network": workers.weights(network),
            "optimisers": [workers.moments(network, r.optimiser) for r in self._optimisers],
            "generator": self.generator.get_state(),
            "sampler": sampler.rng.bit_generator.state,
            "steps_done": self.steps_done,
            "progress": progress,
        }
        if self.average is not network:
            state["average"] = self.average.state_dict()
        if workers.first:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            torch.save(state, partial)
            os.replace(partial, path)
        workers.wait()

    def load(self, path: Path, sampler: BatchSampler) -> dict[str, int]:
        """Restores what `save` wrote and returns its `progress`."""
        state = torch.load(path, weights_only=True, map_location="cpu")
        self.workers.set_weights(self.network, state["network"])
        if self.average is not self.network:
            self.average.load_state_dict(state["average"])
        for rated, kept in zip(self._optimisers, state["optimisers"], strict=True):
            self.workers.set_moments(self.network, rated.optimiser, kept)
        self.generator.set_state(state["generator"])
        self.steps_done = state["steps_done"]
        sampler.rng.bit_generator.state = state["sampler"]
        return state["progress"]

    def weights(self) -> dict[str, Any]:
        """Those to keep: the averaged ones if there are any; see `Workers.weights`."""
        if self.average is not self.network:
            return self.average.state_dict()
        return self.workers.weights(self.network)


def _freeze(network: A1Network, recipe: Recipe) -> None:
    """What no stage ever moves takes no gradient."""
    for name, parameter in network.named_parameters():
        part = part_of(name)
        if all(stage.rates.get(part, 1.0) == 0.0 for stage in recipe.all_stages):
            parameter.requires_grad_(False)
