"""A checkpoint is whole and unchanged, or refused with one clear message."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from a1_core.errors import CheckpointError
from a1_core.policy import ExitSetting
from a1_model.checkpoint import content_digest, load_checkpoint, save_checkpoint


@pytest.fixture
def save(tmp_path, network, tokenizer, normaliser, spec):
    def save(network=network, normaliser=normaliser):
        save_checkpoint(
            tmp_path / "tiny",
            network=network,
            tokenizer=tokenizer,
            normaliser=normaliser,
            spec=spec,
            metadata={"steps": 3},
        )
        return tmp_path / "tiny"

    return save


def sign(directory):
    """Makes the digest right again after a file was changed on purpose."""
    names = ("config.json", "model.safetensors", "normaliser.json", "tokenizer.json")
    content = {name: (directory / name).read_bytes() for name in names}
    (directory / "digest").write_text(content_digest(content))


def change_tensors(directory, change):
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors")
    sign(directory)


def test_round_trip(save, make_policy, make_observation, spec, normaliser, network):
    loaded = load_checkpoint(save(), spec)
    setting, observation = ExitSetting(mode="full"), make_observation()
    np.testing.assert_array_equal(
        loaded.policy.act(observation, setting=setting).actions_HD,
        make_policy().act(observation, setting=setting).actions_HD,
    )
    assert loaded.config == network.config
    assert loaded.normaliser.digest == normaliser.digest
    assert loaded.metadata == {"steps": 3}
    assert loaded.policy.digest == loaded.digest
    assert loaded.policy.spec_digest == spec.digest


def test_the_digest_is_that_of_the_content(save, make_network, spec):
    first = load_checkpoint(save(), spec).digest
    assert load_checkpoint(save(), spec).digest == first
    other = make_network()
    with torch.no_grad():
        other.expert.rows[0, 0] += 1
    assert load_checkpoint(save(network=other), spec).digest != first


def test_saving_leaves_one_directory_and_no_debris(save):
    save()
    directory = save()
    assert [path.name for path in directory.parent.iterdir()] == ["tiny"]


def test_a_save_that_fails_leaves_the_old_checkpoint(save, spec):
    directory = save()
    broken = SimpleNamespace(to_arrays=lambda: {"not": object()})
    with pytest.raises(TypeError):
        save(normaliser=broken)
    load_checkpoint(directory, spec)
    assert [path.name for path in directory.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "digest", "metadata.json"])
def test_a_missing_file_is_refused(save, spec, name):
    directory = save()
    (directory / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(directory, spec)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "normaliser.json"])
def test_a_changed_file_is_refused(save, spec, name):
    directory = save()
    data = bytearray((directory / name).read_bytes())
    data[-2] ^= 1
    (directory / name).write_bytes(data)
    with pytest.raises(CheckpointError, match="digest"):
        load_checkpoint(directory, spec)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("expert.rows"), "missing tensors.*expert.rows"),
        (lambda t: t.update(extra=torch.zeros(1)), "unknown tensors.*extra"),
        (lambda t: t.update({"expert.rows": torch.zeros(16, 97)}), r"expert.rows: shape \(16, 97"),
        (lambda t: t["expert.rows"].fill_(float("nan")), "expert.rows: .*not finite"),
    ],
)
def test_wrong_tensors_are_refused(save, spec, change, message):
    directory = save()
    change_tensors(directory, change)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(directory, spec)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("names", {"action_names": ("other",) * 8}),
        ("dim", {"dim": 7}),
        ("horizon", {"policy": SimpleNamespace(period_s=0.1, horizon=8)}),
        ("period_s", {"policy": SimpleNamespace(period_s=0.2, horizon=16)}),
        ("cameras", {"cameras": (SimpleNamespace(name="front"),)}),
    ],
)
def test_another_robot_is_refused(save, spec, field, change):
    other = SimpleNamespace(**(vars(spec) | change))
    with pytest.raises(CheckpointError, match=field):
        load_checkpoint(save(), other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=9), "format: 9"),
        (lambda c: c["model"].update(colour="red"), "colour"),
        (lambda c: c["model"].pop("exits"), "exits"),
        (lambda c: c["model"].update(exits=[1, 9]), "exits: must lie in"),
        (lambda c: c["model"].update(head="diffusion"), "head: 'diffusion'"),
        (lambda c: c.pop("robot"), "robot"),
    ],
)
def test_a_wrong_config_is_refused(save, spec, change, message):
    directory = save()
    config = json.loads((directory / "config.json").read_text())
    change(config)
    (directory / "config.json").write_text(json.dumps(config))
    sign(directory)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(directory, spec)


def test_the_config_survives_json(network):
    config = network.config
    again = type(config).from_json(json.loads(json.dumps(config.to_json())))
    assert again == config
    with pytest.raises(ValueError, match="does not divide"):
        dataclasses.replace(config, mlp_queries=5)
