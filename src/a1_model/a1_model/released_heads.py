"""The two action heads of the public A1 code, as its published weights need them.

Shapes as in `expert` and `heads`; W is the padded width of states and actions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen2Config
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer, Qwen2RMSNorm

from a1_model.config import ModelConfig
from a1_model.expert import Lanes

TIME_BASE = 10_000.0


class ReleasedExpert(Lanes):
    """See `released_config.ReleasedExpert`; one final norm and one readout serve all exits."""

    causal_rows = True

    def __init__(self, config: ModelConfig):
        sizes, released = config.expert, config.expert.released
        assert released is not None
        super().__init__(
            config,
            Qwen2DecoderLayer,
            Qwen2Config,
            rope_theta=released.rope_theta,
            rms_norm_eps=released.rms_norm_eps,
        )
        self.first_position = released.first_position
        self._released = released
        self.state_in = nn.Linear(released.state_width, sizes.hidden)
        self.action_in = nn.Linear(released.width, sizes.hidden)
        self.time_in = nn.Linear(2 * sizes.hidden, sizes.hidden)
        self.time_out = nn.Linear(sizes.hidden, sizes.hidden)
        self.norm = Qwen2RMSNorm(sizes.hidden, eps=released.rms_norm_eps)
        self.readout = ResidualReadout(sizes.hidden, sizes.hidden, released.width)

    def embed_state(self, state_BD: Tensor) -> Tensor:
        """[B, D] -> [B, 1, C]."""
        state_BW = padded_state(state_BD, self._released.state_width, self._released.clip_state)
        return self.state_in(state_BW.to(self.state_in.weight.dtype))[:, None]

    def embed_actions(self, noisy_BSHW: Tensor, tau_BS: Tensor) -> Tensor:
        """[B, S, H, W] and tau [B, S] -> tokens [B, S * H, C]."""
        actions = self.action_in(noisy_BSHW.to(self.action_in.weight.dtype))
        time_BS = 1.0 - tau_BS if self._released.noise_time == 1 else tau_BS
        return self.with_time(actions, sinusoids(time_BS, actions.shape[-1]))

    def velocity(
        self, exit_index: int, actions_BRC: Tensor, noisy_BRW: Tensor, tau: Tensor | float
    ) -> Tensor:
        """float32 [B, R, W], from noise to data."""
        velocity_BRW = self.readout(self.norm(actions_BRC)).float()
        return -velocity_BRW if self._released.noise_time == 1 else velocity_BRW

    def end_logit(self, exit_index: int, state_B1C: Tensor) -> Tensor:
        """Logit [B]: never; it was not trained to tell when a substep ends."""
        return torch.full_like(state_B1C[:, 0, 0], float("-inf"))


class ReleasedQueryHead(nn.Module):
    """See `released_config.ReleasedQueries`; the same methods as `heads.QueryHead`."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        released, hidden = config.released_mlp, config.backbone.hidden
        assert released is not None
        self._released, self._horizon, self._dim = released, config.horizon, config.dim
        self.state_in = nn.Linear(released.state_width, hidden)
        self.state_out = nn.Linear(hidden, hidden)
        # Of the time, the start and the end; of the numbers of a row.
        self.marks = nn.Parameter(0.02 * torch.randn(3, hidden))
        self.numbers = nn.Parameter(0.02 * torch.randn(released.width, hidden))
        eps = config.backbone.rms_norm_eps
        self.norm = Qwen2RMSNorm(hidden, eps=eps) if released.final_norm else nn.Identity()
        self.readout = ResidualReadout(released.width * hidden, hidden, released.width)

    @property
    def count(self) -> int:
        """Query tokens Q."""
        return 4 + self._horizon * self._released.width

    def tokens(self, state_BD: Tensor) -> Tensor:
        """[B, Q, C], appended after the text."""
        state_BW = padded_state(state_BD, self._released.state_width, self._released.clip_state)
        state_B1C = self.state_out(functional.gelu(self.state_in(state_BW)))[:, None]
        time, start, end = self.marks[:, None]
        fixed_QC = torch.cat((time, start, self.numbers.repeat(self._horizon, 1), end))
        return torch.cat((state_B1C, fixed_QC.expand(len(state_BD), -1, -1)), dim=1)

    def actions(self, exit_index: int, queries_BQC: Tensor) -> Tensor:
        """[B, H, D], normalised, from the hidden state after the exit's block."""
        numbers = self.norm(queries_BQC[:, 3:-1])
        rows_BHW = self.readout(numbers.unflatten(1, (self._horizon, -1)).flatten(2))
        return rows_BHW[..., : self._dim]

    def end_logit(self, exit_index: int, queries_BQC: Tensor) -> Tensor:
        """Logit [B]: never; it was not trained to tell when a substep ends."""
        return torch.full_like(queries_BQC[:, 0, 0], float("-inf"))


class ResidualReadout(nn.Module):
    """Norm, linear, two residual blocks of norm, linear, ReLU; norm, linear."""

    def __init__(self, width: int, hidden: int, out: int):
        super().__init__()
        self.norm_in, self.linear_in = nn.LayerNorm(width), nn.Linear(width, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(2))
        self.linears = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(2))
        self.norm_out, self.linear_out = nn.LayerNorm(hidden), nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.linear_in(self.norm_in(x)))
        for norm, linear in zip(self.norms, self.linears, strict=True):
            x = x + functional.relu(linear(norm(x)))
        return self.linear_out(self.norm_out(x))


def padded_state(state_BD: Tensor, width: int, clip: bool) -> Tensor:
    """Zeros after the real dimensions: [B, width]."""
    state_BD = state_BD.clamp(-1.0, 1.0) if clip else state_BD
    return functional.pad(state_BD, (0, width - state_BD.shape[-1]))


def sinusoids(time: Tensor, width: int) -> Tensor:
    """Sines and cosines of a time [...] in 0..1, frequencies from 1 to 1 / 10000: [..., width]."""
    half = width // 2
    exponent = torch.arange(half, device=time.device) * (-math.log(TIME_BASE) / (half - 1))
    angle = time[..., None] * exponent.exp()
    return torch.cat((angle.sin(), angle.cos()), dim=-1)
