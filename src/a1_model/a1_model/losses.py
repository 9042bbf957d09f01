"""One pass, all losses, at all exits or at one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from a1_model.backbone import Layout
from a1_model.batch import TrainBatch
from a1_model.blocks import HalfBlock, Rope
from a1_model.draws import Draws, Totals, make_draws
from a1_model.expert import Context
from a1_model.flow import noisy_actions, target_velocity
from a1_model.heads import masked_mean
from a1_model.network import A1Network
from a1_model.pointing import Pointing

LOSSES = ("fm", "distil", "mlp", "end", "match", "point", "fast")
# The substep ends once an episode: without a weight the head would learn to say never.
END_POSITIVE_WEIGHT = 10.0
# The part of the network that a loss needs, where it has another name.
_PART = {"match": "point", "distil": "fm"}


class TrainingPass(nn.Module):
    """A batch in, losses out, as one module: what wraps a network to train it wraps this."""

    def __init__(self, network: A1Network):
        super().__init__()
        self.network = network

    def forward(
        self, batch: TrainBatch, draws: Draws, wanted: Collection[str]
    ) -> dict[str, Tensor]:
        """See `losses_of`."""
        return losses_of(self.network, batch, draws, wanted)


def training_losses(
    network: A1Network,
    batch: TrainBatch,
    generator: torch.Generator | None,
    wanted: Collection[str],
    objective: str = "all_exits",
) -> dict[str, Tensor]:
    """The losses of a whole batch; see `make_draws` and `losses_of`."""
    totals, samples = Totals.of(batch), len(batch.state_BD)
    draws = make_draws(network.config, samples, totals, generator, wanted, objective)
    return losses_of(network, batch, draws.to(batch.state_BD.device), wanted)


def losses_of(
    network: A1Network, batch: TrainBatch, draws: Draws, wanted: Collection[str]
) -> dict[str, Tensor]:
    """Scalars named in `wanted`, means over the supervised exits, and `<name>_by_exit`, detached.

    All exits see the same noise and tau, so one run of the expert carries all readouts.
    Gradients of the expert stop before the backbone when the configuration says `insulate`.
    "distil" is the distance of every earlier exit's estimate of the actions from the last one's,
    which is held (self-distillation of early exits, Phuong and Lampert, 2019): exits agree where
    labels differ.

    Args:
        batch: a whole one, or the part that `draws` is for.
        draws: on the batch's device.

    Raises:
        ValueError: `wanted` names an unknown loss, the network lacks a part that one needs, or
            "distil" is wanted of one exit.
    """
    _check_trainable(network, wanted)
    config = network.config
    with_queries = "mlp" in wanted
    with_flow = bool({"fm", "distil"} & set(wanted))
    with_expert = with_flow or ("end" in wanted and not with_queries)
    prefix, layout = network.shared_prefix(batch, with_queries, "fast" in wanted)
    flow = _Flow(network, batch, layout, draws, wanted) if with_expert else None
    pointing = None
    if {"match", "point"} & set(wanted):
        pointing = Pointing(network, batch, layout, draws.totals)
    by_exit: dict[str, list[Tensor]] = {name: [] for name in wanted}
    supervised = {config.exits[number]: number for number in draws.exits}
    if "distil" in wanted and len(supervised) < max(2, len(config.exits)):
        raise ValueError("the loss distil compares exits: all_exits, and several of them")
    velocities: list[Tensor] = []
    for block in range(max(supervised) + 1):
        half = prefix.keys_values(block)
        if flow is not None:
            flow.step(block, half)
        hidden = prefix.finish(block, half)
        if block not in supervised:
            continue
        exit_index = supervised[block]
        tokens_at = layout.prefix + layout.queries
        queries = hidden[:, layout.prefix : tokens_at]
        if flow is not None and with_flow:
            velocities.append(flow.velocity(exit_index))
            if "fm" in wanted:
                by_exit["fm"].append(flow.loss(velocities[-1]))
        if with_queries:
            actions = network.query_head.actions(exit_index, queries)
            by_exit["mlp"].append(_mlp_loss(actions, batch, draws.totals))
        if "end" in wanted:
            logits = [flow.end_logit(exit_index)] if flow is not None else []
            if with_queries:
                logits.append(network.query_head.end_logit(exit_index, queries))
            ends = [_end_loss(logit, batch, draws.totals) for logit in logits]
            by_exit["end"].append(torch.stack(ends).mean())
        if "fast" in wanted:
            logits_BAV = network.token_head.logits(exit_index, hidden[:, tokens_at:])
            by_exit["fast"].append(_token_loss(logits_BAV, batch, draws.totals))
        if pointing is not None and "match" in wanted:
            by_exit["match"].append(pointing.match(exit_index, hidden))
        if pointing is not None and "point" in wanted:
            point = pointing.instruction(exit_index, half, hidden)
            if with_queries:
                point = point + pointing.queries(exit_index, half, queries)
            if flow is not None:
                point = point + flow.point(pointing, exit_index)
            by_exit["point"].append(point)
    if flow is not None and "distil" in wanted:
        last = velocities.pop().detach()
        by_exit["distil"] = [flow.gap(velocity, last) for velocity in velocities]
    losses: dict[str, Tensor] = {}
    for name, values in by_exit.items():
        stacked_K = torch.stack(values)
        losses[name] = stacked_K.mean()
        losses[f"{name}_by_exit"] = stacked_K.detach()
    return losses


def _check_trainable(network: A1Network, wanted: Collection[str]) -> None:
    config = network.config
    unknown = sorted(set(wanted) - set(LOSSES))
    if unknown:
        raise ValueError(f"losses: {unknown} unknown; one of {', '.join(LOSSES)}")
    missing = {_PART.get(name, name) for name in wanted} - set(config.parts)
    if missing:
        raise ValueError(f"losses: {sorted(wanted)} need the parts {sorted(missing)}")
    if not config.backbone.causal and set(wanted) != {"mlp"}:
        raise ValueError(
            f"losses: {sorted(wanted)}, but in a backbone that is not causal the prefix sees the "
            "queries; only the loss mlp, alone, can be trained"
        )


class _Flow:
    """The expert beside the backbone: state lane and, for the loss "fm", the noisy actions."""

    def __init__(
        self,
        network: A1Network,
        batch: TrainBatch,
        layout: Layout,
        draws: Draws,
        wanted: Collection[str],
    ):
        self._expert = network.expert
        self._insulate = network.config.insulate
        self._prefix = layout.prefix
        self._state = self._expert.embed_state(batch.state_BD)
        self._batch = batch
        self._totals = draws.totals
        self._actions: Tensor | None = None
        self._suffix = self._expert.suffix(layout, network.config.flow_draws)
        self._looks: dict[str, Tensor] = {}
        self._with_looks = "point" in wanted
        if draws.noise_BSHW is None or draws.tau_BS is None:
            return
        noise_BSHW, tau_BS = draws.noise_BSHW, draws.tau_BS
        self._tau_BS = tau_BS
        # Dimensions beyond the real ones are 0 in the data, and no loss looks at them.
        padding = (0, noise_BSHW.shape[-1] - batch.actions_BHD.shape[-1])
        actions_BHW = functional.pad(batch.actions_BHD, padding)
        actions_BSHW = actions_BHW[:, None].expand_as(noise_BSHW)
        noisy_BSHW = noisy_actions(actions_BSHW, noise_BSHW, tau_BS[..., None, None])
        self._noisy_BRW = noisy_BSHW.flatten(1, 2)
        self._tau_BR1 = tau_BS.repeat_interleave(network.config.horizon, dim=1)[..., None]
        self._target_BSHD = target_velocity(actions_BSHW, noise_BSHW)[..., : network.config.dim]
        self._actions = self._expert.embed_actions(noisy_BSHW, tau_BS)

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

    def velocity(self, exit_index: int) -> Tensor:
        """[B, S, H, D] of the action's real dimensions."""
        assert self._actions is not None
        velocity = self._expert.velocity(exit_index, self._actions, self._noisy_BRW, self._tau_BR1)
        velocity = velocity.unflatten(1, self._target_BSHD.shape[1:3])
        return velocity[..., : self._target_BSHD.shape[-1]]

    def loss(self, velocity_BSHD: Tensor) -> Tensor:
        """Mean squared error of a velocity over the valid rows of all draws."""
        return self._mean_square(velocity_BSHD - self._target_BSHD)

    def gap(self, velocity_BSHD: Tensor, other_BSHD: Tensor) -> Tensor:
        """Mean squared difference of the actions that two velocities lead to at tau = 1."""
        left_BS11 = (1 - self._tau_BS)[..., None, None]
        return self._mean_square(left_BS11 * (velocity_BSHD - other_BSHD))

    def _mean_square(self, error_BSHD: Tensor) -> Tensor:
        error_BH = error_BSHD.square().mean((1, 3))
        return masked_mean(error_BH, _rows(self._batch), self._totals.rows)

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


def _mlp_loss(actions_BHD: Tensor, batch: TrainBatch, totals: Totals) -> Tensor:
    error_BH = (actions_BHD.float() - batch.actions_BHD).abs().mean(-1)
    return masked_mean(error_BH, _rows(batch), totals.rows)


def _end_loss(logit_B: Tensor, batch: TrainBatch, totals: Totals) -> Tensor:
    loss_B = functional.binary_cross_entropy_with_logits(
        logit_B.float(),
        batch.end_B,
        reduction="none",
        pos_weight=torch.tensor(END_POSITIVE_WEIGHT, device=logit_B.device),
    )
    return masked_mean(loss_B, batch.end_valid_B, totals.ends)


def _token_loss(logits_BAV: Tensor, batch: TrainBatch, totals: Totals) -> Tensor:
    assert batch.fast_ids_BA is not None and batch.fast_mask_BA is not None
    loss_BA = functional.cross_entropy(
        logits_BAV.transpose(1, 2), batch.fast_ids_BA, reduction="none"
    )
    counted_BA = batch.fast_mask_BA & batch.action_valid_B[:, None]
    return masked_mean(loss_BA, counted_BA, totals.tokens)
