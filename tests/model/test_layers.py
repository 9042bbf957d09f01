"""Blocks stepped in halves are the layers of `transformers`, bit for bit."""

import pytest
import torch
from transformers.models.qwen2.modeling_qwen2 import Qwen2Model

from a1_model.backbone import qwen2_config
from a1_model.blocks import finish, keys_values
from a1_model.expert import Context


@pytest.fixture
def reference(network):
    model = Qwen2Model(qwen2_config(network.config.backbone)).eval().requires_grad_(False)
    model.layers.load_state_dict(network.backbone.layers.state_dict())
    return model


@pytest.mark.parametrize("padded", [False, True])
def test_stepping_equals_the_full_forward(network, reference, make_batch, padded):
    texts = ("touch the red cube", "put the green cube in the bowl")[: 2 if padded else 1]
    batch = make_batch(texts)
    hidden, layout = network.prefix(
        batch.images_UVHWC.unbind(1), batch.text_ids_BT, batch.text_mask_BT, state_BD=None
    )
    image_mask = torch.ones(len(texts), network.config.image_tokens, dtype=torch.bool)
    whole = reference(
        inputs_embeds=hidden,
        attention_mask=torch.cat((image_mask, batch.text_mask_BT), dim=1).long(),
        output_hidden_states=True,
        use_cache=False,
    )
    valid = torch.cat((image_mask, batch.text_mask_BT), dim=1)
    blocks = network.config.backbone.layers
    for block in range(blocks):
        half = network.backbone.keys_values(block, hidden, layout)
        hidden = network.backbone.finish(block, half, layout)
        # The model's last hidden state comes after its final norm.
        ours = reference.norm(hidden) if block == blocks - 1 else hidden
        assert torch.equal(ours[valid], whole.hidden_states[block + 1][valid])


class PastThenOwn:
    """Stands where a cache would: hands out the past and the layer's own, keeps nothing."""

    def __init__(self, context):
        self._context = context

    def update(self, key, value, layer_idx):
        return (
            torch.cat((self._context.key, key), dim=2),
            torch.cat((self._context.value, value), dim=2),
        )


def test_expert_layers_equal_the_qwen3_layer_with_a_past(network, make_batch):
    batch = make_batch(("touch the red cube",))
    hidden, layout = network.prefix(
        batch.images_UVHWC.unbind(1), batch.text_ids_BT, batch.text_mask_BT, state_BD=None
    )
    half = network.backbone.keys_values(0, hidden, layout)
    suffix = network.expert.suffix(layout)
    state = network.expert.embed_state(batch.state_BD)
    _, context = network.expert.state_layer(0, state, half, suffix, layout.prefix)
    tokens = network.expert.embed_actions(torch.randn(1, 1, 16, 8), torch.zeros(1, 1))
    everything = torch.zeros(1, 1, 16, context.key.shape[2] + 16)
    whole = network.expert.layers[0](
        tokens,
        attention_mask=everything,
        past_key_values=PastThenOwn(context),
        position_embeddings=(suffix.action_rope.cos[0], suffix.action_rope.sin[0]),
    )
    ours = network.expert.action_layer(0, tokens, context, suffix)
    torch.testing.assert_close(ours, whole, rtol=1e-5, atol=1e-5)
    layer = network.expert.layers[0]
    own = keys_values(layer, tokens, suffix.action_rope)
    with_mask = finish(
        layer,
        own,
        suffix.action_rope,
        key=torch.cat((context.key, own.key_BGNd), dim=2),
        value=torch.cat((context.value, own.value_BGNd), dim=2),
        mask=everything,
    )
    assert torch.equal(with_mask, whole)


def test_the_suffix_starts_after_the_valid_tokens(network, make_batch):
    batch = make_batch()
    _, layout = network.prefix(
        batch.images_UVHWC.unbind(1), batch.text_ids_BT, batch.text_mask_BT, state_BD=None
    )
    suffix = network.expert.suffix(layout)
    table = network.expert.rope
    for sample, valid in enumerate(80 + batch.text_mask_BT.sum(-1)):
        assert torch.equal(suffix.state_rope.cos[sample, 0, 0], table.cos[valid])
        assert torch.equal(suffix.action_rope.cos[sample, 0, -1], table.cos[valid + 16])


def test_the_expert_writes_nothing_into_the_prefix(network, make_batch):
    batch = make_batch(("touch the red cube",))
    hidden, layout = network.prefix(
        batch.images_UVHWC.unbind(1), batch.text_ids_BT, batch.text_mask_BT, state_BD=None
    )
    half = network.backbone.keys_values(0, hidden, layout)
    before = half.key_BGNd.clone(), half.value_BGNd.clone()
    suffix = network.expert.suffix(layout)
    state = network.expert.embed_state(batch.state_BD)
    _, context = network.expert.state_layer(0, state, half, suffix, layout.prefix)
    kept = Context(context.key.clone(), context.value.clone())
    tokens = network.expert.embed_actions(torch.randn(1, 1, 16, 8), torch.zeros(1, 1))
    network.expert.action_layer(0, tokens, context, suffix)
    assert torch.equal(half.key_BGNd, before[0]) and torch.equal(half.value_BGNd, before[1])
    assert torch.equal(context.key, kept.key) and torch.equal(context.value, kept.value)
    assert half.key_BGNd.shape[2] == layout.prefix
