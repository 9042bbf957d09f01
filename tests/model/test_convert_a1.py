"""Policies of the public A1 code act here as they do there, or are refused with the reason."""

import json
import os
import re

import numpy as np
import published as pub
import published_equations as eq
import pytest
import torch
from conversion_rig import (
    ACTION,
    STAMP,
    STATISTICS,
    TEXT,
    TEXT_IDS,
    TIGHT,
    act,
    denormalised,
    image,
    normalised_state,
    observe,
    one_sample,
)

from a1_core.errors import A1Error, CheckpointError
from a1_core.policy import ExitSetting
from a1_model.a1_layout import A1Choices, convert_a1
from a1_model.checkpoint import grow_network, load_checkpoint
from a1_model.draws import Totals, make_draws
from a1_model.losses import losses_of
from a1_model.noise import tick_noise
from a1_model.weights import WeightFiles


def reference_flow(observation, tensors, shown, noise, *, exit_block, steps=pub.STEPS):
    """Their loop: time runs from 1 down, the velocity points from the data to the noise."""
    x = eq.prefix_inputs(shown, [*TEXT_IDS, ACTION], tensors, "")
    valid = len(x)
    x, seen = eq.padded(x, pub.SEQUENCE)
    _, cache = eq.decode(x, seen, tensors, "")
    state = torch.zeros(pub.STATES)
    state[:4] = torch.from_numpy(normalised_state(observation))
    actions, time = noise.clone(), 1.0
    for _ in range(steps):
        field = eq.flow_field(actions, time, state, cache[: exit_block + 1], valid, tensors)
        actions = actions - field / steps
        time -= 1 / steps
    return denormalised(actions[:, :4].numpy())


def noise_of(policy, block):
    exits = policy.network.config.exits
    draws = tick_noise(0, STAMP, len(exits), pub.CHUNK, pub.ACTIONS)
    return torch.from_numpy(draws[exits.index(block)])


def test_a1_flow_acts_as_it_did_at_every_exit(converted, tmp_path, flow):
    source = pub.write_a1(tmp_path / "a1", flow, statistics=STATISTICS)
    policy = converted("a1", source, pub.robot(), A1Choices())
    config, observation = policy.network.config, observe()
    assert config.exits == (1, 3) and config.head == "fm" and config.parts == ("fm",)
    shown = [eq.image_tokens(image(observation), flow, "")]
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
    x, seen = eq.padded(
        eq.prefix_inputs(
            [eq.image_tokens(image(observation), flow, "")], [*TEXT_IDS, ACTION], flow, ""
        ),
        pub.SEQUENCE,
    )
    valid = 1 + 8 + len(TEXT_IDS) + 1
    _, cache = eq.decode(x, seen, flow, "")
    state = torch.zeros(pub.STATES)
    state[:4] = torch.from_numpy(normalised_state(observation))
    actions = noise_of(policy, 3)
    for step in range(pub.STEPS):
        field = eq.flow_field(actions, step / pub.STEPS, state, cache, valid, flow)
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
        eq.image_tokens(image(observation), flow, ""),
        eq.image_tokens(image(observation), flow, "", partial=True),
    ]
    x = eq.prefix_inputs(shown, [*TEXT_IDS, ACTION], flow, "")
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
    front, wrist = (eq.image_tokens(image(observation, name), flow, "") for name in names)
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
    shown = [eq.image_tokens(image(observation), tensors, "")]
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


def test_a_converted_flow_head_learns_as_it_did(converted, tmp_path, flow):
    """Their loss: noise minus data, time running down; ours also leaves out what is padding."""
    source = pub.write_a1(tmp_path / "a1", flow, statistics=STATISTICS)
    policy, observation = converted("a1", source, pub.robot(), A1Choices()), observe()
    config = policy.network.config
    batch = one_sample(policy.prepare([observation]), torch.randn(1, config.horizon, 4))
    network = grow_network(tmp_path / "ours", config)
    draws = make_draws(config, 1, Totals.of(batch), torch.Generator().manual_seed(2), ["fm"])
    losses = losses_of(network, batch, draws, ["fm"])

    x = eq.prefix_inputs(
        [eq.image_tokens(image(observation), flow, "")], [*TEXT_IDS, ACTION], flow, ""
    )
    valid = len(x)
    x, seen = eq.padded(x, pub.SEQUENCE)
    _, cache = eq.decode(x, seen, flow, "")
    state = torch.zeros(pub.STATES)
    state[:4] = torch.from_numpy(normalised_state(observation))
    data = torch.zeros(pub.CHUNK, pub.ACTIONS)
    data[:, :4] = batch.actions_BHD[0]
    for number, block in enumerate(config.exits):
        errors = []
        for noise, tau in zip(draws.noise_BSHW[0], draws.tau_BS[0], strict=True):
            time = 1 - float(tau)
            noisy = time * noise + (1 - time) * data
            field = eq.flow_field(noisy, time, state, cache[: block + 1], valid, flow)
            errors.append((field - (noise - data))[:, :4].square().mean())
        expected = torch.stack(errors).mean()
        torch.testing.assert_close(losses["fm_by_exit"][number], expected, **TIGHT)

    losses["fm"].backward()
    assert network.backbone.layers[0].self_attn.k_proj.weight.grad.any()
    readout = network.expert.readout.linear_out.weight.grad
    assert readout[:4].any() and not readout[4:].any()
    with pytest.raises(ValueError, match=r"need the parts \['mlp'\]"):
        losses_of(network, batch, draws, ["mlp"])


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
            "action_head_flow_matching_dim: 112; 8 heads of 14 cannot read the .* keys of 16",
        ),
        (
            {"action_head_flow_matching_dim": 112},
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
    for values, message in (
        ([2.0] * 4, "q99: .*below q01"),
        (["a"] * 4, "q01: .*no numbers"),
        ([float("nan")] * 4, "q01: .*not all finite"),
    ):
        wrong = json.loads(json.dumps(STATISTICS))
        wrong["libero"]["proprio"]["q01"] = values
        (source / "dataset_statistics.json").write_text(json.dumps(wrong))
        with pytest.raises(CheckpointError, match=message):
            convert_a1(source, pub.robot(), A1Choices())
    (source / "dataset_statistics.json").write_text(json.dumps({"a": {}, "b": {}}))
    with pytest.raises(CheckpointError, match=r"holds \['a', 'b'\]; choose one"):
        convert_a1(source, pub.robot(), A1Choices())
    (source / "dataset_statistics.json").unlink()
    with pytest.raises(CheckpointError, match=r"dataset_statistics.json: .*normalisation none"):
        convert_a1(source, pub.robot(), A1Choices())


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
