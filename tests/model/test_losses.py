"""Training: who sees whom, and where gradients go."""

import dataclasses

import pytest
import torch

from a1_model.config import PARTS
from a1_model.draws import Totals, make_draws
from a1_model.heads import point_target
from a1_model.losses import losses_of, training_losses

TOUCH, BOWL = "touch the red cube", "put the green cube in the bowl"


EVERY = ("fm", "mlp", "end", "match", "point", "fast")


@pytest.fixture
def with_tokens(make_batch):
    def make(*arguments, seed=0, **named):
        batch = make_batch(*arguments, **named)
        generator = torch.Generator().manual_seed(seed)
        shape = (len(batch.state_BD), 6)
        lengths = torch.arange(len(batch.state_BD)) % 3 + 4
        return dataclasses.replace(
            batch,
            fast_ids_BA=torch.randint(1, 20, shape, generator=generator),
            fast_mask_BA=torch.arange(6) < lengths[:, None],
        )

    return make


@pytest.fixture
def make_insulated(make_network):
    """A network with action tokens."""

    def make(**changes):
        return make_network(parts=(*PARTS, "fast"), fast_vocab=20, **changes)

    return make


def losses(network, batch, wanted):
    return training_losses(network, batch, torch.Generator().manual_seed(5), wanted)


def test_gradients_reach_every_parameter(make_network, make_batch):
    network = make_network()
    values = losses(network, make_batch(), ("fm", "mlp", "end", "match", "point"))
    sum(value for value in values.values() if value.ndim == 0).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def backbone_gradients(network, batch, wanted):
    """Of everything behind the expert, and whether the expert itself got one."""
    network.zero_grad(set_to_none=True)
    values = losses(network, batch, wanted)
    torch.stack([values[name] for name in wanted]).sum().backward()
    behind = [*network.vision.parameters(), *network.backbone.parameters()]
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in behind]


@pytest.mark.parametrize("objective", ["all_exits", "random_exit"])
@pytest.mark.parametrize("wanted", [("fm",), ("fm", "end"), ("end",), ("fm", "end", "point")])
def test_the_experts_loss_leaves_the_backbones_gradient_exactly_zero(
    make_insulated, with_tokens, wanted, objective
):
    """With "point", only what is taught to the backbone itself may reach it."""
    for insulate in (False, True):
        network = make_insulated(insulate=insulate)
        batch, generator = with_tokens(), torch.Generator().manual_seed(3)
        values = training_losses(network, batch, generator, wanted, objective)
        torch.stack([values[name] for name in wanted if name != "point"]).sum().backward()
        behind = [*network.vision.parameters(), *network.backbone.parameters()]
        reached = [p for p in behind if p.grad is not None and p.grad.any()]
        assert bool(reached) is not insulate
        assert any(p.grad is not None and p.grad.any() for p in network.expert.parameters())


def test_with_insulation_the_backbone_learns_from_the_tokens_alone(make_insulated, with_tokens):
    """Bit for bit: the flow-matching loss beside the tokens changes nothing behind the expert."""
    network, batch = make_insulated(insulate=True), with_tokens()
    alone = backbone_gradients(network, batch, ("fast",))
    beside = backbone_gradients(network, batch, ("fast", "fm", "end"))
    assert any(gradient.any() for gradient in alone)
    assert all(torch.equal(a, b) for a, b in zip(alone, beside, strict=True))
    open_network = make_insulated(insulate=False)
    joint = backbone_gradients(open_network, batch, ("fast", "fm", "end"))
    assert not all(torch.equal(a, b) for a, b in zip(alone, joint, strict=True))


def test_action_tokens_and_continuous_actions_do_not_see_each_other(make_insulated, with_tokens):
    network, batch = make_insulated().requires_grad_(False), with_tokens()
    first = losses(network, batch, ("fm", "mlp", "fast"))
    other_ids = dataclasses.replace(batch, fast_ids_BA=(batch.fast_ids_BA + 1) % 20)
    second = losses(network, other_ids, ("fm", "mlp", "fast"))
    for name in ("fm", "mlp"):
        assert torch.equal(first[f"{name}_by_exit"], second[f"{name}_by_exit"])
    assert not torch.equal(first["fast_by_exit"], second["fast_by_exit"])
    other_actions = dataclasses.replace(batch, actions_BHD=batch.actions_BHD + 1)
    third = losses(network, other_actions, ("fm", "mlp", "fast"))
    assert torch.equal(first["fast_by_exit"], third["fast_by_exit"])
    assert not torch.equal(first["fm_by_exit"], third["fm_by_exit"])


@pytest.mark.parametrize("others", [("fm",), ("mlp",), ("fm", "mlp", "end", "match", "point")])
def test_the_tokens_lane_changes_no_other_loss(make_insulated, with_tokens, others):
    network, batch = make_insulated().requires_grad_(False), with_tokens((TOUCH, TOUCH))
    alone = losses(network, batch, others)
    beside = losses(network, batch, (*others, "fast"))
    for name in others:
        torch.testing.assert_close(alone[name], beside[name], rtol=1e-5, atol=1e-6, msg=name)


def test_a_token_is_predicted_from_those_before_it(make_insulated, with_tokens):
    """The loss of the first token, by the definition: state in, token out, later ones unseen."""
    network = make_insulated().requires_grad_(False)
    batch = with_tokens()
    batch.fast_mask_BA[:] = False
    batch.fast_mask_BA[:, 0] = True
    first = losses(network, batch, ("fast",))["fast_by_exit"]
    later = batch.fast_ids_BA.clone()
    later[:, 1:] = 1
    changed = dataclasses.replace(batch, fast_ids_BA=later)
    assert torch.equal(losses(network, changed, ("fast",))["fast_by_exit"], first)
    batch.fast_mask_BA[:, 0], batch.fast_mask_BA[:, 3] = False, True
    fourth = losses(network, batch, ("fast",))["fast_by_exit"]
    seen = dataclasses.replace(batch, fast_ids_BA=batch.fast_ids_BA.clone())
    seen.fast_ids_BA[:, 1] = (seen.fast_ids_BA[:, 1] + 1) % 20
    assert not torch.equal(losses(network, seen, ("fast",))["fast_by_exit"], fourth)


def test_a_random_exit_costs_what_it_costs_among_all(make_insulated, with_tokens):
    network, batch = make_insulated().requires_grad_(False), with_tokens()
    everywhere = losses(network, batch, EVERY)
    met = set()
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        draws = make_draws(network.config, 3, Totals.of(batch), generator, EVERY, "random_exit")
        (number,) = draws.exits
        met.add(number)
        same_noise = make_draws(
            network.config, 3, Totals.of(batch), torch.Generator().manual_seed(5), EVERY
        )
        if seed < 3:
            one = losses_of(network, batch, dataclasses.replace(same_noise, exits=(number,)), EVERY)
            for name in EVERY:
                torch.testing.assert_close(one[name], everywhere[f"{name}_by_exit"][number])
    assert len(met) > 3


@pytest.mark.parametrize("objective", ["all_exits", "random_exit"])
def test_parts_of_a_batch_add_up_to_its_gradient(make_insulated, with_tokens, objective):
    """What accumulation and several processes stand on; the parts are as unequal as can be."""
    network = make_insulated()
    batch = with_tokens((TOUCH, BOWL, TOUCH, BOWL, TOUCH), image_of=(0, 0, 0, 1, 2))
    batch.action_valid_B[1] = False
    batch.points_valid_BOV[3] = False
    batch.row_weight_BH[0] = 0.3
    totals = Totals.of(batch)
    draws = make_draws(
        network.config, 5, totals, torch.Generator().manual_seed(1), EVERY, objective
    )

    def gradient(parts):
        network.zero_grad(set_to_none=True)
        said = dict.fromkeys(EVERY, 0.0)
        for part, rows in parts:
            values = losses_of(network, part, draws.of_samples(rows), EVERY)
            torch.stack([values[name] for name in EVERY]).sum().backward()
            said = {name: said[name] + float(values[name].detach()) for name in EVERY}
        grads = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        return torch.cat(grads), said

    whole, said = gradient([(batch, slice(None))])
    cut, summed = gradient([batch.of_images(0, 1), batch.of_images(1, 2), batch.of_images(2, 3)])
    assert float((cut - whole).norm() / whole.norm()) < 1e-4
    assert summed == pytest.approx(said, rel=1e-4)


def test_a_backbone_that_is_not_causal_trains_the_queries_alone(make_network, make_batch):
    backbone = dataclasses.replace(make_network().config.backbone, causal=False)
    network = make_network(backbone=backbone)
    batch = make_batch((TOUCH, BOWL, TOUCH), image_of=(0, 0, 1))
    with pytest.raises(ValueError, match="only the loss mlp"):
        losses(network, batch, ("fm", "mlp"))
    value = losses(network, batch, ("mlp",))
    value["mlp"].backward()
    assert network.vision.positions[0].grad.any()
    hidden, layout = network.prefix(
        batch.images_UVHWC[batch.image_of_B].unbind(1),
        batch.text_ids_BT,
        batch.text_mask_BT,
        state_BD=batch.state_BD,
    )
    for block in range(2):
        half = network.backbone.keys_values(block, hidden, layout)
        hidden = network.backbone.finish(block, half, layout)
    actions = network.query_head.actions(0, hidden[:, layout.prefix :])
    expected = (actions - batch.actions_BHD).abs().mean()
    torch.testing.assert_close(value["mlp_by_exit"][0], expected.detach(), rtol=1e-4, atol=1e-5)


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
    batch.points_valid_BOV[:] = False
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


def test_matching_is_the_cross_entropy_of_both_objects_in_every_camera(network, make_batch):
    """Mean over the cameras and the samples that see an object, sum over the objects."""
    batch = make_batch((TOUCH, BOWL, TOUCH))
    batch.points_valid_BOV[1, 1] = False
    batch.points_valid_BOV[2, 0, 1] = False
    prefix, layout = network.shared_prefix(batch, with_queries=False)
    expected = []
    for block in range(network.config.backbone.layers):
        hidden = prefix.finish(block, prefix.keys_values(block))
        if block not in network.config.exits:
            continue
        shares = network.point_head.matches(
            network.config.exits.index(block), hidden, layout.valid_B
        )
        for item in range(2):
            for view, camera in enumerate(network.config.cameras):
                target = point_target(batch.points_BOV2[:, item, view], camera)
                entropy = -(target * shares[item][view]).sum(-1)
                expected.append(entropy[batch.points_valid_BOV[:, item, view]].mean() / 2)
    found = losses(network, batch, ("match",))["match"]
    torch.testing.assert_close(found, torch.stack(expected).sum() / len(network.config.exits))


@pytest.mark.parametrize(("item", "view", "head"), [(0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, None)])
def test_an_object_is_looked_at_by_a_head_of_its_own(make_network, make_batch, item, view, head):
    """Of three: the named object in both cameras, what it goes to in the first."""
    network, batch = make_network(), make_batch((TOUCH, BOWL))
    batch.points_valid_BOV[:] = False
    batch.points_valid_BOV[:, item, view] = True
    for readouts in network.point_head.pixel.values():
        for readout in readouts:
            torch.nn.init.zeros_(readout[1].weight)
    losses(network, batch, ("point",))["point"].backward()
    # Nothing but its own looks depends on the queries of the last block.
    weight = network.backbone.layers[-1].self_attn.q_proj.weight
    moved = weight.grad.unflatten(0, (3, -1)).abs().sum((1, 2)) > 0
    assert moved.tolist() == [number == head for number in range(3)]


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
