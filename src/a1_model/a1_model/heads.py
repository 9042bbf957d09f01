"""Readouts of the backbone's hidden state at an exit: MLP actions, end of substep, pointing."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

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


class PointHead(nn.Module):
    """Where the named object is, read in two ways from the last instruction token h.

    Its patch: <W_q h, W_k h(patch)>, which is learned in minutes and makes h and the patches
    speak the same words. Its pixel: a readout of h alone, so that h has to say where the object
    is and not only what to look for: h is what the action heads can read.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        hidden = config.backbone.hidden
        self._image_tokens = config.image_tokens
        self._sizes = [camera.grid**2 for camera in config.cameras]
        self.norms = nn.ModuleList(
            Qwen2RMSNorm(hidden, eps=config.backbone.rms_norm_eps) for _ in config.exits
        )
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.pixel = nn.ModuleList(nn.Linear(hidden, 2 * len(config.cameras)) for _ in config.exits)

    def pixels(self, exit_index: int, hidden_BNC: Tensor, valid_B: Tensor) -> Tensor:
        """x, y in [0, 1] of every camera's image, [B, V, 2], after the exit's block."""
        last_BC = self.norms[exit_index](_last(hidden_BNC, valid_B))
        return 0.5 + self.pixel[exit_index](last_BC).unflatten(-1, (-1, 2))

    def matches(self, exit_index: int, hidden_BNC: Tensor, valid_B: Tensor) -> list[Tensor]:
        """Log-probability of every patch, one [B, patches] per camera."""
        norm = self.norms[exit_index]
        query_BC = self.query(norm(_last(hidden_BNC, valid_B)))
        key_BNC = self.key(norm(hidden_BNC[:, : self._image_tokens]))
        scores_BN = (key_BNC @ query_BC[..., None])[..., 0] / query_BC.shape[-1] ** 0.5
        return [part.log_softmax(-1) for part in scores_BN.split(self._sizes, dim=1)]


def _last(hidden_BNC: Tensor, valid_B: Tensor) -> Tensor:
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


def patch_loss(log_share_BP: Tensor, target_BP: Tensor, valid_B: Tensor) -> Tensor:
    """Cross-entropy over a camera's patches, mean over the valid samples."""
    return masked_mean(-(target_BP * log_share_BP).sum(-1), valid_B)


def pixel_loss(pixels_BV2: Tensor, target_BV2: Tensor, valid_BV: Tensor) -> Tensor:
    """Mean absolute error over the valid points, in shares of the image's side."""
    return masked_mean((pixels_BV2 - target_BV2).abs().mean(-1), valid_BV)


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid entries; 0 when there are none."""
    return (values * valid).sum() / valid.sum().clamp(min=1)
