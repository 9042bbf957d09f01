"""One pass, every exit supervised, all losses."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from a1_model.backbone import Layout
from a1_model.batch import TrainBatch
from a1_model.blocks import HalfBlock, Rope
from a1_model.expert import Context
from a1_model.flow import noisy_actions, sample_tau, target_velocity
from a1_model.heads import masked_mean
from a1_model.pointing import Pointing

if TYPE_CHECKING:
    from a1_model.network import A1Network

LOSSES = ("fm", "mlp", "end", "match", "point")
# The substep ends once an episode: without a weight the head would learn to say never.
END_POSITIVE_WEIGHT = 10.0


def training_losses(
    network: A1Network,
    batch: TrainBatch,
    generator: torch.Generator | None,
    wanted: Collection[str],
) -> dict[str, Tensor]:
    """Scalars named in `wanted`, and `<name>_by_exit` [K] (detached) for each.

    All exits see the same noise and tau, so one run of the expert carries K readouts.
    Gradients of "fm" stop before the backbone when the configuration says `insulate`.

    Raises:
        ValueError: `wanted` names an unknown loss.
    """
    unknown = sorted(set(wanted) - set(LOSSES))
    if unknown:
        raise ValueError(f"losses: {unknown} unknown; one of {', '.join(LOSSES)}")
    config = network.config
    with_queries = "mlp" in wanted
    with_expert = "fm" in wanted or ("end" in wanted and not with_queries)
    prefix, layout = network.shared_prefix(batch, with_queries)
    flow = _Flow(network, batch, layout, generator, wanted) if with_expert else None
    pointing = Pointing(network, batch, layout) if {"match", "point"} & set(wanted) else None
    by_exit: dict[str, list[Tensor]] = {name: [] for name in wanted}
    for block in range(config.exits[-1] + 1):
        half = prefix.keys_values(block)
        if flow is not None:
            flow.step(block, half)
        hidden = prefix.finish(block, half)
        if block not in config.exits:
            continue
        exit_index = config.exits.index(block)
        queries = hidden[:, layout.prefix :]
        if flow is not None and "fm" in wanted:
            by_exit["fm"].append(flow.loss(exit_index))
        if with_queries:
            actions = network.query_head.actions(exit_index, queries)
            by_exit["mlp"].append(_mlp_loss(actions, batch))
        if "end" in wanted:
            logits = [flow.end_logit(exit_index)] if flow is not None else []
            if with_queries:
                logits.append(network.query_head.end_logit(exit_index, queries))
            by_exit["end"].append(torch.stack([_end_loss(x, batch) for x in logits]).mean())
        if pointing is not None and "match" in wanted:
            by_exit["match"].append(pointing.match(exit_index, hidden))
        if pointing is not None and "point" in wanted:
            point = pointing.instruction(exit_index, half, hidden)
            if with_queries:
                point = point + pointing.queries(exit_index, half, queries)
            if flow is not None:
                point = point + flow.point(pointing, exit_index)
            by_exit["point"].append(point)
    losses: dict[str, Tensor] = {}
    for name, values in by_exit.items():
        stacked_K = torch.stack(values)
        losses[name] = stacked_K.mean()
        losses[f"{name}_by_exit"] = stacked_K.detach()
    return losses


class _Flow:
    """The expert beside the backbone: state lane and, for the loss, the noisy actions."""

    def __init__(
        self,
        network: A1Network,
        batch: TrainBatch,
        layout: Layout,
        generator: torch.Generator | None,
        wanted: Collection[str],
    ):
        self._expert = network.expert
        self._insulate = network.config.insulate
        self._prefix = layout.prefix
        self._state = self._expert.embed_state(batch.state_BD)
        self._batch = batch
        self._actions: Tensor | None = None
        draws = network.config.flow_draws
        self._suffix = self._expert.suffix(layout, draws)
        self._looks: dict[str, Tensor] = {}
        self._with_looks = "point" in wanted
        if "fm" not in wanted:
            return
        actions_BSHD = batch.actions_BHD[:, None].expand(-1, draws, -1, -1)
        noise_BSHD = torch.randn(actions_BSHD.shape, generator=generator)
        tau_BS = sample_tau(actions_BSHD.shape[:2], generator)
        noise_BSHD, tau_BS = noise_BSHD.to(actions_BSHD.device), tau_BS.to(actions_BSHD.device)
        noisy_BSHD = noisy_actions(actions_BSHD, noise_BSHD, tau_BS[..., None, None])
        self._noisy_BRD = noisy_BSHD.flatten(1, 2)
        self._tau_BR1 = tau_BS.repeat_interleave(network.config.horizon, dim=1)[..., None]
        self._target_BSHD = target_velocity(actions_BSHD, noise_BSHD)
        self._actions = self._expert.embed_actions(noisy_BSHD, tau_BS)

    def step(self, block: int, half: HalfBlock) -> None:
        """Reads block `block`'s keys and values."""
        if self._insulate:
            half = replace(
                half, key_BGNd=half.key_BGNd.detach(), value_BGNd=half.value_BGNd.detach()
            )
        expert, suffix, before = self._expert, self._suffix, self._state
        self._state, context = expert.state_layer(block, before, half, suffix, self._prefix)
        if self._with_looks:
            self._look("state", block, before, suffix.state_rope, context)
        if self._actions is None:
            return
        if self._with_looks:
            self._look("actions", block, self._actions, suffix.action_rope, context)
        self._actions = expert.action_layer(block, self._actions, context, suffix)

    def _look(
        self, lane: str, block: int, tokens_BRC: Tensor, rope: Rope, context: Context
    ) -> None:
        mask = self._suffix.state_mask
        self._looks[lane] = self._expert.looks(block, tokens_BRC, rope, context, mask)

    def loss(self, exit_index: int) -> Tensor:
        """Mean squared error of the velocity over the valid rows of all draws."""
        assert self._actions is not None
        velocity = self._expert.velocity(exit_index, self._actions, self._noisy_BRD, self._tau_BR1)
        velocity = velocity.unflatten(1, self._target_BSHD.shape[1:3])
        error_BH = (velocity - self._target_BSHD).square().mean((1, 3))
        return masked_mean(error_BH, _rows(self._batch))

    def point(self, pointing: Pointing, exit_index: int) -> Tensor:
        """What its lanes know about the named object after the block last stepped."""
        point = pointing.lane("state", exit_index, self._state, self._looks["state"])
        if self._actions is None:
            return point
        return point + pointing.lane("actions", exit_index, self._actions, self._looks["actions"])

    def end_logit(self, exit_index: int) -> Tensor:
        return self._expert.end_logit(exit_index, self._state)


def _rows(batch: TrainBatch) -> Tensor:
    return batch.row_weight_BH * batch.action_valid_B[:, None]


def _mlp_loss(actions_BHD: Tensor, batch: TrainBatch) -> Tensor:
    return masked_mean((actions_BHD - batch.actions_BHD).abs().mean(-1), _rows(batch))


def _end_loss(logit_B: Tensor, batch: TrainBatch) -> Tensor:
    loss_B = functional.binary_cross_entropy_with_logits(
        logit_B,
        batch.end_B,
        reduction="none",
        pos_weight=torch.tensor(END_POSITIVE_WEIGHT, device=logit_B.device),
    )
    return masked_mean(loss_B, batch.end_valid_B)
