"""Chunks that go on from a plan: the path of committed rows, the soft mask, and where to leave."""

import numpy as np
import pytest
import torch

from a1_core.policy import ExitSetting
from a1_core.prefix import Prefix, soft_mask
from a1_model.exit_pass import HeadSettings
from a1_model.flow import euler_step, kept_velocity, velocity_towards
from a1_model.noise import tick_noise

FULL = ExitSetting(mode="full")
COMMITTED, FREE_FROM = 3, 8


def settings(head="fm", start="shared", signal=None, steps=2):
    return HeadSettings(head=head, num_steps=steps, start=start, renoise_tau=0.5, signal=signal)


@pytest.fixture
def prefix():
    rng = np.random.default_rng(5)
    weight_HD = np.repeat(soft_mask(16, COMMITTED, FREE_FROM)[:, None], 8, axis=1)
    weight_HD[COMMITTED:, 7] = 0.0
    return Prefix(rows_HD=rng.uniform(-0.2, 0.2, (16, 8)).astype(np.float32), weight_HD=weight_HD)


@pytest.mark.parametrize("steps", [1, 2, 5, 10])
def test_committed_rows_follow_the_straight_path_and_free_ones_are_free(steps):
    torch.manual_seed(1)
    noise, rows, said = torch.randn(3, 6, 4).unbind()
    weight = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])[:, None].expand(6, 4)
    kept = free = noise
    for step in range(steps):
        tau = step / steps
        torch.testing.assert_close(kept[:2], tau * rows[:2] + (1 - tau) * noise[:2])
        velocity = velocity_towards(said, kept, tau)
        kept = euler_step(kept, kept_velocity(velocity, kept, tau, rows, weight), 1 / steps)
        free = euler_step(free, velocity_towards(said, free, tau), 1 / steps)
    torch.testing.assert_close(kept[:2], rows[:2])
    torch.testing.assert_close(kept[2:], free[2:], rtol=0, atol=0)


def test_a_soft_row_is_pulled_by_its_weight():
    """With an estimate that does not move the mask mixes estimate and plan, w * Y + (1 - w) * D."""
    noise, rows, said = torch.randn(3, 5, 2).unbind()
    weight = torch.linspace(0, 1, 5)[:, None].expand(5, 2)
    for tau in (0.0, 0.5, 0.8):
        noisy = tau * said + (1 - tau) * noise
        velocity = kept_velocity(velocity_towards(said, noisy, tau), noisy, tau, rows, weight)
        landed = euler_step(noisy, velocity, 1 - tau)
        torch.testing.assert_close(landed, weight * rows + (1 - weight) * said)


def watch_flow(policy, monkeypatch):
    """Fills with the time and the noisy rows of every velocity that the head is asked for."""
    seen, embed = [], policy.network.expert.embed_actions

    def watched(noisy_BSRD, tau_BS):
        seen.append((float(tau_BS[0, 0]), noisy_BSRD[0, 0].numpy().copy()))
        return embed(noisy_BSRD, tau_BS)

    monkeypatch.setattr(policy.network.expert, "embed_actions", watched)
    return seen


def path_to(prefix, policy, observation):
    """Normalised rows [H, D] at a time of the path from the last exit's noise to the plan."""
    cold = policy.settings.start == "cold"
    draws = len(policy.network.config.exits) if cold else 1
    noise_HD = tick_noise(policy.seed, observation.stamp_ns, draws, 16, 8)[-1]
    rows_HD = policy.normaliser.encode_actions(prefix.rows_HD)
    return lambda tau: tau * rows_HD + (1 - tau) * noise_HD


@pytest.mark.parametrize("start", ["shared", "cold", "direct", "renoise"])
def test_the_head_sees_committed_rows_on_their_path(
    make_policy, make_observation, prefix, start, monkeypatch
):
    policy, observation = make_policy(settings=settings(start=start)), make_observation()
    seen = watch_flow(policy, monkeypatch)
    output = policy.act(observation, setting=FULL, prefix=prefix)
    path = path_to(prefix, policy, observation)
    assert [tau for tau, _ in seen] == [0.0, 0.5]
    for tau, noisy_HD in seen:
        wanted_HD = path(tau)
        np.testing.assert_allclose(noisy_HD[:COMMITTED], wanted_HD[:COMMITTED], atol=1e-6)
        if tau:
            assert np.abs(noisy_HD[FREE_FROM:] - wanted_HD[FREE_FROM:]).max() > 1e-3
    np.testing.assert_allclose(output.actions_HD[:COMMITTED], prefix.rows_HD[:COMMITTED], atol=1e-6)


@pytest.mark.parametrize("start", ["shared", "cold", "direct", "renoise"])
@pytest.mark.parametrize("free", [True, False], ids=["free", "committed"])
def test_a_guess_is_where_the_flow_begins(
    make_policy, make_observation, prefix, start, free, monkeypatch
):
    """At renoise_tau = 0.5 on the path from the tick's noise to the plan, then two equal steps."""
    policy, observation = make_policy(settings=settings(start=start)), make_observation()
    weight_HD = np.zeros_like(prefix.weight_HD) if free else prefix.weight_HD
    guess = Prefix(rows_HD=prefix.rows_HD, weight_HD=weight_HD, guess=True)
    seen = watch_flow(policy, monkeypatch)
    output = policy.act(observation, setting=FULL, prefix=guess)
    path = path_to(prefix, policy, observation)
    assert [tau for tau, _ in seen] == [0.5, 0.75]
    np.testing.assert_allclose(seen[0][1], path(0.5), atol=1e-6)
    leads = slice(0, 0 if free else COMMITTED)
    np.testing.assert_allclose(output.actions_HD[leads], prefix.rows_HD[leads], atol=1e-6)
    assert np.abs(output.actions_HD[COMMITTED:] - prefix.rows_HD[COMMITTED:]).max() > 1e-3


@pytest.mark.parametrize("head", ["fm", "mlp"])
def test_a_prefix_without_weight_changes_nothing(make_policy, make_observation, prefix, head):
    policy, observation = make_policy(settings=settings(head)), make_observation()
    free = policy.act(observation, setting=FULL).actions_HD
    nothing = Prefix(rows_HD=prefix.rows_HD, weight_HD=np.zeros_like(prefix.weight_HD))
    same = policy.act(observation, setting=FULL, prefix=nothing).actions_HD
    np.testing.assert_allclose(same, free, atol=1e-6)
    assert np.abs(policy.act(observation, setting=FULL, prefix=prefix).actions_HD - free).max() > 0


def test_the_regression_head_blends(make_policy, make_observation, prefix):
    policy, observation = make_policy(settings=settings("mlp")), make_observation()
    free_HD = policy.act(observation, setting=FULL).actions_HD
    kept_HD = policy.act(observation, setting=FULL, prefix=prefix).actions_HD
    weight_HD = prefix.weight_HD
    np.testing.assert_allclose(
        kept_HD, weight_HD * prefix.rows_HD + (1 - weight_HD) * free_HD, atol=1e-6
    )


@pytest.mark.parametrize("signal", [None, "probe", "mlp"])
def test_committed_rows_have_no_say_in_where_to_leave(
    make_policy, make_observation, make_thresholds, prefix, signal
):
    policy, observation = make_policy(settings=settings(signal=signal)), make_observation()
    deltas = policy.all_exits([observation]).deltas_KN[:, 0]
    eta = (-np.inf, -np.inf, -np.inf, float(deltas[3]), np.inf, np.inf, np.inf)
    setting = ExitSetting(mode="adaptive", thresholds=make_thresholds((1, 2, 3, 4, 5, 6, 7), eta))
    free = policy.act(observation, setting=setting)
    kept = policy.act(observation, setting=setting, prefix=prefix)
    assert kept.trace.exit_layer == free.trace.exit_layer
    assert kept.trace.discrepancies[1:] == free.trace.discrepancies[1:]
    np.testing.assert_allclose(kept.actions_HD[:COMMITTED], prefix.rows_HD[:COMMITTED], atol=1e-6)
    fixed = ExitSetting(mode="fixed", fixed_exit=policy.network.config.exits[3])
    alone = policy.act(observation, setting=fixed, prefix=prefix).actions_HD
    np.testing.assert_allclose(kept.actions_HD, alone, atol=1e-6)


def test_what_a_prefix_costs_is_counted(make_policy, make_observation, make_thresholds, prefix):
    policy, observation = make_policy(), make_observation()
    full = policy.act(observation, setting=FULL).trace.flops_fraction
    assert policy.act(observation, setting=FULL, prefix=prefix).trace.flops_fraction == full
    at_once = (-np.inf, *(np.inf,) * 6)
    setting = ExitSetting(
        mode="adaptive", thresholds=make_thresholds((1, 2, 3, 4, 5, 6, 7), at_once)
    )
    free = policy.act(observation, setting=setting).trace.flops_fraction
    assert policy.act(observation, setting=setting, prefix=prefix).trace.flops_fraction > free
