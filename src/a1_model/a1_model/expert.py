"""The flow-matching head: Qwen3 layers whose layer l also reads the backbone's K_l and V_l.

The suffix is [state][H noisy actions]. The state token sees the prefix and itself; the actions
see the prefix, the state and each other in both directions. So the state's keys and values
depend on neither noise nor tau: they are computed once and join the prefix as `Context`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig, Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer, Qwen3RMSNorm

from a1_core.errors import A1Error
from a1_model.backbone import Layout, additive
from a1_model.blocks import (
    DecoderLayer,
    HalfBlock,
    Halves,
    Rope,
    RopeTable,
    attention_scores,
    check_positions,
    initialise,
)
from a1_model.config import ModelConfig
from a1_model.flow import velocity_towards


@dataclass(frozen=True, slots=True)
class Context:
    """What action tokens of one layer attend to: prefix and state, [B, G, N + 1, d]."""

    key: Tensor
    value: Tensor


@dataclass(frozen=True, kw_only=True)
class Suffix:
    """Positions and masks of a batch's suffix; made once a pass."""

    state_rope: Rope
    action_rope: Rope
    state_mask: Tensor | None
    action_mask: Tensor | None


class Lanes(nn.Module):
    """State and action lanes, stepped layer by layer by the caller. They write to no cache.

    Attributes:
        causal_rows: an action row sees only itself and those before it.
        first_position: of the state token; None: the number of valid prefix tokens.
        halves: what runs a layer.
    """

    causal_rows = False
    first_position: int | None = None
    time_in: nn.Linear
    time_out: nn.Linear

    def __init__(
        self,
        config: ModelConfig,
        layer: type[DecoderLayer],
        layer_config: type[PreTrainedConfig],
        *,
        rope_theta: float,
        rms_norm_eps: float,
    ):
        super().__init__()
        backbone, sizes = config.backbone, config.expert
        self.horizon = config.horizon
        self.rope = RopeTable(backbone.head_dim, rope_theta)
        self.halves = Halves()
        same = layer_config(
            hidden_size=sizes.hidden,
            num_hidden_layers=backbone.layers,
            num_attention_heads=sizes.heads,
            num_key_value_heads=backbone.kv_heads,
            head_dim=backbone.head_dim,
            intermediate_size=sizes.ffn,
            rope_parameters={"rope_type": "default", "rope_theta": rope_theta},
            rms_norm_eps=rms_norm_eps,
            attn_implementation="sdpa",
        )
        self.layers = nn.ModuleList(layer(same, i) for i in range(config.exits[-1] + 1))
        initialise(self.layers, sizes.init_std, backbone.layers)

    def suffix(self, layout: Layout, draws: int = 1) -> Suffix:
        """Positions start at the number of valid prefix tokens; draws do not see each other."""
        rows = draws * self.horizon
        first = self.first_position
        if first is not None and first < layout.prefix:
            raise A1Error(
                f"instruction: the prefix has {layout.prefix} tokens, the checkpoint's head takes "
                f"{first}; shorten it"
            )
        check_positions((layout.prefix if first is None else first) + 1 + self.horizon)
        if layout.key_valid_BN is None:
            first = layout.prefix if first is None else first
            state_rope = self.rope.span(first, 1)
            row_rope = self.rope.span(first + 1, self.horizon)
            state_mask = None
        else:
            first_B1 = layout.valid_B[:, None]
            if first is not None:
                first_B1 = torch.full_like(first_B1, first)
            steps = torch.arange(self.horizon, device=first_B1.device)
            state_rope = self.rope.at(first_B1)
            row_rope = self.rope.at(first_B1 + 1 + steps)
            seen = functional.pad(layout.key_valid_BN, (0, 1), value=True)[:, None, None]
            state_mask = additive(seen)
        action_rope = Rope(row_rope.cos.repeat(1, 1, draws, 1), row_rope.sin.repeat(1, 1, draws, 1))
        if state_mask is None and draws == 1 and not self.causal_rows:
            return Suffix(
                state_rope=state_rope, action_rope=action_rope, state_mask=None, action_mask=None
            )
        device = action_rope.cos.device
        owner = torch.arange(draws, device=device).repeat_interleave(self.horizon)
        seen = owner[:, None] == owner[None]
        own = additive(seen.tril() if self.causal_rows else seen)[None, None]
        if state_mask is None:
            past = torch.zeros(1, 1, rows, layout.prefix + 1, device=device)
        else:
            past = state_mask.expand(-1, -1, rows, -1)
            own = own.expand(past.shape[0], -1, -1, -1)
        return Suffix(
            state_rope=state_rope,
            action_rope=action_rope,
            state_mask=state_mask,
            action_mask=torch.cat((past, own), dim=-1),
        )

    def with_time(self, actions_BSHC: Tensor, time_BSC: Tensor) -> Tensor:
        """Embedded rows and the features of their draw's time -> tokens [B, S * H, C]."""
        time_BSHC = time_BSC.to(actions_BSHC.dtype)[:, :, None].expand_as(actions_BSHC)
        mixed = functional.silu(self.time_in(torch.cat((actions_BSHC, time_BSHC), dim=-1)))
        return self.time_out(mixed).flatten(1, 2)

    def state_layer(
        self, index: int, state_B1C: Tensor, half: HalfBlock, suffix: Suffix, prefix: int
    ) -> tuple[Tensor, Context]:
        """Moves the state token one layer on and makes the layer's context.

        Args:
            half: the backbone's block `index`; its tokens beyond `prefix` are ignored.
        """
        layer = self.layers[index]
        own = self.halves.keys_values(layer, state_B1C, suffix.state_rope)
        context = Context(
            torch.cat((half.key_BGNd[:, :, :prefix], own.key_BGNd), dim=2),
            torch.cat((half.value_BGNd[:, :, :prefix], own.value_BGNd), dim=2),
        )
        state_B1C = self.halves.finish(
            layer,
            own,
            suffix.state_rope,
            key=context.key,
            value=context.value,
            mask=suffix.state_mask,
        )
        return state_B1C, context

    def action_layer(
        self, index: int, actions_BRC: Tensor, context: Context, suffix: Suffix
    ) -> Tensor:
        """Moves the action tokens one layer on."""
        layer = self.layers[index]
        own = self.halves.keys_values(layer, actions_BRC, suffix.action_rope)
        return self.halves.finish(
            layer,
            own,
            suffix.action_rope,
            key=torch.cat((context.key, own.key_BGNd), dim=2),
            value=torch.cat((context.value, own.value_BGNd), dim=2),
            mask=suffix.action_mask,
        )

    def looks(
        self, index: int, tokens_BRC: Tensor, rope: Rope, context: Context, mask: Tensor | None
    ) -> Tensor:
        """Log of what the first head of layer `index` attends to in its context, [B, R, N + 1].

        Args:
            tokens_BRC: of either lane, before the layer; `rope` is theirs.
            mask: the state's.
        """
        layer = cast(Qwen3DecoderLayer, self.layers[index])
        normed_BRC = layer.input_layernorm(tokens_BRC)
        scores = attention_scores(layer, normed_BRC, rope, context.key, [0])
        return (scores if mask is None else scores + mask).log_softmax(-1)[:, 0]


class Expert(Lanes):
    """Embeddings, Qwen3 layers, and readouts of its own for every exit."""

    def __init__(self, config: ModelConfig):
        backbone, width = config.backbone, config.expert.hidden
        super().__init__(
            config,
            Qwen3DecoderLayer,
            Qwen3Config,
            rope_theta=backbone.rope_theta,
            rms_norm_eps=backbone.rms_norm_eps,
        )
        self._says_data = config.prediction == "data"
        self.state_in = nn.Linear(config.dim, width)
        self.action_in = nn.Linear(config.dim, width)
        self.rows = nn.Parameter(0.1 * torch.randn(config.horizon, width))
        self.time_in = nn.Linear(2 * width, width)
        self.time_out = nn.Linear(width, width)
        self.norms = nn.ModuleList(
            Qwen3RMSNorm(width, eps=backbone.rms_norm_eps) for _ in config.exits
        )
        self.readouts = nn.ModuleList(nn.Linear(width, config.dim) for _ in config.exits)
        ends = config.exits if "end" in config.parts else ()
        self.end_norms = nn.ModuleList(Qwen3RMSNorm(width, eps=backbone.rms_norm_eps) for _ in ends)
        self.ends = nn.ModuleList(nn.Linear(width, 1) for _ in ends)

    def embed_state(self, state_BD: Tensor) -> Tensor:
        """[B, D] -> [B, 1, C]."""
        return self.state_in(state_BD.to(self.state_in.weight.dtype))[:, None]

    def embed_actions(self, noisy_BSHD: Tensor, tau_BS: Tensor) -> Tensor:
        """[B, S, H, D] and tau [B, S] -> tokens [B, S * H, C]."""
        actions = self.action_in(noisy_BSHD.to(self.rows.dtype)) + self.rows
        return self.with_time(actions, time_features(tau_BS, actions.shape[-1]))

    def velocity(
        self, exit_index: int, actions_BRC: Tensor, noisy_BRD: Tensor, tau: Tensor | float
    ) -> Tensor:
        """What exit number `exit_index` says of the noisy actions: float32 [B, R, D].

        Args:
            actions_BRC: their tokens after the exit's block.
            tau: of the noisy actions, one number or broadcastable to them.
        """
        said = self.readouts[exit_index](self.norms[exit_index](actions_BRC)).float()
        return velocity_towards(said, noisy_BRD, tau) if self._says_data else said

    def end_logit(self, exit_index: int, state_B1C: Tensor) -> Tensor:
        """Logit [B] of "the substep ends within the next row"; without such a head: never."""
        if not self.ends:
            return torch.full_like(state_B1C[:, 0, 0], float("-inf"))
        return self.ends[exit_index](self.end_norms[exit_index](state_B1C))[:, 0, 0]


def time_features(tau: Tensor, width: int) -> Tensor:
    """Sines and cosines of tau [...] with periods from 0.004 to 4: [..., width]."""
    half = width // 2
    exponent = torch.linspace(0.0, 1.0, half, device=tau.device)
    period = 0.004 * (4.0 / 0.004) ** exponent
    angle = tau[..., None] * (2 * math.pi / period)
    return torch.cat((angle.sin(), angle.cos()), dim=-1)
