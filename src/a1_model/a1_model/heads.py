"""Readouts of the backbone's hidden state at an exit: MLP actions, end, action tokens, pointing."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from a1_model.batch import OBJECTS
from a1_model.config import CameraTokens, ModelConfig


class QueryHead(nn.Module):
    """Actions regressed from query tokens; each of the Q queries carries H / Q rows."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        hidden, count = config.backbone.hidden, len(config.exits)
        self._dim = config.dim
        self.queries = nn.Parameter(0.5 * torch.randn(config.mlp_queries, hidden))
        self.state_in = nn.Linear(config.dim, hidden)
        rows = config.horizon // config.mlp_queries
        self.readouts = nn.ModuleList(
            nn.Sequential(
                Qwen2RMSNorm(hidden, eps=config.backbone.rms_norm_eps),
                nn.Linear(hidden, hidden),
                nn.SiLU(),
                nn.Linear(hidden, rows * config.dim),
            )
            for _ in range(count)
        )
        self.ends = nn.ModuleList(
            nn.Sequential(
                Qwen2RMSNorm(hidden, eps=config.backbone.rms_norm_eps), nn.Linear(hidden, 1)
            )
            for _ in range(count)
        )

    @property
    def count(self) -> int:
        """Query tokens Q."""
        return self.queries.shape[0]

    def tokens(self, state_BD: Tensor) -> Tensor:
        """[B, Q, C], appended after the text."""
        return self.queries + self.state_in(state_BD)[:, None]

    def actions(self, exit_index: int, queries_BQC: Tensor) -> Tensor:
        """[B, H, D], normalised, from the hidden state after the exit's block."""
        rows = self.readouts[exit_index](queries_BQC)
        return rows.reshape(rows.shape[0], -1, self._dim)

    def end_logit(self, exit_index: int, queries_BQC: Tensor) -> Tensor:
        """Logit [B], from the last query."""
        return self.ends[exit_index](queries_BQC[:, -1])[:, 0]


class TokenHead(nn.Module):
    """The next action token (see `fast_tokens`); training only.

    The lane is [state][tokens but the last]: the state says that a chunk begins.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        hidden, vocab = config.backbone.hidden, config.fast_vocab
        self.embed = nn.Embedding(vocab, hidden)
        self.state_in = nn.Linear(config.dim, hidden)
        self.norms = nn.ModuleList(
            Qwen2RMSNorm(hidden, eps=config.backbone.rms_norm_eps) for _ in config.exits
        )
        self.readout = nn.Linear(hidden, vocab, bias=False)
        nn.init.normal_(self.embed.weight, std=0.5)

    def tokens(self, state_BD: Tensor, ids_BA: Tensor) -> Tensor:
        """The lane [B, A, C]."""
        return torch.cat((self.state_in(state_BD)[:, None], self.embed(ids_BA[:, :-1])), dim=1)

    def logits(self, exit_index: int, hidden_BAC: Tensor) -> Tensor:
        """float32 [B, A, vocab] of the tokens, from the lane after the exit's block."""
        return self.readout(self.norms[exit_index](hidden_BAC)).float()


class PointHead(nn.Module):
    """Where the O objects of an instruction are, read in two ways; training only, see `pointing`.

    The patch, from the last instruction token h: <W_q h, W_k h(patch)>, W_q of the object, which
    is learned in minutes and makes h and the patches speak the same words. The pixel, a readout of
    one token alone, so that the token has to say where the object is and not only what to look for.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        hidden, eps = config.backbone.hidden, config.backbone.rms_norm_eps
        self._image_tokens = config.image_tokens
        self._sizes = [camera.grid**2 for camera in config.cameras]
        self.norms = nn.ModuleList(Qwen2RMSNorm(hidden, eps=eps) for _ in config.exits)
        self.queries = nn.ModuleList(nn.Linear(hidden, hidden) for _ in OBJECTS)
        self.key = nn.Linear(hidden, hidden, bias=False)
        numbers = 2 * len(OBJECTS) * len(config.cameras)
        widths = {
            "instruction": hidden,
            "queries": hidden,
            "state": config.expert.hidden,
            "actions": config.expert.hidden,
        }
        self.pixel = nn.ModuleDict(
            {
                name: nn.ModuleList(
                    nn.Sequential(Qwen2RMSNorm(width, eps=eps), nn.Linear(width, numbers))
                    for _ in config.exits
                )
                for name, width in widths.items()
            }
        )

    def pixels(self, name: str, exit_index: int, hidden_BRC: Tensor) -> Tensor:
        """x, y in [0, 1] of every camera's image, [B, R, O, V, 2].

        Args:
            name: of the tokens: "instruction" (the last one), "queries", "state" or "actions".
            hidden_BRC: these tokens after the exit's block.
        """
        readouts = cast(nn.ModuleList, self.pixel[name])
        return 0.5 + readouts[exit_index](hidden_BRC).unflatten(-1, (len(OBJECTS), -1, 2))

    def matches(self, exit_index: int, hidden_BNC: Tensor, valid_B: Tensor) -> list[list[Tensor]]:
        """Log-probability of every patch, for each object one [B, patches] per camera."""
        norm = self.norms[exit_index]
        last_BC = norm(last_token(hidden_BNC, valid_B))
        query_BCO = torch.stack([query(last_BC) for query in self.queries], dim=-1)
        key_BNC = self.key(norm(hidden_BNC[:, : self._image_tokens]))
        scores_BNO = key_BNC @ query_BCO / query_BCO.shape[1] ** 0.5
        return [
            [part_BP.log_softmax(-1) for part_BP in scores_BN.split(self._sizes, dim=1)]
            for scores_BN in scores_BNO.unbind(-1)
        ]


def last_token(hidden_BNC: Tensor, valid_B: Tensor) -> Tensor:
    """Hidden state [B, C] of the last instruction token."""
    batch = torch.arange(hidden_BNC.shape[0], device=hidden_BNC.device)
    return hidden_BNC[batch, valid_B - 1]


def point_target(points_B2: Tensor, camera: CameraTokens) -> Tensor:
    """Bilinear weights [B, grid * grid] of the four patch centres around a pixel in [0, 1]."""
    grid = camera.grid
    centred = (points_B2 * grid - 0.5).clamp(0, grid - 1)
    low = centred.floor().clamp(max=grid - 2) if grid > 1 else torch.zeros_like(centred)
    part = centred - low
    index = low.long()
    axis = torch.zeros(*points_B2.shape, grid, device=points_B2.device)
    axis.scatter_(-1, index[..., None], (1 - part)[..., None])
    if grid > 1:
        axis.scatter_(-1, index[..., None] + 1, part[..., None])
    return (axis[:, 1, :, None] * axis[:, 0, None, :]).flatten(1)


def masked_mean(values: Tensor, weight: Tensor, total: Tensor) -> Tensor:
    """Weighted sum over `total`, the sum of all weights; 0 when that is 0.

    `total` may be that of a larger batch than the values are from: then the parts' means add up to
    the batch's.
    """
    return (values * weight).sum() / total.clamp(min=1)
