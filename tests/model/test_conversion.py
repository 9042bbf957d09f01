"""Published weights act here as they do there, or are refused with the reason."""

import dataclasses
import json
import os
import re

import numpy as np
import published as pub
import pytest
import torch

from a1_core.errors import A1Error, CheckpointError
from a1_core.observation import Observation
from a1_core.policy import ExitSetting
from a1_model.a1_layout import A1Choices, convert_a1
from a1_model.checkpoint import grow_network, load_checkpoint
from a1_model.molmo_layout import convert_molmo
from a1_model.noise import tick_noise
from a1_model.weights import WeightFiles

STAMP = 1_000_000_000
TEXT = "touch the red cube"
TEXT_IDS = [pub.WORDS.index(w) for w in ["User", ":", *TEXT.split(), "Assistant", ":"]]
ACTION = pub.WORDS.index("Action")
TIGHT = {"rtol": 2e-4, "atol": 2e-4}
STATISTICS = {
    "libero": {
        "action": {
            "q01": [-1.0, -0.5, 0.1, 0.0],
            "q99": [0.5, 0.5, 0.3, 1.0],
            "min": [-2.0] * 4,
            "max": [2.0] * 4,
            "mean": [0.1] * 4,
            "std": [0.3] * 4,
            "mask": [True, True, True, False],
        },
        "proprio": {
            "q01": [-0.2, -0.5, 0.0, -1.0],
            "q99": [0.2, 0.5, 0.5, 1.0],
            "min": [-3.0] * 4,
            "max": [3.0] * 4,
            "mean": [0.0] * 4,
            "std": [1.0] * 4,
        },
    }
}


def observe(cameras=("front",), size=(40, 56), seed=0):
    random = np.random.default_rng(seed)
    return Observation(
        stamp_ns=STAMP,
        images={name: random.integers(0, 256, (*size, 3), dtype=np.uint8) for name in cameras},
        state_D=random.uniform(-1, 1, 4).astype(np.float32),
        instruction=TEXT,
    )


def image(observation, camera="front"):
    return torch.from_numpy(observation.images[camera])


@pytest.fixture(scope="module")
def molmo():
    return pub.molmo_tensors("model.")


@pytest.fixture(scope="module")
def flow():
    return pub.molmo_tensors("") | pub.flow_tensors()


@pytest.fixture
def converted(tmp_path):
    """Converts, writes and loads; further arguments go to the converter."""

    def make(kind, source, spec, *arguments, **options):
        convert = {"molmo": convert_molmo, "a1": convert_a1}[kind]
        conversion = convert(source, spec, *arguments, **options)
        conversion.write(tmp_path / "ours", spec)
        if kind == "molmo":
            return grow_network(tmp_path / "ours", conversion.config).eval()
        return load_checkpoint(tmp_path / "ours", spec).policy

    return make


# --- Molmo


@pytest.mark.parametrize("size", [(56, 56), (40, 56), (30, 100)])
def test_molmo_sees_and_reads_as_it_did(converted, tmp_path, molmo, size):
    """Squares, images padded in part of a patch, and images with patches of padding alone."""
    spec = pub.robot(cameras=("front", "wrist"))
    network = converted("molmo", pub.write_molmo(tmp_path / "molmo", molmo, shards=3), spec)
    observation = observe(("front", "wrist"), size)
    shown = [
        pub.image_tokens(image(observation, camera), molmo, "model.")
        for camera in ("front", "wrist")
    ]
    x = pub.prefix_inputs(shown, TEXT_IDS, molmo, "model.")
    hidden, _ = pub.decode(x, torch.ones(len(x), len(x)).tril().bool(), molmo, "model.")
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


# --- the public A1 code, flow matching


def reference_flow(observation, tensors, shown, noise, *, exit_block, steps=pub.STEPS):
    """Their loop: time runs from 1 down, the velocity points from the data to the noise."""
    x = pub.prefix_inputs(shown, [*TEXT_IDS, ACTION], tensors, "")
    valid = len(x)
    x, seen = pub.padded(x, pub.SEQUENCE)
    _, cache = pub.decode(x, seen, tensors, "")
    state = torch.zeros(pub.STATES)
    state[:4] = torch.from_numpy(normalised_state(observation))
    actions, time = noise.clone(), 1.0
    for _ in range(steps):
        field = pub.flow_field(actions, time, state, cache[: exit_block + 1], valid, tensors)
        actions = actions - field / steps
        time -= 1 / steps
    return denormalised(actions[:, :4].numpy())


def normalised_state(observation):
    bounds = STATISTICS["libero"]["proprio"]
    low, high = np.array(bounds["q01"]), np.array(bounds["q99"])
    return np.clip(2 * (observation.state_D - low) / (high - low + 1e-8) - 1, -1, 1)


def denormalised(actions):
    bounds = STATISTICS["libero"]["action"]
    low, high = np.array(bounds["q01"]), np.array(bounds["q99"])
    real = 0.5 * (actions + 1) * (high - low + 1e-8) + low
    return np.where(bounds["mask"], real, actions)


def act(policy, observation, block):
    return policy.act(observation, setting=ExitSetting(mode="fixed", fixed_exit=block)).actions_HD


def noise_of(policy, block):
    exits = policy.network.config.exits
    draws = tick_noise(0, STAMP, len(exits), pub.CHUNK, pub.ACTIONS)
    return torch.from_numpy(draws[exits.index(block)])


def test_a1_flow_acts_as_it_did_at_every_exit(converted, tmp_path, flow):
    source = pub.write_a1(tmp_path / "a1", flow, statistics=STATISTICS)
    policy = converted("a1", source, pub.robot(), A1Choices())
    config, observation = policy.network.config, observe()
    assert config.exits == (1, 3) and config.head == "fm" and config.parts == ("fm",)
    shown = [pub.image_tokens(image(observation), flow, "")]
    for block in config.exits:
        noise = noise_of(policy, block)
        wanted = reference_flow(observation, flow, shown, noise, exit_block=block)
        np.testing.assert_allclose(act(policy, observation, block), wanted, **TIGHT)
    # It says nothing about substeps.
    assert policy.act(observation, setting=ExitSetting(mode="full")).end_of_substep == 0.0


def test_the_other_flow_convention_turns_time_and_sign(converted, tmp_path, flow):
    """With tau = 0 noise their loop would be x += v(x, tau) / steps, tau from 0 up."""
    source = pub.write_a1(tmp_path / "a1", flow, statistics=STATISTICS)
    policy = converted("a1", source, pub.robot(), A1Choices(noise_time=0))
    observation = observe()
    x, seen = pub.padded(
        pub.prefix_inputs(
            [pub.image_tokens(image(observation), flow, "")], [*TEXT_IDS, ACTION], flow, ""
        ),
        pub.SEQUENCE,
    )
    valid = 1 + 8 + len(TEXT_IDS) + 1
    _, cache = pub.decode(x, seen, flow, "")
    state = torch.zeros(pub.STATES)
    state[:4] = torch.from_numpy(normalised_state(observation))
    actions = noise_of(policy, 3)
    for step in range(pub.STEPS):
        field = pub.flow_field(actions, step / pub.STEPS, state, cache, valid, flow)
        actions = actions + field / pub.STEPS
    wanted = denormalised(actions[:, :4].numpy())
    np.testing.assert_allclose(act(policy, observation, 3), wanted, **TIGHT)


@pytest.mark.parametrize("noise_time", [0, 1])
def test_one_euler_step_of_their_exact_field_lands_on_the_data(
    converted, tmp_path, flow, noise_time
):
    """Their target for the data `goal` and the noise of the tick is a constant: a bias."""
    observation = observe()
    goal = torch.linspace(-1, 1, pub.CHUNK * pub.ACTIONS).view(pub.CHUNK, pub.ACTIONS)
    goal = goal[:1].expand(pub.CHUNK, -1)
    tensors = dict(flow)
    tensors["action_head.action_out.fc2.weight"] = torch.zeros(pub.ACTIONS, pub.EXPERT)
    source = tmp_path / "a1"
    pub.write_a1(source, tensors, statistics=STATISTICS, num_diffusion_inference_steps=1)
    policy = converted("a1", source, pub.robot(), A1Choices(noise_time=noise_time))
    noise = noise_of(policy, 3)
    # The bias is one for all rows, so the goal is the same offset from every row's noise.
    bias = (noise - goal)[0] if noise_time == 1 else (goal - noise)[0]
    policy.network.expert.readout.linear_out.bias.copy_(bias)
    wanted = denormalised((noise + (goal - noise)[:1])[:, :4].numpy())
    np.testing.assert_allclose(act(policy, observation, 3), wanted, rtol=1e-5, atol=1e-5)


def test_two_crops_of_an_image(converted, tmp_path, flow):
    source = tmp_path / "a1"
    pub.write_a1(
        source,
        flow,
        statistics=STATISTICS,
        crop_mode="overlap-and-resize-c2",
        data={"sequence_length": 60},
    )
    policy = converted("a1", source, pub.robot(), A1Choices())
    observation = observe()
    shown = [
        pub.image_tokens(image(observation), flow, ""),
        pub.image_tokens(image(observation), flow, "", partial=True),
    ]
    x = pub.prefix_inputs(shown, [*TEXT_IDS, ACTION], flow, "")
    ids, mask = policy.tokenizer.encode([TEXT])
    ours, _ = policy.network.prefix([image(observation)[None]], ids, mask, state_BD=None)
    torch.testing.assert_close(ours[0], x, **TIGHT)
    assert policy.network.expert.first_position == 60


@pytest.mark.parametrize("cameras", ["own", "first"])
def test_several_cameras(converted, tmp_path, flow, cameras):
    """Each at its own tokens; or, as the public code has it, the last one at the first's."""
    names = ("front", "wrist")
    source = tmp_path / "a1"
    pub.write_a1(source, flow, statistics=STATISTICS, data={"use_wrist_image": True})
    with pytest.raises(CheckpointError, match=r"cameras: .*undefined; choose: own .* or first"):
        convert_a1(source, pub.robot(cameras=names), A1Choices())
    policy = converted("a1", source, pub.robot(cameras=names), A1Choices(cameras=cameras))
    observation = observe(names)
    front, wrist = (pub.image_tokens(image(observation, name), flow, "") for name in names)
    shown = [front, wrist] if cameras == "own" else [wrist, None]
    wanted = reference_flow(observation, flow, shown, noise_of(policy, 3), exit_block=3)
    np.testing.assert_allclose(act(policy, observation, 3), wanted, **TIGHT)


def test_an_expert_of_fewer_layers_ends_the_exits(converted, tmp_path):
    """Deeper exits of theirs run the same layers again."""
    tensors = pub.molmo_tensors("") | pub.flow_tensors(layers=3)
    source = tmp_path / "a1"
    pub.write_a1(source, tensors, statistics=STATISTICS, action_head_flow_matching_layers=3)
    policy = converted("a1", source, pub.robot(), A1Choices())
    observation = observe()
    assert policy.network.config.exits == (1, 2)
    shown = [pub.image_tokens(image(observation), tensors, "")]
    wanted = reference_flow(observation, tensors, shown, noise_of(policy, 2), exit_block=3)
    np.testing.assert_allclose(act(policy, observation, 2), wanted, **TIGHT)


def test_without_early_exit_only_the_full_depth_was_trained(tmp_path, flow):
    source = pub.write_a1(tmp_path / "a1", flow, statistics=STATISTICS, early_exit=False)
    assert convert_a1(source, pub.robot(), A1Choices()).config.exits == (3,)


def test_an_instruction_longer_than_their_sequence_is_refused(converted, tmp_path, flow):
    source = pub.write_a1(
        tmp_path / "a1", flow, statistics=STATISTICS, data={"sequence_length": 15}
    )
    policy = converted("a1", source, pub.robot(), A1Choices())
    with pytest.raises(A1Error, match="takes 15; shorten it"):
        act(policy, observe(), 3)


def test_converted_heads_do_not_train(converted, tmp_path, flow, make_batch):
    source = pub.write_a1(tmp_path / "a1", flow, statistics=STATISTICS)
    network = converted("a1", source, pub.robot(), A1Choices()).network
    with pytest.raises(ValueError, match=r"need the parts \['mlp'\]"):
        network.losses(make_batch(), None, ["mlp"])
    with pytest.raises(ValueError, match="do not train"):
        network.losses(make_batch(), None, ["fm"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block_type": "qwen"}, "model.block_type: 'qwen'"),
        ({"block_type": "moe"}, "model.block_type: 'moe'"),
        ({"crop_mode": "overlap-and-resize"}, "model.crop_mode: 'overlap-and-resize'"),
        ({"use_position_ids": False}, "model.use_position_ids: False; keys are rotated before"),
        ({"image_pooling_2d": "stack"}, "model.image_pooling_2d: 'stack'"),
        ({"image_projector": "linear"}, "model.image_projector: 'linear'"),
        ({"image_padding_embed": "regress"}, "model.image_padding_embed: 'regress'"),
        ({"action_head": "diffusion"}, "model.action_head: 'diffusion'"),
        ({"num_actions_chunk": 9}, "model.num_actions_chunk: 9, the robot spec arm.yaml has"),
        ({"system_prompt_kind": "style_and_length"}, "model.system_prompt_kind.*by chance"),
        ({"use_proprio": False}, "model.use_proprio: False"),
        ({"vit_layers": [-11]}, r"model.vit_layers: \[-11\]; the tower has 10 blocks"),
        (
            {"action_head_flow_matching_dim": 112, "action_head_flow_matching_heads": 8},
            # The tensors say 96 = 6 heads of 16, so the sizes are what does not fit.
            r"action_head.action_in_proj.bias: found \(96,\) float32, expected \(112,\)",
        ),
    ],
)
def test_another_a1_is_refused(tmp_path, flow, changes, message):
    source = pub.write_a1(tmp_path / "a1", flow, statistics=STATISTICS, **changes)
    with pytest.raises(CheckpointError, match=message):
        convert_a1(source, pub.robot(), A1Choices()).write(tmp_path / "ours", pub.robot())


def test_a_tower_that_is_not_clip_is_refused(tmp_path, flow):
    source = pub.write_a1(tmp_path / "a1", flow, statistics=STATISTICS)
    path = source / "config.yaml"
    path.write_text(
        path.read_text().replace("image_model_type: openai", "image_model_type: siglip")
    )
    with pytest.raises(CheckpointError, match=r"vision_backbone.image_model_type: 'siglip'"):
        convert_a1(source, pub.robot(), A1Choices())


def test_code_in_a_pickle_does_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    source = pub.write_a1(tmp_path / "a1", {"evil": Evil()}, statistics=STATISTICS)
    with pytest.raises(CheckpointError, match=r"model.pt: .*expected a file of torch.save"):
        convert_a1(source, pub.robot(), A1Choices())
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_a_file_that_holds_no_tensors_is_refused(tmp_path, flow, content):
    source = pub.write_a1(tmp_path / "a1", flow, statistics=STATISTICS)
    (source / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model.pt: .*expected a file of torch.save"):
        convert_a1(source, pub.robot(), A1Choices())


def test_wrapped_and_nested_names_are_found(tmp_path, flow):
    wrapper = r"\1_fsdp_wrapped_module."
    wrapped = {re.sub(r"(blocks\.\d+\.)", wrapper, name): value for name, value in flow.items()}
    nested = {"model": {f"_fsdp_wrapped_module.{name}": value for name, value in wrapped.items()}}
    source = pub.write_a1(tmp_path / "a1", nested, statistics=STATISTICS)
    conversion = convert_a1(source, pub.robot(), A1Choices())
    conversion.weights.check(conversion.plan)


@pytest.mark.parametrize(
    ("choices", "state", "actions"),
    [
        (
            {"normalisation": "bounds"},
            lambda x: (x + 3) / (6 + 1e-8) * 2 - 1,
            lambda a: (a + 1) / 2 * (4 + 1e-8) - 2,
        ),
        (
            {"normalisation": "normal"},
            lambda x: x / (1 + 1e-8),
            lambda a: a * (0.3 + 1e-8) + 0.1,
        ),
        ({"normalisation": "none"}, lambda x: x, lambda a: a),
    ],
)
def test_statistics(tmp_path, flow, choices, state, actions):
    source = pub.write_a1(tmp_path / "a1", flow, statistics=STATISTICS)
    conversion = convert_a1(source, pub.robot(), A1Choices(**choices))
    values = np.linspace(-1, 1, 4)
    np.testing.assert_allclose(conversion.normaliser.encode_state(values), state(values))
    expected = actions(values)
    if choices["normalisation"] != "none":
        expected[3] = values[3]  # masked
    np.testing.assert_allclose(conversion.normaliser.decode_actions(values), expected)
    clipped = conversion.config.expert.released.clip_state
    assert clipped is (choices["normalisation"] == "bounds")


def test_a_dimension_that_never_moved_stays_where_it_was(tmp_path, flow):
    statistics = json.loads(json.dumps(STATISTICS))
    statistics["libero"]["action"] |= {"q01": [0.7] * 4, "q99": [0.7] * 4}
    source = pub.write_a1(tmp_path / "a1", flow, statistics=statistics)
    normaliser = convert_a1(source, pub.robot(), A1Choices()).normaliser
    np.testing.assert_allclose(normaliser.decode_actions(np.full(4, 3.0))[:3], 0.7, atol=1e-7)


def test_a_robot_of_more_dimensions_is_refused(tmp_path, flow):
    source = pub.write_a1(tmp_path / "a1", flow)
    with pytest.raises(CheckpointError, match=r"config.yaml: expert.released: .* less than dim 8"):
        convert_a1(source, pub.robot(dim=8), A1Choices(normalisation="none"))


def test_statistics_of_another_robot_are_refused(tmp_path, flow):
    source = pub.write_a1(tmp_path / "a1", flow, statistics=STATISTICS)
    with pytest.raises(CheckpointError, match=r"q01: .*the robot has 3 dimensions"):
        convert_a1(source, pub.robot(dim=3), A1Choices())
    (source / "dataset_statistics.json").write_text(json.dumps({"a": {}, "b": {}}))
    with pytest.raises(CheckpointError, match=r"holds \['a', 'b'\]; choose one"):
        convert_a1(source, pub.robot(), A1Choices())
    (source / "dataset_statistics.json").unlink()
    with pytest.raises(CheckpointError, match=r"dataset_statistics.json: .*normalisation none"):
        convert_a1(source, pub.robot(), A1Choices())


# --- the public A1 code, MLP


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
    x = pub.prefix_inputs(
        [pub.image_tokens(image(observation), mlp, "")], [*TEXT_IDS, ACTION], mlp, ""
    )
    state = torch.zeros(pub.STATES)
    state[:4] = torch.from_numpy(normalised_state(observation))
    for block in exits:
        # Hidden state number b + 1 is the one after block b.
        theirs = pub.mlp_actions(x, state, mlp, 7, 8, block + 1, causal=causal)
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
    x = pub.prefix_inputs(
        [pub.image_tokens(image(observation), tensors, "")], [*TEXT_IDS, ACTION], tensors, ""
    )
    state = torch.zeros(pub.STATES)
    state[:4] = torch.from_numpy(normalised_state(observation))
    theirs = pub.mlp_actions(x, state, tensors, 8, 4, 0, causal=False, final=True)
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


# --- types and files


def test_half_precision_is_kept_and_shards_are_written(tmp_path, flow):
    half = {name: value.to(torch.bfloat16) for name, value in flow.items()}
    source = pub.write_a1(tmp_path / "a1", half, statistics=STATISTICS)
    conversion = convert_a1(source, pub.robot(), A1Choices())
    conversion.write(tmp_path / "ours", pub.robot(), shard_bytes=100_000)
    files = WeightFiles.find(tmp_path / "ours")
    assert len(set(files.file_of.values())) > 5
    loaded = load_checkpoint(tmp_path / "ours", pub.robot())
    assert {p.dtype for p in loaded.network.parameters()} == {torch.bfloat16}
    wide = load_checkpoint(tmp_path / "ours", pub.robot(), dtype=torch.float32)
    observation = observe()
    np.testing.assert_allclose(
        act(loaded.policy, observation, 3), act(wide.policy, observation, 3), atol=0.1
    )
    assert loaded.metadata["converted_from"] == "a1"
