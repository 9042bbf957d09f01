"""The MLP head of the public A1 code acts here as it does there."""

import numpy as np
import published as pub
import published_equations as eq
import pytest
import torch
from conversion_rig import (
    ACTION,
    STATISTICS,
    TEXT_IDS,
    TIGHT,
    act,
    denormalised,
    image,
    normalised_state,
    observe,
    one_sample,
)

from a1_core.errors import CheckpointError
from a1_model.a1_layout import A1Choices, convert_a1
from a1_model.checkpoint import grow_network
from a1_model.draws import Totals, make_draws
from a1_model.exit_pass import ExitPass
from a1_model.losses import losses_of
from a1_model.stopwatch import Stopwatch


@pytest.fixture(scope="module")
def mlp():
    return pub.molmo_tensors("") | pub.mlp_tensors(7)


def write_mlp(directory, tensors, rows=8, **changes):
    return pub.write_a1(
        directory,
        tensors,
        statistics=STATISTICS,
        **{
            "action_head": "l1_regression",
            "action_dim": 7,
            "fixed_action_dim": 7,
            "right_end_effector_dim": 7,
            "num_actions_chunk": rows,
        }
        | changes,
    )


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("features", "exits"), [("before", (0, 2)), ("after", (1, 3))])
def test_a1_mlp_acts_as_it_did(converted, tmp_path, mlp, features, exits, causal):
    """Their exit at block 1 reads the state before it, which is ours after block 0."""
    source = write_mlp(tmp_path / "a1", mlp, llm_causal_attention=causal)
    spec = pub.robot(horizon=8)
    policy = converted("a1", source, spec, A1Choices(features=features))
    assert policy.network.config.exits == exits
    observation = observe()
    x = eq.prefix_inputs(
        [eq.image_tokens(image(observation), mlp, "")], [*TEXT_IDS, ACTION], mlp, ""
    )
    state = torch.zeros(pub.STATES)
    state[:4] = torch.from_numpy(normalised_state(observation))
    for block in exits:
        # Hidden state number b + 1 is the one after block b.
        theirs = eq.mlp_actions(x, state, mlp, 7, 8, block + 1, causal=causal)
        wanted = denormalised(theirs[:, :4].numpy())
        np.testing.assert_allclose(act(policy, observation, block), wanted, **TIGHT)


def test_a1_mlp_at_full_depth_reads_the_last_norm(converted, tmp_path):
    tensors = pub.molmo_tensors("") | pub.mlp_tensors(8)
    source = write_mlp(
        tmp_path / "a1",
        tensors,
        rows=4,
        action_dim=8,
        fixed_action_dim=8,
        right_end_effector_dim=8,
        early_exit=False,
    )
    policy = converted("a1", source, pub.robot(horizon=4), A1Choices())
    observation = observe()
    x = eq.prefix_inputs(
        [eq.image_tokens(image(observation), tensors, "")], [*TEXT_IDS, ACTION], tensors, ""
    )
    state = torch.zeros(pub.STATES)
    state[:4] = torch.from_numpy(normalised_state(observation))
    theirs = eq.mlp_actions(x, state, tensors, 8, 4, 0, causal=False, final=True)
    wanted = denormalised(theirs[:, :4].numpy())
    np.testing.assert_allclose(act(policy, observation, 3), wanted, **TIGHT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 10}, "num_actions_chunk: 10; with early exit its head takes 8 rows"),
        ({"action_dim": 32, "fixed_action_dim": 32}, "action_dim: 32; its code makes 7 tokens"),
        ({"fixed_action_dim": 32}, "fixed_action_dim: 32"),
    ],
)
def test_another_mlp_is_refused(tmp_path, mlp, changes, message):
    source = write_mlp(tmp_path / "a1", mlp, **changes)
    with pytest.raises(CheckpointError, match=message):
        convert_a1(source, pub.robot(horizon=changes.get("rows", 8)), A1Choices())


@pytest.mark.parametrize("causal", [False, True])
def test_a_converted_mlp_head_learns_where_it_acts(converted, tmp_path, mlp, causal):
    """Told the very actions it says at an exit, it has nothing to learn there."""
    source = write_mlp(tmp_path / "a1", mlp, llm_causal_attention=causal)
    policy = converted("a1", source, pub.robot(horizon=8), A1Choices())
    given = policy.prepare([observe()])
    going = ExitPass(policy.network, policy.settings, given, Stopwatch(torch.device("cpu")))
    config, said = policy.network.config, [going.actions(0).detach(), going.actions(1).detach()]
    network = grow_network(tmp_path / "ours", config)
    for number in range(2):
        batch = one_sample(given, said[number])
        draws = make_draws(config, 1, Totals.of(batch), None, ["mlp"])
        losses = losses_of(network, batch, draws, ["mlp"])
        errors = losses["mlp_by_exit"]
        assert float(errors[number]) < 1e-4 < float(errors[1 - number])
    losses["mlp"].backward()
    assert network.query_head.numbers.grad.any()
    assert network.backbone.layers[0].mlp.down_proj.weight.grad.any()
