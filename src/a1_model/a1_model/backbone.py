"""The Qwen2 decoder over [cameras][text][MLP queries]."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import Qwen2Config
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer

from a1_model.blocks import HalfBlock, Halves, Rope, RopeTable, check_positions, initialise
from a1_model.config import BackboneConfig


def qwen2_config(config: BackboneConfig) -> Qwen2Config:
    """The same sizes in the words of `transformers`."""
    return Qwen2Config(
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.head_dim,
        intermediate_size=config.ffn,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        rms_norm_eps=config.rms_norm_eps,
        vocab_size=config.vocab_size,
        attn_implementation="sdpa",
    )


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the tokens of a batch stand; made once a pass.

    N prefix tokens, of which a sample's `valid_B` count (padding comes last); then the lanes: Q
    queries and, in training, A action tokens. A lane sees the prefix and itself, no other lane.

    Attributes:
        prefix: N.
        valid_B: prefix tokens that count, int64 [B].
        key_valid_BN: bool, or None when no token is padding.
        rope: of all N + Q + A tokens.
        mask: additive float [B, 1, N + Q + A, N + Q + A], or None: no token is padding, and there
            is one lane at most.
        queries: Q.
    """

    prefix: int
    queries: int
    valid_B: Tensor
    key_valid_BN: Tensor | None
    rope: Rope
    mask: Tensor | None


class Backbone(nn.Module):
    """Embedding and layers; there is no final norm, every exit brings its own.

    Attributes:
        halves: what runs a layer.
    """

    def __init__(self, config: BackboneConfig):
        super().__init__()
        self.config = config
        sizes = qwen2_config(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden)
        self.layers = nn.ModuleList(Qwen2DecoderLayer(sizes, i) for i in range(config.layers))
        self.rope = RopeTable(config.head_dim, config.rope_theta)
        self.halves = Halves()
        initialise(self.layers, config.init_std, config.layers)

    def layout(
        self, image_tokens: int, text_mask_BT: Tensor, queries: int, action_tokens: int = 0
    ) -> Layout:
        """Positions and masks; each lane is numbered after the valid tokens, not the padding.

        Raises:
            A1Error: there are more tokens than positions.
        """
        batch, text = text_mask_BT.shape
        prefix, device = image_tokens + text, text_mask_BT.device
        check_positions(prefix + max(queries, action_tokens))
        valid_B = image_tokens + text_mask_BT.sum(-1)
        if not action_tokens and bool(text_mask_BT.all()):
            return Layout(
                prefix=prefix,
                queries=queries,
                valid_B=valid_B,
                key_valid_BN=None,
                rope=self.rope.span(0, prefix + queries),
                mask=None,
            )
        key_valid_BN = torch.arange(prefix, device=device) < valid_B[:, None]
        positions = torch.cat(
            (
                torch.arange(prefix, device=device).expand(batch, prefix),
                valid_B[:, None] + torch.arange(queries, device=device),
                valid_B[:, None] + torch.arange(action_tokens, device=device),
            ),
            dim=1,
        )
        lanes = queries + action_tokens
        total = prefix + lanes
        seen = torch.ones(total, total, dtype=torch.bool, device=device)
        if self.config.causal:
            seen = seen.tril()
        seen[prefix + queries :, prefix : prefix + queries] = False
        extra = torch.ones(batch, lanes, dtype=torch.bool, device=device)
        seen = seen & torch.cat((key_valid_BN, extra), dim=1)[:, None, None]
        return Layout(
            prefix=prefix,
            queries=queries,
            valid_B=valid_B,
            key_valid_BN=key_valid_BN,
            rope=self.rope.at(positions),
            mask=additive(seen),
        )

    def keys_values(self, index: int, hidden_BNC: Tensor, layout: Layout) -> HalfBlock:
        """First half of block `index`."""
        return self.halves.keys_values(self.layers[index], hidden_BNC, layout.rope)

    def finish(self, index: int, half: HalfBlock, layout: Layout) -> Tensor:
        """Second half of block `index`."""
        causal = self.config.causal and layout.mask is None
        return self.halves.finish(
            self.layers[index], half, layout.rope, mask=layout.mask, causal=causal
        )


def additive(seen: Tensor) -> Tensor:
    """bool (True = visible) -> float mask to add to attention scores."""
    return torch.zeros(seen.shape, device=seen.device).masked_fill_(~seen, float("-inf"))
