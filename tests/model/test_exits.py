"""One pass that goes deeper: exact savings, nothing redone, nothing leaking."""

import dataclasses

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from a1_model.exit_pass import ExitPass, HeadSettings
from a1_model.flow import euler_step
from a1_model.stopwatch import Stopwatch

SETTINGS = {
    start: HeadSettings(head="fm", num_steps=2, start=start, renoise_tau=0.5)
    for start in ("shared", "cold", "direct", "renoise")
} | {"mlp": HeadSettings(head="mlp", num_steps=2, start="shared", renoise_tau=0.5)}


@pytest.fixture
def start_pass(network, make_policy, make_observation):
    def start(settings, network=network, stamp_ns=1):
        policy = make_policy(settings=settings)
        given = policy.prepare([make_observation(stamp_ns=stamp_ns)])
        return ExitPass(network, settings, given, Stopwatch(torch.device("cpu")))

    return start


@pytest.mark.parametrize("kind", ["shared", "cold", "mlp"])
def test_going_on_from_an_exit_equals_a_fresh_run_at_that_depth(start_pass, kind):
    going = start_pass(SETTINGS[kind])
    for exit_index in range(7):
        fresh = start_pass(SETTINGS[kind])
        assert torch.equal(going.actions(exit_index), fresh.actions(exit_index))
        assert torch.equal(going.end_probability(exit_index), fresh.end_probability(exit_index))


@pytest.mark.parametrize("exit_index", [0, 3, 6])
def test_keys_and_values_alone_give_the_chunk_of_whole_blocks(
    network, start_pass, make_policy, make_observation, exit_index
):
    """The reference runs every block to its end and every step from the first layer on."""
    settings = SETTINGS["shared"]
    given = make_policy(settings=settings).prepare([make_observation(stamp_ns=1)])
    hidden, layout = network.prefix(
        given.images_VNHWC, given.text_ids_BT, given.text_mask_BT, state_BD=None
    )
    expert, suffix = network.expert, network.expert.suffix(layout)
    state, contexts = expert.embed_state(given.state_BD), []
    block = network.config.exits[exit_index]
    for index in range(block + 1):
        half = network.backbone.keys_values(index, hidden, layout)
        hidden = network.backbone.finish(index, half, layout)
        state, context = expert.state_layer(index, state, half, suffix, layout.prefix)
        contexts.append(context)
    actions = given.noise_KBHD[0]
    for step in range(2):
        tokens = expert.embed_actions(actions[:, None], torch.tensor([[step / 2]]))
        for index in range(block + 1):
            tokens = expert.action_layer(index, tokens, contexts[index], suffix)
        velocity = expert.velocity(exit_index, tokens, actions, step / 2)
        actions = euler_step(actions, velocity, 0.5)
    assert torch.equal(start_pass(settings).actions(exit_index), actions)


def count_calls(monkeypatch, owner, name):
    calls, original = [], getattr(owner, name)

    def counted(*arguments, **named):
        calls.append(arguments[0])
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, counted)
    return calls


def test_nothing_is_computed_twice(network, start_pass, monkeypatch):
    firsts = count_calls(monkeypatch, network.backbone, "keys_values")
    seconds = count_calls(monkeypatch, network.backbone, "finish")
    states = count_calls(monkeypatch, network.expert, "state_layer")
    actions = count_calls(monkeypatch, network.expert, "action_layer")
    going = start_pass(SETTINGS["shared"])
    for exit_index in range(7):
        going.actions(exit_index)
    assert firsts == list(range(8)) and states == list(range(8))
    # The last block's second half is never needed.
    assert seconds == list(range(7))
    # The first Euler node is carried: 8 layers in all; the second node starts anew each time.
    assert len(actions) == 8 + sum(block + 1 for block in network.config.exits)


def test_a_flow_exit_needs_no_second_half_and_an_mlp_exit_does(start_pass, make_network):
    """Exit 2 reads block 3: its MLP's weights matter to the MLP head alone."""
    changed = make_network().requires_grad_(False)
    changed.backbone.layers[3].mlp.down_proj.weight.add_(0.1)
    for kind, same in (("shared", True), ("mlp", False)):
        before = start_pass(SETTINGS[kind]).actions(2)
        after = start_pass(SETTINGS[kind], network=changed).actions(2)
        assert torch.equal(before, after) is same


def test_the_state_lane_does_not_see_noise(start_pass):
    one, other = (
        start_pass(SETTINGS["shared"], stamp_ns=1),
        start_pass(SETTINGS["shared"], stamp_ns=2),
    )
    assert not torch.equal(one.actions(4), other.actions(4))
    assert torch.equal(one.end_probability(4), other.end_probability(4))


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_pass_that_runs_its_head_once_costs_one(start_pass, kind):
    going = start_pass(SETTINGS[kind])
    going.actions(6)
    assert going.flops_fraction == pytest.approx(1.0)
    assert start_pass(SETTINGS[kind]).flops_fraction < 1.0


def test_flops_match_a_count_of_the_products(network, make_policy, make_observation):
    """Counted by torch while the pass runs; fused attention kernels escape its counter."""
    settings = dataclasses.replace(SETTINGS["shared"], num_steps=1)
    given = make_policy(settings=settings).prepare([make_observation()])
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        going = ExitPass(network, settings, given, Stopwatch(torch.device("cpu")))
        going.actions(6)
    assert going.flops == pytest.approx(counter.get_total_flops(), rel=1e-3)
