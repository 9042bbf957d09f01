"""The one convention of flow matching, from the trainer's target to the integrator."""

import pytest
import torch

from a1_model.exit_pass import ExitPass, HeadSettings, PassInput
from a1_model.flow import (
    euler_step,
    noisy_actions,
    sample_tau,
    target_velocity,
    velocity_towards,
)
from a1_model.losses import training_losses
from a1_model.stopwatch import Stopwatch


class ExactField:
    """The velocity field of a point mass, built from the trainer's own target."""

    def __init__(self, goal_HD):
        self._goal = goal_HD
        self.taus = []

    def install(self, network, monkeypatch):
        monkeypatch.setattr(network.expert, "embed_actions", self._remember)
        monkeypatch.setattr(network.expert, "velocity", self._velocity)
        monkeypatch.setattr(network.expert, "action_layer", lambda i, hidden, c, s: hidden)

    def _remember(self, noisy_BSHD, tau_BS):
        self.taus.append(float(tau_BS.flatten()[0]))
        tau = tau_BS[..., None, None]
        noise = (noisy_BSHD - tau * self._goal) / (1 - tau)
        return target_velocity(self._goal.expand_as(noise), noise).flatten(1, 2)

    def _velocity(self, exit_index, hidden, noisy, tau):
        return hidden


@pytest.fixture
def given(make_batch):
    batch = make_batch()
    return PassInput(
        images_VNHWC=batch.images_UVHWC.unbind(1),
        text_ids_BT=batch.text_ids_BT,
        text_mask_BT=batch.text_mask_BT,
        state_BD=batch.state_BD,
        noise_KBHD=torch.randn(7, 3, 16, 8, generator=torch.Generator().manual_seed(3)),
    )


def settings(start, num_steps):
    return HeadSettings(head="fm", num_steps=num_steps, start=start, renoise_tau=0.5)


def test_one_euler_step_of_the_exact_field_lands_on_the_data():
    goal, noise = torch.randn(16, 8), torch.randn(5, 16, 8)
    landed = euler_step(noise, target_velocity(goal, noise), 1.0)
    torch.testing.assert_close(landed, goal.expand_as(noise))


@pytest.mark.parametrize("tau", [0.0, 0.5, 0.9])
def test_the_velocity_towards_the_data_is_the_trainers_target(tau):
    goal, noise = torch.randn(16, 8), torch.randn(5, 16, 8)
    velocity = velocity_towards(goal, noisy_actions(goal, noise, tau), tau)
    torch.testing.assert_close(velocity, target_velocity(goal, noise), rtol=1e-4, atol=1e-4)


def test_close_to_the_data_an_error_of_the_estimate_is_not_blown_up():
    data, noisy = torch.ones(4), torch.zeros(4)
    assert velocity_towards(data, noisy, torch.tensor(0.999)).max() == pytest.approx(10.0)


@pytest.mark.parametrize("num_steps", [1, 2, 10])
def test_an_estimate_of_the_data_leaves_no_noise_over(make_network, given, monkeypatch, num_steps):
    """Whatever the noise: the actions are what the readout said at the last step."""
    network = make_network(prediction="data")
    said = torch.randn(1, 16, 8)
    monkeypatch.setattr(network.expert.readouts[0], "forward", lambda x: said.expand(3, -1, -1))
    going = ExitPass(network, settings("shared", num_steps), given, Stopwatch(torch.device("cpu")))
    actions = going.actions(0)
    torch.testing.assert_close(actions, said.expand(3, -1, -1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_steps", [1, 2, 5])
@pytest.mark.parametrize("start", ["shared", "cold", "renoise"])
def test_the_policy_integrates_the_trainers_field_to_the_data(
    network, given, monkeypatch, start, num_steps
):
    goal = torch.randn(16, 8)
    ExactField(goal).install(network, monkeypatch)
    going = ExitPass(network, settings(start, num_steps), given, Stopwatch(torch.device("cpu")))
    for exit_index in range(3):
        actions = going.actions(exit_index)
        torch.testing.assert_close(actions, goal.expand_as(actions), rtol=1e-4, atol=1e-4)


def test_the_trainers_loss_of_the_exact_field_is_zero(network, make_batch, monkeypatch):
    goal = torch.randn(16, 8)
    ExactField(goal).install(network, monkeypatch)
    batch = make_batch()
    batch.actions_BHD.copy_(goal.expand(3, -1, -1))
    loss = training_losses(network, batch, torch.Generator().manual_seed(0), ("fm",))["fm"]
    assert loss < 1e-6


def test_tau_has_its_mass_on_the_noisy_side():
    tau = sample_tau((20_000,), torch.Generator().manual_seed(0))
    assert tau.dtype == torch.float32
    assert tau.min() >= 0 and tau.max() <= 0.999
    # The mean of Beta(1.5, 1) is 0.6.
    assert abs(tau.mean() - 0.999 * 0.4) < 0.01


def test_the_path_runs_from_noise_to_actions():
    actions, noise = torch.randn(4), torch.randn(4)
    assert torch.equal(noisy_actions(actions, noise, 0.0), noise)
    assert torch.equal(noisy_actions(actions, noise, 1.0), actions)


@pytest.mark.parametrize(
    ("start", "gained", "taus"),
    [
        ("cold", [1, 1, 1], [0, 0.5, 0, 0.5, 0, 0.5]),
        ("shared", [1, 1, 1], [0, 0.5, 0.5, 0.5]),
        ("direct", [1, 2, 3], [0, 0.5, 0, 0.5, 0, 0.5]),
        ("renoise", [1, 1, 1], [0, 0.5, 0.5, 0.75, 0.5, 0.75]),
    ],
)
def test_starts(network, given, monkeypatch, start, gained, taus):
    """With a velocity of 1 everywhere, what an exit gained over its noise tells its start."""
    field = ExactField(torch.zeros(16, 8))
    field.install(network, monkeypatch)
    monkeypatch.setattr(network.expert, "velocity", lambda k, hidden, x, tau: torch.ones_like(x))
    going = ExitPass(network, settings(start, 2), given, Stopwatch(torch.device("cpu")))
    for k in range(3):
        used = given.noise_KBHD[k if start == "cold" else 0]
        torch.testing.assert_close(going.actions(k) - used, torch.full_like(used, gained[k]))
    assert field.taus == pytest.approx(taus)
