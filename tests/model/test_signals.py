"""Where to leave is decided by something cheaper than the chunk that acts."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from a1_core.errors import A1Error
from a1_core.policy import ExitReason, ExitSetting
from a1_model.config import ModelConfig
from a1_model.exit_pass import ExitPass, HeadSettings
from a1_model.segments import measure_segments
from a1_model.stopwatch import Stopwatch

FULL = ExitSetting(mode="full")
NEVER = (-1.0,) * 6 + (np.inf,)
"""No discrepancy is so small, and every exit has to be looked at to know."""


def settings(signal, num_steps=2, head="fm", start="shared"):
    return HeadSettings(head=head, num_steps=num_steps, start=start, renoise_tau=0.5, signal=signal)


@pytest.fixture
def adaptive(make_thresholds):
    return lambda eta: ExitSetting(
        mode="adaptive", thresholds=make_thresholds((1, 2, 3, 4, 5, 6, 7), eta)
    )


def test_a_probe_is_the_chunk_of_one_step(make_policy, make_observation):
    observation = make_observation()
    probe = make_policy(settings=settings("probe", 3)).all_exits([observation])
    one_step = make_policy(settings=settings(None, 1)).all_exits([observation])
    np.testing.assert_array_equal(probe.normalised_KNHD, one_step.normalised_KNHD)
    np.testing.assert_array_equal(probe.deltas_KN, one_step.deltas_KN)


@pytest.mark.parametrize("signal", ["probe", "mlp"])
def test_the_chunk_that_acts_is_the_heads_own(make_policy, make_observation, adaptive, signal):
    """Whatever decides: at an exit all its steps are run, and full depth is the same."""
    observation = make_observation()
    policy, plain = make_policy(settings=settings(signal)), make_policy(settings=settings(None))
    expected = plain.all_exits([observation])
    for leave in (1, 3, 5):
        eta = [np.inf if exit_index == leave else -1.0 for exit_index in range(6)] + [np.inf]
        output = policy.act(observation, setting=adaptive(eta))
        assert output.trace.exit_index == leave
        assert output.trace.exits_evaluated == tuple(range(leave + 1))
        np.testing.assert_allclose(
            output.actions_HD, expected.actions_KNHD[leave, 0], rtol=1e-4, atol=1e-5
        )
        assert output.end_of_substep == pytest.approx(expected.end_KN[leave, 0], rel=1e-4)
    full = policy.act(observation, setting=FULL).actions_HD
    np.testing.assert_array_equal(full, plain.act(observation, setting=FULL).actions_HD)


def test_the_mlp_head_decides_by_its_own_chunks(make_policy, make_observation):
    observation = make_observation()
    decides = make_policy(settings=settings("mlp")).all_exits([observation])
    acts = make_policy(settings=settings(None, head="mlp")).all_exits([observation])
    np.testing.assert_allclose(decides.deltas_KN, acts.deltas_KN, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("signal", ["probe", "mlp"])
def test_replay_gives_what_the_tick_compared(make_policy, make_observation, adaptive, signal):
    policy, observation = make_policy(settings=settings(signal)), make_observation()
    online = policy.act(observation, setting=adaptive(NEVER))
    study = policy.all_exits([observation])
    np.testing.assert_array_equal(online.trace.discrepancies[1:], study.deltas_KN[1:, 0])
    np.testing.assert_array_equal(online.actions_HD, study.actions_KNHD[-1, 0])
    np.testing.assert_allclose(study.full_NHD[0], online.actions_HD, rtol=1e-4, atol=1e-5)


def test_all_probes_together_cost_one_pass_of_the_expert(
    network, make_policy, make_observation, monkeypatch
):
    calls = {"action_layer": 0, "state_layer": 0, "velocity": 0}
    for name in calls:
        original = getattr(network.expert, name)

        def counted(*arguments, name=name, original=original):
            calls[name] += 1
            return original(*arguments)

        monkeypatch.setattr(network.expert, name, counted)
    policy = make_policy(settings=settings("probe"))
    going = ExitPass(
        network, policy.settings, policy.prepare([make_observation()]), Stopwatch(policy.device)
    )
    for exit_index in range(7):
        going.signal(exit_index)
    assert calls == {"action_layer": 8, "state_layer": 8, "velocity": 7}
    going.actions(6)
    # The first step is the last probe's; the second one is new.
    assert calls == {"action_layer": 16, "state_layer": 8, "velocity": 8}


@pytest.mark.parametrize("signal", ["probe", "mlp"])
def test_flops_match_a_count_of_the_products(network, make_policy, make_observation, signal):
    policy = make_policy(settings=settings(signal))
    given = policy.prepare([make_observation()])
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        going = ExitPass(network, policy.settings, given, Stopwatch(torch.device("cpu")))
        for exit_index in range(7):
            going.signal(exit_index)
        going.actions(6)
    assert going.flops == pytest.approx(counter.get_total_flops(), rel=1e-3)
    assert 1.0 < going.flops_fraction < (1.1 if signal == "probe" else 1.3)


def test_the_deadline_leaves_time_for_the_chunk(make_policy, make_observation, adaptive):
    policy, observation = make_policy(settings=settings("probe")), make_observation()
    policy.times.set_measured(3, 3, 10.0)
    trace = policy.act(observation, setting=adaptive(NEVER), deadline_s=5.0).trace
    assert trace.reason is ExitReason.DEADLINE and trace.exit_index == 2


@pytest.mark.parametrize("signal", ["probe", "mlp"])
def test_what_leaving_takes_is_measured(make_policy, make_observation, signal):
    policy = make_policy(settings=settings(signal))
    segments = measure_segments(policy, make_observation(), repeats=1)
    assert all(seconds > 0 for seconds in segments.finish_s)
    assert policy.times.finish_s(6) >= segments.finish_s[6]
    plain = make_policy(settings=settings(None))
    assert measure_segments(plain, make_observation(), repeats=1).finish_s == (0.0,) * 7


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"signal": "probe", "start": "direct"}, 'choose the start "shared"'),
        ({"signal": "mlp", "start": "cold"}, 'choose the start "shared"'),
        ({"signal": "probe", "head": "mlp"}, "compared by its own chunks"),
        ({"signal": "guess"}, "'guess' is not one of"),
    ],
)
def test_signals_that_make_no_sense_are_refused(network, changes, named):
    with pytest.raises(ValueError, match=named):
        dataclasses.replace(network.config, **changes)


def test_a_network_without_the_mlp_head_cannot_be_compared_by_it(make_network, make_policy):
    with pytest.raises(A1Error, match="no head mlp"):
        make_policy(network=make_network(parts=("fm",)), settings=settings("mlp"))


def test_the_signal_is_part_of_a_checkpoint(network):
    content = dataclasses.replace(network.config, signal="probe").to_json()
    assert ModelConfig.from_json(content).signal == "probe"
    assert "signal" not in network.config.to_json()
