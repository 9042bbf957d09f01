"""Molmo sees and reads here as it does there, or is refused with the reason."""

import dataclasses

import published as pub
import published_equations as eq
import pytest
import torch
from conversion_rig import TEXT, TEXT_IDS, TIGHT, image, observe

from a1_core.errors import CheckpointError
from a1_model.checkpoint import grow_network, load_checkpoint
from a1_model.molmo_layout import convert_molmo


@pytest.mark.parametrize("size", [(56, 56), (40, 56), (30, 100)])
def test_molmo_sees_and_reads_as_it_did(converted, tmp_path, molmo, size):
    """Squares, images padded in part of a patch, and images with patches of padding alone."""
    spec = pub.robot(cameras=("front", "wrist"))
    network = converted("molmo", pub.write_molmo(tmp_path / "molmo", molmo, shards=3), spec)
    observation = observe(("front", "wrist"), size)
    shown = [
        eq.image_tokens(image(observation, camera), molmo, "model.")
        for camera in ("front", "wrist")
    ]
    x = eq.prefix_inputs(shown, TEXT_IDS, molmo, "model.")
    hidden, _ = eq.decode(x, torch.ones(len(x), len(x)).tril().bool(), molmo, "model.")
    ids, mask = torch.tensor([TEXT_IDS]), torch.ones(1, len(TEXT_IDS), dtype=torch.bool)
    images = [image(observation, camera)[None] for camera in ("front", "wrist")]
    ours, layout = network.prefix(images, ids, mask, state_BD=None)
    torch.testing.assert_close(ours[0], x, **TIGHT)
    for block in range(pub.LAYERS):
        half = network.backbone.keys_values(block, ours, layout)
        ours = network.backbone.finish(block, half, layout)
        torch.testing.assert_close(ours[0], hidden[block + 1], **TIGHT)


def test_molmo_reads_its_own_prompt(tmp_path, molmo):
    source = pub.write_molmo(tmp_path / "molmo", molmo)
    ids, _ = convert_molmo(source, pub.robot()).tokenizer.encode([TEXT])
    assert ids[0].tolist() == TEXT_IDS


def test_molmo_has_no_head_and_can_be_trained(converted, tmp_path, molmo):
    spec = pub.robot()
    converted("molmo", pub.write_molmo(tmp_path / "molmo", molmo), spec)
    with pytest.raises(CheckpointError, match=r"no action head fm.*trained first"):
        load_checkpoint(tmp_path / "ours", spec)
    config = convert_molmo(tmp_path / "molmo", spec).config
    assert config.parts == ()
    network = grow_network(
        tmp_path / "ours", dataclasses.replace(config, parts=("fm", "mlp", "end"))
    )
    stored = torch.cat(
        (molmo["model.transformer.wte.embedding"], molmo["model.transformer.wte.new_embedding"])
    )
    assert torch.equal(network.backbone.embed_tokens.weight, stored)
    assert network.expert.layers[0].self_attn.q_proj.weight.requires_grad
    wider = dataclasses.replace(config.backbone, ffn=100)
    with pytest.raises(CheckpointError, match=r"mlp.*the network to train has"):
        grow_network(tmp_path / "ours", dataclasses.replace(config, backbone=wider))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "tokenizer.json: .*give the tokenizer.json"),
        ("{}", "tokenizer.json: model.vocab: missing"),
        (pub.tokenizer_json().replace("<|endoftext|>", "</s>"), "<|endoftext|>: id None, expected"),
        (None, "tokenizer.json: .*No such file"),
    ],
)
def test_another_tokenizer_is_refused(tmp_path, molmo, content, message):
    source = pub.write_molmo(tmp_path / "molmo", molmo)
    (source / "tokenizer.json").unlink()
    if content is not None:
        (source / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=message.replace("|", r"\|")):
        convert_molmo(source, pub.robot())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm_after": True}, "norm_after: True; norms come before"),
        ({"attention_layer_norm": True}, "attention_layer_norm: True"),
        ({"qkv_bias": False}, "qkv_bias: False"),
        ({"clip_qkv": 8.0}, "clip_qkv: 8.0"),
        ({"embedding_size": 64}, "embedding_size: 64"),
        ({"hidden_size": "64"}, "hidden_size: '64'.*positive whole number"),
    ],
)
def test_another_molmo_is_refused(tmp_path, molmo, changes, message):
    source = pub.write_molmo(tmp_path / "molmo", molmo, **changes)
    with pytest.raises(CheckpointError, match=f"config.json: {message}"):
        convert_molmo(source, pub.robot())


def drop(name):
    return lambda t: t.pop(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            drop("model.transformer.blocks.1.att_proj.bias"),
            r"1 missing tensors: model.transformer.blocks.1.att_proj.bias \(128,\)",
        ),
        (
            lambda t: t.update({"model.adapter": torch.zeros(3)}),
            r"1 unknown tensors: model.adapter \(3,\)",
        ),
        (
            lambda t: t.update({"model.transformer.blocks.0.ff_out.weight": torch.zeros(64, 95)}),
            r"ff_out.weight: found \(64, 95\) float32, expected \(64, 96\)",
        ),
        (
            lambda t: t.update(
                {"model.vision_backbone.pad_embed": torch.zeros(2, 256, dtype=torch.int64)}
            ),
            r"pad_embed: found \(2, 256\) int64, expected \(2, 256\) floating",
        ),
        (
            lambda t: t["model.transformer.blocks.3.attn_out.weight"].fill_(float("nan")),
            "blocks.3.attn_out.weight: has values that are not finite",
        ),
        (
            drop("model.vision_backbone.image_vit.positional_embedding"),
            "positional_embedding: found none, expected a tensor of 2 dimensions",
        ),
    ],
)
def test_wrong_molmo_tensors_are_refused(tmp_path, change, message):
    tensors = pub.molmo_tensors("model.")
    change(tensors)
    source = pub.write_molmo(tmp_path / "molmo", tensors)
    with pytest.raises(CheckpointError, match=message):
        convert_molmo(source, pub.robot()).write(tmp_path / "ours", pub.robot())
    assert not (tmp_path / "ours").exists()


def test_what_is_left_out_is_said(tmp_path, molmo):
    left_out = convert_molmo(pub.write_molmo(tmp_path / "molmo", molmo), pub.robot()).left_out
    assert "model.transformer.ff_out.weight" in left_out
    # The connector reads blocks 8 and 1 of 10; the tenth is computed for nothing.
    blocks = {name.split("resblocks.")[1].split(".")[0] for name in left_out if "resblocks" in name}
    assert blocks == {"9"}
