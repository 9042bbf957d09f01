"""Flow matching, one convention: tau = 0 is noise, tau = 1 is data; float32."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_tau(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """tau = 0.999 * (1 - Beta(1.5, 1)): most of the mass on the noisy side."""
    uniform = torch.rand(shape, generator=generator, dtype=torch.float32)
    # Beta(a, 1) has the distribution function x^a, so its inverse is a power.
    return 0.999 * (1.0 - uniform ** (1.0 / 1.5))


def noisy_actions(actions: Tensor, noise: Tensor, tau: Tensor | float) -> Tensor:
    """The point at `tau` on the straight path from noise to actions."""
    return tau * actions + (1.0 - tau) * noise


def target_velocity(actions: Tensor, noise: Tensor) -> Tensor:
    """What the network learns: the constant velocity of that path."""
    return actions - noise


# Beyond tau = 1 - CLOSEST the division below would blow up errors of the estimate.
CLOSEST = 0.1


def velocity_towards(data: Tensor, noisy: Tensor, tau: Tensor | float) -> Tensor:
    """The velocity that leads from the point at `tau` straight to an estimate of the data.

    Exact for tau <= 0.9: an Euler step to tau = 1 lands on the estimate, so no noise is left over
    because the network could not reproduce it.
    """
    left = (1.0 - torch.as_tensor(tau, device=noisy.device)).clamp(min=CLOSEST)
    return (data - noisy) / left


def euler_step(noisy: Tensor, velocity: Tensor, step_size: float) -> Tensor:
    """One step of `step_size` towards the data."""
    return noisy + step_size * velocity


def kept_velocity(
    velocity: Tensor, noisy: Tensor, tau: float, rows: Tensor, weight: Tensor
) -> Tensor:
    """The velocity towards an estimate of the data that is pulled to known rows by `weight`.

    The estimate of a velocity is noisy + (1 - tau) * velocity. Where the weight is 1 the path is
    the straight one from the noise to the rows, exactly: tau * rows + (1 - tau) * noise.
    """
    return velocity + weight * ((rows - noisy) / (1.0 - tau) - velocity)
