"""Training: who sees whom, and where gradients go."""

import dataclasses

import pytest
import torch

from a1_model.heads import point_target

TOUCH, BOWL = "touch the red cube", "put the green cube in the bowl"


def losses(network, batch, wanted):
    return network.losses(batch, torch.Generator().manual_seed(5), wanted=wanted)


def test_gradients_reach_every_parameter(make_network, make_batch):
    network = make_network()
    values = losses(network, make_batch(), ("fm", "mlp", "end", "match", "point"))
    sum(value for value in values.values() if value.ndim == 0).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("insulate", [False, True])
def test_insulation_stops_the_flow_gradient_before_the_backbone(make_network, make_batch, insulate):
    network = make_network(insulate=insulate)
    losses(network, make_batch(), ("fm",))["fm"].backward()
    behind = [*network.vision.parameters(), *network.backbone.parameters()]
    reached = [p for p in behind if p.grad is not None and p.grad.any()]
    assert bool(reached) is not insulate
    assert all(p.grad.any() for p in network.expert.readouts.parameters())


def test_insulation_leaves_the_other_losses_alone(make_network, make_batch):
    network = make_network(insulate=True)
    losses(network, make_batch(), ("mlp",))["mlp"].backward()
    assert network.backbone.layers[0].self_attn.q_proj.weight.grad.any()


def test_the_flow_loss_neither_sees_nor_counts_the_queries(network, make_batch):
    for texts in (("touch the red cube",), ("touch the red cube", "put the red cube in the bowl")):
        batch = make_batch(texts)
        alone = losses(network, batch, ("fm",))["fm_by_exit"]
        beside = losses(network, batch, ("fm", "mlp"))["fm_by_exit"]
        torch.testing.assert_close(alone, beside, rtol=1e-5, atol=1e-6)


def test_the_state_token_does_not_see_the_actions(network, make_batch):
    batch = make_batch()
    first = losses(network, batch, ("fm", "end"))
    other = dataclasses.replace(batch, actions_BHD=batch.actions_BHD + 1)
    second = losses(network, other, ("fm", "end"))
    assert torch.equal(first["end_by_exit"], second["end_by_exit"])
    assert not torch.equal(first["fm_by_exit"], second["fm_by_exit"])


def test_draws_do_not_see_each_other(make_network, make_batch):
    """Two draws in one pass cost what each costs alone."""
    network = make_network(flow_draws=2).requires_grad_(False)
    batch = make_batch()
    hidden, layout = network.prefix(
        batch.images_UVHWC.unbind(1), batch.text_ids_BT, batch.text_mask_BT, state_BD=None
    )
    half = network.backbone.keys_values(0, hidden, layout)
    noisy, tau = torch.randn(3, 2, 16, 8), torch.rand(3, 2)
    expert = network.expert
    state = expert.embed_state(batch.state_BD)

    def run(noisy, tau):
        suffix = expert.suffix(layout, noisy.shape[1])
        _, context = expert.state_layer(0, state, half, suffix, layout.prefix)
        return expert.action_layer(0, expert.embed_actions(noisy, tau), context, suffix)

    both = run(noisy, tau).unflatten(1, (2, 16))
    for draw in range(2):
        alone = run(noisy[:, draw : draw + 1], tau[:, draw : draw + 1])
        torch.testing.assert_close(both[:, draw], alone, rtol=1e-5, atol=1e-5)


def test_padded_text_changes_no_loss(network, make_batch, tokenizer):
    batch = make_batch(("touch the red cube",) * 2)
    ids, mask = tokenizer.encode(("touch the red cube",) * 2, length=12)
    padded = dataclasses.replace(batch, text_ids_BT=ids, text_mask_BT=mask)
    for name, value in losses(network, batch, ("fm", "mlp", "end", "match", "point")).items():
        other = losses(network, padded, ("fm", "mlp", "end", "match", "point"))[name]
        torch.testing.assert_close(value, other, rtol=1e-4, atol=1e-5, msg=name)


def test_invalid_rows_and_samples_do_not_count(network, make_batch):
    batch = make_batch()
    batch.row_weight_BH[0, 8:] = 0
    batch.action_valid_B[1] = False
    changed = dataclasses.replace(batch, actions_BHD=batch.actions_BHD.clone())
    changed.actions_BHD[0, 8:] = 7.0
    changed.actions_BHD[1] = -7.0
    assert losses(network, batch, ("mlp",))["mlp"] == losses(network, changed, ("mlp",))["mlp"]
    batch.action_valid_B[:] = False
    batch.end_valid_B[:] = False
    batch.points_valid_BV[:] = False
    values = losses(network, batch, ("fm", "mlp", "end", "match", "point"))
    batch.row_weight_BH[:] = 1
    assert all(float(value.sum()) == 0 for value in values.values())


@pytest.mark.parametrize("padded", [False, True])
def test_samples_that_share_an_image_cost_what_they_cost_alone(network, make_batch, padded):
    wanted = ("fm", "mlp", "end", "match", "point")
    texts = (TOUCH, BOWL if padded else TOUCH, TOUCH)
    shared = make_batch(texts, image_of=(0, 0, 1))
    images = shared.images_UVHWC[shared.image_of_B]
    apart = dataclasses.replace(shared, images_UVHWC=images, image_of_B=torch.arange(3))
    first, second = losses(network, shared, wanted), losses(network, apart, wanted)
    for name in wanted:
        torch.testing.assert_close(first[name], second[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("with_queries", [False, True])
def test_shared_images_are_the_plain_prefix(network, make_batch, with_queries):
    batch = make_batch((TOUCH, BOWL, TOUCH), image_of=(0, 0, 1))
    shared, layout = network.shared_prefix(batch, with_queries)
    plain, _ = network.prefix(
        batch.images_UVHWC[batch.image_of_B].unbind(1),
        batch.text_ids_BT,
        batch.text_mask_BT,
        state_BD=batch.state_BD if with_queries else None,
    )
    real = torch.ones(plain.shape[:2], dtype=torch.bool)
    real[:, : layout.prefix] = layout.key_valid_BN
    for block in range(network.config.backbone.layers):
        half = network.backbone.keys_values(block, plain, layout)
        plain = network.backbone.finish(block, half, layout)
        hidden = shared.finish(block, shared.keys_values(block))
        torch.testing.assert_close(hidden[real], plain[real], rtol=1e-5, atol=1e-5)


def test_all_that_decide_are_taught_to_point(make_network, make_batch):
    """The pointing loss alone reaches the state, the noisy actions and the queries."""
    network = make_network()
    losses(network, make_batch(), ("fm", "mlp", "point"))["point"].backward()
    for part in (
        network.expert.state_in,
        network.expert.action_in,
        network.query_head.state_in,
        network.backbone.embed_tokens,
        network.vision.tower,
    ):
        assert all(p.grad is not None and p.grad.any() for p in part.parameters()), part


def test_a_look_is_the_attention_of_the_layer(network, make_batch):
    """What is supervised is what the expert's layer does, by its own definition."""
    batch = make_batch((TOUCH, TOUCH))
    hidden, layout = network.prefix(
        batch.images_UVHWC.unbind(1), batch.text_ids_BT, batch.text_mask_BT, state_BD=None
    )
    half = network.backbone.keys_values(0, hidden, layout)
    expert = network.expert
    suffix = expert.suffix(layout)
    state = expert.embed_state(batch.state_BD)
    _, context = expert.state_layer(0, state, half, suffix, layout.prefix)
    look = expert.looks(0, state, suffix.state_rope, context, suffix.state_mask).exp()
    torch.testing.assert_close(look.sum(-1), torch.ones(2, 1))
    attention = expert.layers[0].self_attn
    query = attention.q_norm(attention.q_proj(expert.layers[0].input_layernorm(state))[..., :32])
    turned = suffix.state_rope.turn(query[:, None])
    scores = (turned * context.key[:, :1]).sum(-1)[:, 0] * 32**-0.5
    torch.testing.assert_close(look[:, 0], scores.softmax(-1), rtol=1e-4, atol=1e-6)


def test_the_point_target_is_bilinear(network):
    camera = network.config.cameras[0]
    points = torch.tensor([[0.5, 0.5], [0.31, 0.77], [0.0, 1.0]])
    target = point_target(points, camera).unflatten(1, (8, 8))
    centres = (torch.arange(8) + 0.5) / 8
    torch.testing.assert_close(target.sum((1, 2)), torch.ones(3))
    x, y = (target.sum(1) * centres).sum(-1), (target.sum(2) * centres).sum(-1)
    inside = points.clamp(1 / 16, 15 / 16)
    torch.testing.assert_close(torch.stack((x, y), dim=-1), inside)


def test_unknown_losses_are_refused(network, make_batch):
    with pytest.raises(ValueError, match="speed"):
        losses(network, make_batch(), ("speed",))
