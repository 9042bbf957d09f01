"""Ticks as the node sees them."""

import dataclasses
import itertools

import numpy as np
import pytest

from a1_core.errors import A1Error, ObservationRefused
from a1_core.policy import ExitReason, ExitSetting
from a1_model.exit_pass import HeadSettings
from a1_model.latency import SegmentTimes
from a1_model.noise import tick_noise
from a1_model.segments import measure_segments

FULL = ExitSetting(mode="full")


def head(kind, start="shared"):
    return HeadSettings(head=kind, num_steps=2, start=start, renoise_tau=0.5)


@pytest.fixture
def adaptive(make_thresholds):
    def make(eta, exits=(1, 2, 3, 4, 5, 6, 7)):
        return ExitSetting(mode="adaptive", thresholds=make_thresholds(exits, eta))

    return make


def never(count=7):
    """No discrepancy is so small, and every exit has to be looked at to know."""
    return (-1.0,) * (count - 1) + (np.inf,)


@pytest.mark.parametrize("kind", ["fm", "mlp"])
def test_modes_agree_on_what_a_depth_gives(make_policy, make_observation, adaptive, kind):
    policy, observation = make_policy(settings=head(kind)), make_observation()
    full = policy.act(observation, setting=FULL)
    deepest = policy.act(observation, setting=adaptive(never()))
    fixed = policy.act(observation, setting=ExitSetting(mode="fixed", fixed_exit=7))
    np.testing.assert_array_equal(full.actions_HD, deepest.actions_HD)
    np.testing.assert_array_equal(full.actions_HD, fixed.actions_HD)
    assert full.end_of_substep == deepest.end_of_substep == fixed.end_of_substep
    reasons = [output.trace.reason for output in (full, deepest, fixed)]
    assert reasons == [ExitReason.FULL, ExitReason.LAST_EXIT, ExitReason.FIXED]
    assert full.actions_HD.shape == (16, 8) and full.actions_HD.dtype == np.float32


def test_an_exit_fires_when_the_chunk_has_settled(make_policy, make_observation, adaptive):
    policy, observation = make_policy(), make_observation()
    study = policy.all_exits([observation])
    # Just reached at exit 3, just missed before.
    eta = [-1.0, -1.0, -1.0, study.deltas_KN[3, 0], np.inf, np.inf, np.inf]
    output = policy.act(observation, setting=adaptive(eta))
    assert output.trace.reason is ExitReason.CONVERGED
    assert (output.trace.exit_index, output.trace.exit_layer) == (3, 5)
    assert output.trace.exits_evaluated == (0, 1, 2, 3)
    assert output.trace.discrepancy == output.trace.threshold == study.deltas_KN[3, 0]
    np.testing.assert_array_equal(output.actions_HD, study.actions_KNHD[3, 0])
    assert output.end_of_substep == pytest.approx(study.end_KN[3, 0])


def test_the_first_exit_cannot_fire(make_policy, make_observation, adaptive):
    output = make_policy().act(make_observation(), setting=adaptive((np.inf,) * 7))
    assert output.trace.exit_index == 1


@pytest.mark.parametrize("signal", [None, "probe", "mlp"])
def test_checks_on_which_nothing_hangs_are_not_made(
    make_policy, make_observation, adaptive, signal
):
    settings = dataclasses.replace(head("fm"), signal=signal)
    policy, observation = make_policy(settings=settings), make_observation()
    delta = policy.all_exits([observation]).deltas_KN[4, 0]
    for fires, looked_at in ((delta, (3, 4)), (delta / 2, (3, 4, 6))):
        all_asked = [-1.0, -1.0, -1.0, -1.0, fires, -1.0, np.inf]
        few_asked = [-np.inf if eta == -1.0 else eta for eta in all_asked]
        slow, quick = (policy.act(observation, setting=adaptive(e)) for e in (all_asked, few_asked))
        assert quick.trace.exits_evaluated == looked_at
        assert slow.trace.exits_evaluated == tuple(range(looked_at[-1] + 1))
        assert quick.trace.exit_index == slow.trace.exit_index == looked_at[-1]
        np.testing.assert_allclose(quick.actions_HD, slow.actions_HD, atol=1e-6)
        assert quick.trace.flops_fraction < slow.trace.flops_fraction
    assert slow.trace.exits_evaluated == tuple(range(7))
    # A chunk to fall back on, and chunks that start from each other, need every exit.
    few = adaptive(few_asked)
    in_time = policy.act(observation, setting=few, deadline_s=1e3).trace
    assert in_time.exits_evaluated == tuple(range(7))
    chained = make_policy(settings=head("fm", "direct"))
    assert len(chained.act(observation, setting=few).trace.exits_evaluated) >= 5


def test_exits_can_be_left_out(make_policy, make_observation, adaptive):
    policy, observation = make_policy(), make_observation()
    setting = adaptive(never(3), exits=(2, 4, 7))
    trace = policy.act(observation, setting=setting).trace
    assert trace.exits_evaluated == (1, 3, 6)
    chained = make_policy(settings=head("fm", "direct"))
    with pytest.raises(A1Error, match="direct"):
        chained.act(observation, setting=setting)


@pytest.mark.parametrize("start", ["shared", "cold", "direct", "renoise"])
def test_replay_gives_the_discrepancies_of_the_tick(make_policy, make_observation, adaptive, start):
    policy = make_policy(settings=head("fm", start))
    first = make_observation(stamp_ns=5)
    other = make_observation(stamp_ns=9, instruction="put the green cube in the bowl", seed=1)
    online = policy.act(first, setting=adaptive(never())).trace.discrepancies[1:]
    alone = policy.all_exits([first])
    batch = policy.all_exits([first, other])
    np.testing.assert_array_equal(online, alone.deltas_KN[1:, 0])
    np.testing.assert_allclose(online, batch.deltas_KN[1:, 0], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        alone.actions_KNHD[:, 0], batch.actions_KNHD[:, 0], rtol=1e-4, atol=1e-5
    )
    full = policy.act(first, setting=FULL).actions_HD
    np.testing.assert_array_equal(full, alone.full_NHD[0])


@pytest.mark.parametrize("kind", ["fm", "mlp"])
def test_padded_text_changes_no_chunk(make_policy, make_observation, kind):
    policy = make_policy(settings=head(kind))
    short = make_observation()
    long = make_observation(instruction="put the green cube in the bowl " * 2)
    alone, padded = policy.all_exits([short]), policy.all_exits([short, long])
    np.testing.assert_allclose(
        alone.normalised_KNHD[:, 0], padded.normalised_KNHD[:, 0], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("start", ["shared", "cold", "direct", "renoise"])
def test_a_tick_leaves_nothing_behind(make_policy, make_observation, adaptive, start):
    policy, setting = make_policy(settings=head("fm", start)), adaptive(never())
    first, other = make_observation(stamp_ns=1), make_observation(stamp_ns=2, seed=3)
    before = policy.act(first, setting=setting)
    policy.act(other, setting=setting)
    again = policy.act(first, setting=setting)
    np.testing.assert_array_equal(before.actions_HD, again.actions_HD)
    assert before.trace.discrepancies[1:] == again.trace.discrepancies[1:]


def test_noise_is_decided_by_seed_and_stamp():
    one = tick_noise(0, 123, 1, 16, 8)
    assert np.array_equal(one[0], tick_noise(0, 123, 7, 16, 8)[0])
    assert not np.array_equal(one, tick_noise(0, 124, 1, 16, 8))
    assert not np.array_equal(one, tick_noise(1, 123, 1, 16, 8))


class SteppingClock:
    """Every look at it takes a millisecond."""

    def __init__(self):
        self._ticks = itertools.count()

    def __call__(self):
        return next(self._ticks) * 1e-3


def test_the_deadline_returns_the_best_chunk_so_far(make_policy, make_observation, adaptive):
    policy, observation = make_policy(clock=SteppingClock()), make_observation()
    policy.times.set_measured(2, 3, 10.0)
    output = policy.act(observation, setting=adaptive(never()), deadline_s=1.0)
    assert output.trace.reason is ExitReason.DEADLINE
    assert output.trace.exit_index == 2
    np.testing.assert_array_equal(
        output.actions_HD, policy.all_exits([observation]).actions_KNHD[2, 0]
    )


def test_the_first_exit_is_computed_whatever_the_deadline(make_policy, make_observation, adaptive):
    output = make_policy().act(make_observation(), setting=adaptive(never()), deadline_s=0.0)
    assert output.trace.reason is ExitReason.DEADLINE and output.trace.exit_index == 0


def test_full_depth_with_a_deadline_chooses_its_depth_beforehand(make_policy, make_observation):
    policy = make_policy()
    for k in range(7):
        policy.times.set_measured(-1, k, 0.1 * (k + 1))
    trace = policy.act(make_observation(), setting=FULL, deadline_s=0.35).trace
    assert trace.reason is ExitReason.DEADLINE and trace.exit_index == 2
    assert trace.exits_evaluated == (2,)


def test_the_trace_adds_up(make_policy, make_observation, adaptive):
    trace = make_policy().act(make_observation(), setting=adaptive(never())).trace
    stages = trace.preprocess_ms + trace.vision_ms + trace.backbone_ms + trace.head_ms
    assert 0 < stages <= trace.total_ms
    assert trace.num_layers == 8 and trace.depth_fraction == 1.0
    # Checks on the way cost more than going straight to the last exit.
    assert 1.0 < trace.flops_fraction < 2.0


def test_cameras_of_any_size_and_none_missing(make_policy, make_observation):
    policy = make_policy()
    assert policy.act(make_observation(size=200), setting=FULL).actions_HD.shape == (16, 8)
    blind = dataclasses.replace(make_observation(), images={})
    with pytest.raises(ObservationRefused, match=r"CAMERA_MISSING: .*front"):
        policy.act(blind, setting=FULL)


def test_settings_that_make_no_sense_are_refused(make_policy, make_observation):
    policy, observation = make_policy(), make_observation()
    with pytest.raises(A1Error, match="block 0 is no exit"):
        policy.act(observation, setting=ExitSetting(mode="fixed", fixed_exit=0))
    with pytest.raises(A1Error, match="thresholds"):
        policy.act(observation, setting=ExitSetting(mode="adaptive"))


def test_segments_are_measured_and_kept(make_policy, make_observation):
    policy = make_policy()
    segments = measure_segments(policy, make_observation(), repeats=1)
    assert all(seconds > 0 for seconds in segments.first_s)
    assert segments.next_s[0] == 0 and all(seconds > 0 for seconds in segments.next_s[1:])
    assert policy.times.expected_s(-1, 6) == segments.first_s[6]


def test_one_hiccup_does_not_keep_later_ticks_shallow():
    times = SegmentTimes()
    times.set_measured(1, 2, 0.01)
    times.learn(1, 2, 0.2)
    assert times.expected_s(1, 2) == 0.2
    for _ in range(100):
        times.blocked(1, 2)
    assert times.expected_s(1, 2) == 0.01


def test_a_segment_never_met_is_the_sum_of_its_parts():
    times = SegmentTimes()
    assert times.expected_s(-1, 3) == 0.0
    times.set_measured(-1, 0, 1.0)
    for k in range(3):
        times.set_measured(k, k + 1, 0.1)
    assert times.expected_s(0, 3) == pytest.approx(0.3)
    assert times.expected_s(-1, 3) == pytest.approx(1.3)


@pytest.mark.parametrize("kind", ["fm", "mlp"])
def test_an_instruction_longer_than_the_network_is_refused(make_policy, make_observation, kind):
    """By what it has places for: the last row of a chunk, or the last query."""
    policy = make_policy(settings=head(kind))
    config = policy.network.config
    behind = 1 + config.horizon if kind == "fm" else config.mlp_queries
    # Every text ends with a token of its own.
    too_many = 4096 + 1 - config.image_tokens - behind - 1
    observation = make_observation(instruction="red " * too_many)
    with pytest.raises(A1Error, match=r"instruction: with it there are 4097 tokens.*shorten it"):
        policy.act(observation, setting=FULL)
