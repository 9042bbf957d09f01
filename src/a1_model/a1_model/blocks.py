"""One transformer block in two halves: keys and values first, the rest when it is needed.

A flow-matching exit at block i reads only K_i and V_i, so the second half of block i waits
until somebody goes deeper. Works on Qwen2 and Qwen3 layers of `transformers`; a test holds the
two halves equal, bit for bit, to the layers' own forward.

Shapes: B batch, N tokens, C channels, G KV heads, d head_dim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer, rotate_half
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer

from a1_core.errors import A1Error

MAX_POSITIONS = 4096

DecoderLayer: TypeAlias = Qwen2DecoderLayer | Qwen3DecoderLayer


@dataclass(frozen=True, slots=True)
class Rope:
    """Cosines and sines [B or 1, 1, N, d] of the tokens' positions."""

    cos: Tensor
    sin: Tensor

    def turn(self, x_BGNd: Tensor) -> Tensor:
        """Rotates queries or keys, in the precision of the table."""
        turned = (x_BGNd * self.cos) + (rotate_half(x_BGNd) * self.sin)
        return turned.to(x_BGNd.dtype)

    def select(self, where_BR: Tensor) -> Rope:
        """Of the tokens at `where_BR` of every sample."""
        if self.cos.shape[0] == 1:
            return Rope(self.cos[0, 0, where_BR][:, None], self.sin[0, 0, where_BR][:, None])
        rows = torch.arange(len(where_BR), device=where_BR.device)[:, None]
        return Rope(self.cos[rows, 0, where_BR][:, None], self.sin[rows, 0, where_BR][:, None])


class RopeTable(nn.Module):
    """Cosines and sines of all positions, computed once."""

    cos: Tensor
    sin: Tensor

    def __init__(self, head_dim: int, theta: float):
        super().__init__()
        self._head_dim, self._theta = head_dim, theta
        self.fill_buffers()

    def fill_buffers(self) -> None:
        """Computes the table."""
        parts = torch.arange(0, self._head_dim, 2, dtype=torch.float) / self._head_dim
        frequencies = 1.0 / (self._theta**parts)
        angles = torch.arange(MAX_POSITIONS, dtype=torch.float)[:, None] * frequencies
        angles = torch.cat((angles, angles), dim=-1)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def span(self, start: int, count: int) -> Rope:
        """Positions start .. start + count - 1, the same for every sample."""
        chosen = slice(start, start + count)
        return Rope(self.cos[None, None, chosen], self.sin[None, None, chosen])

    def at(self, positions_BN: Tensor) -> Rope:
        """Positions of their own for every sample."""
        return Rope(self.cos[positions_BN][:, None], self.sin[positions_BN][:, None])


@dataclass(frozen=True, slots=True)
class HalfBlock:
    """The first half of a block: its input, the normed input, and keys and values."""

    hidden_BNC: Tensor
    normed_BNC: Tensor
    key_BGNd: Tensor
    value_BGNd: Tensor


def check_positions(count: int) -> None:
    """A1Error when a sequence of `count` tokens has more positions than the tables."""
    if count > MAX_POSITIONS:
        raise A1Error(
            f"instruction: with it there are {count} tokens, the network takes {MAX_POSITIONS}; "
            "shorten it"
        )


def _heads(x_BNC: Tensor, head_dim: int) -> Tensor:
    return x_BNC.view(*x_BNC.shape[:-1], -1, head_dim)


def keys_values(layer: DecoderLayer, hidden_BNC: Tensor, rope: Rope) -> HalfBlock:
    """Runs the first half of `layer`."""
    attention = layer.self_attn
    normed_BNC = layer.input_layernorm(hidden_BNC)
    key = _heads(attention.k_proj(normed_BNC), attention.head_dim)
    if hasattr(attention, "k_norm"):
        key = attention.k_norm(key)
    value = _heads(attention.v_proj(normed_BNC), attention.head_dim)
    return HalfBlock(hidden_BNC, normed_BNC, rope.turn(key.transpose(1, 2)), value.transpose(1, 2))


def finish(
    layer: DecoderLayer,
    half: HalfBlock,
    rope: Rope,
    *,
    key: Tensor | None = None,
    value: Tensor | None = None,
    mask: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """Runs the second half of `layer`; returns the hidden state after the block.

    Args:
        key, value: what is attended to, if more than the block's own (a past and its own).
        mask: additive float or bool, [B or 1, 1, N, keys].
        causal: instead of a mask, when nothing is padded and there is no past.
    """
    attention = layer.self_attn
    query = _queries(layer, half.normed_BNC, rope)
    key = half.key_BGNd if key is None else key
    value = half.value_BGNd if value is None else value
    groups = attention.num_key_value_groups
    if groups > 1:
        key, value = _repeat(key, groups), _repeat(value, groups)
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(query.dtype)
    mixed = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=causal, scale=attention.scaling
    )
    mixed = mixed.transpose(1, 2).flatten(2)
    hidden = half.hidden_BNC + attention.o_proj(mixed)
    return hidden + layer.mlp(layer.post_attention_layernorm(hidden))


@dataclass(frozen=True, slots=True)
class Halves:
    """What runs the two halves of every layer: the functions above, or compiled ones."""

    keys_values: Callable[..., HalfBlock] = keys_values
    finish: Callable[..., Tensor] = finish


def attention_scores(
    layer: DecoderLayer,
    normed_BRC: Tensor,
    rope: Rope,
    key_BGNd: Tensor,
    heads: Sequence[int],
) -> Tensor:
    """What the chosen query heads of `layer` make of tokens and keys, before masks and softmax.

    Args:
        normed_BRC: tokens after the layer's input norm; `rope` is theirs.

    Returns:
        [B, heads, R, N].
    """
    attention = layer.self_attn
    query_BhRd = _queries(layer, normed_BRC, rope)[:, list(heads)]
    key_BhNd = key_BGNd[:, [head // attention.num_key_value_groups for head in heads]]
    return query_BhRd @ key_BhNd.transpose(-1, -2) * attention.scaling


def _queries(layer: DecoderLayer, normed_BNC: Tensor, rope: Rope) -> Tensor:
    attention = layer.self_attn
    query = _heads(attention.q_proj(normed_BNC), attention.head_dim)
    if hasattr(attention, "q_norm"):
        query = attention.q_norm(query)
    return rope.turn(query.transpose(1, 2))


def _repeat(x_BGNd: Tensor, groups: int) -> Tensor:
    batch, kv_heads, tokens, head_dim = x_BGNd.shape
    x = x_BGNd[:, :, None].expand(batch, kv_heads, groups, tokens, head_dim)
    return x.reshape(batch, kv_heads * groups, tokens, head_dim)


def initialise(layers: nn.Module, std: float, depth: int) -> None:
    """Normal weights, zero biases; what writes to the residual stream starts smaller."""
    for name, module in layers.named_modules():
        if isinstance(module, nn.Linear):
            last = name.endswith(("o_proj", "down_proj"))
            nn.init.normal_(module.weight, std=std / (2 * depth) ** 0.5 if last else std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
