"""A checkpoint is whole and unchanged, or refused with one clear message."""

import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from a1_core.chunk import ActionSpace, DeltaBase
from a1_core.errors import CheckpointError
from a1_core.policy import ExitSetting
from a1_model import weights
from a1_model.checkpoint import load_checkpoint, save_checkpoint
from a1_model.checkpoint_folder import content_digest, directory_digest
from a1_model.config import ExpertConfig


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


def other_policy(spec, **change):
    return {"policy": SimpleNamespace(**(vars(spec.policy) | change))}


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("robot", lambda spec: {"robot": "franka_of_another_maker"}),
        ("action_space", lambda s: other_policy(s, action_space=ActionSpace.JOINT_POSITION)),
        ("delta_base", lambda s: other_policy(s, delta_base=DeltaBase.PREVIOUS_ROW)),
        ("names", lambda spec: {"policy_names": ("other",) * 8}),
        ("dim", lambda spec: {"dim": 7}),
        ("horizon", lambda spec: other_policy(spec, horizon=8)),
        ("period_s", lambda spec: other_policy(spec, period_s=0.2)),
        ("cameras", lambda spec: {"cameras": (SimpleNamespace(name="front"),)}),
    ],
)
def test_another_robot_is_refused(save, spec, field, change):
    other = SimpleNamespace(**(vars(spec) | change(spec)))
    with pytest.raises(CheckpointError, match=f": {field}: the checkpoint has"):
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


# --- shards, types, memory


@pytest.fixture
def save_shards(tmp_path, network, tokenizer, normaliser, spec):
    def save(network=network, **options):
        options = {"shard_bytes": 500_000} | options
        directory = tmp_path / "sharded"
        save_checkpoint(
            directory,
            network=network,
            tokenizer=tokenizer,
            normaliser=normaliser,
            spec=spec,
            metadata={},
            **options,
        )
        return directory

    return save


def shards(directory):
    return sorted(directory.glob("model-*.safetensors"))


def chunk(directory, spec, observation, **options):
    loaded = load_checkpoint(directory, spec, **options)
    return loaded.policy.act(observation, setting=ExitSetting(mode="full")).actions_HD


def test_shards_hold_the_same_weights(save, save_shards, spec, make_observation):
    whole, parts = save(), save_shards()
    assert len(shards(parts)) > 5 and not (parts / "model.safetensors").exists()
    assert all(path.stat().st_size < 600_000 for path in shards(parts))
    index = json.loads((parts / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {path.name for path in shards(parts)}
    assert index["metadata"]["total_size"] == sum(
        x.numel() * x.element_size() for x in load_file(whole / "model.safetensors").values()
    )
    observation = make_observation()
    np.testing.assert_array_equal(chunk(whole, spec, observation), chunk(parts, spec, observation))


def test_everybody_may_read_a_checkpoint(save, save_shards):
    for directory in (save(), save_shards()):
        assert all(p.stat().st_mode & 0o444 == 0o444 for p in directory.glob("*.safetensors"))
        assert directory.stat().st_mode & 0o777 == 0o755


def test_a_missing_or_changed_shard_is_refused(save_shards, spec):
    directory = save_shards()
    path = shards(directory)[1]
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="digest"):
        load_checkpoint(directory, spec)
    path.unlink()
    with pytest.raises(CheckpointError, match=path.name):
        load_checkpoint(directory, spec)


def sign_all(directory):
    names = [p.name for p in directory.iterdir() if p.name not in ("digest", "metadata.json")]
    (directory / "digest").write_text(directory_digest(directory, names))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update({"expert.rows": "../x"}), "weight_map.expert.rows: '../x' is not"),
        (lambda m: m.pop("expert.rows"), r"\d.safetensors: .*1 unknown tensors: expert.rows"),
        (lambda m: m.update(extra=m["expert.rows"]), "1 missing tensors: extra"),
        (lambda m: m.clear(), "weight_map: {}"),
    ],
)
def test_an_index_that_contradicts_its_shards_is_refused(save_shards, spec, change, message):
    directory = save_shards()
    path = directory / "model.safetensors.index.json"
    content = json.loads(path.read_text())
    change(content["weight_map"])
    path.write_text(json.dumps(content))
    sign_all(directory)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(directory, spec)


def test_one_error_tells_all_that_does_not_fit(save_shards, spec):
    """File, tensor, what was found and what was expected, for every kind of misfit."""
    directory = save_shards()
    path = directory / "model.safetensors.index.json"
    where = json.loads(path.read_text())["weight_map"]["expert.rows"]
    tensors = load_file(directory / where)
    tensors["expert.rows"] = torch.zeros(16, 97)
    gone = next(name for name in tensors if name != "expert.rows")
    shape = tuple(tensors.pop(gone).shape)
    tensors["extra"] = torch.zeros(2, dtype=torch.int64)
    save_file(tensors, directory / where)
    content = json.loads(path.read_text())
    content["weight_map"].pop(gone)
    content["weight_map"]["extra"] = where
    path.write_text(json.dumps(content))
    sign_all(directory)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(directory, spec)
    message = str(caught.value)
    assert message.startswith(f"{path}: 1 missing tensors: {gone} shape {shape} floating;")
    assert f"1 unknown tensors: {where}: extra" in message
    wrong = f"{where}: expert.rows: shape (16, 97) float32, expected shape (16, 96) floating"
    assert wrong in message


def test_whole_numbers_are_no_weights(save, spec):
    directory = save()
    change_tensors(directory, lambda t: t.update({"expert.rows": t["expert.rows"].long()}))
    with pytest.raises(CheckpointError, match=r"expert.rows: shape \(16, 96\) int64, expected"):
        load_checkpoint(directory, spec)


def test_half_precision_is_stored_loaded_and_acts(save, save_shards, spec, make_observation):
    half, whole = save_shards(dtype=torch.bfloat16), save()
    sizes = [sum(p.stat().st_size for p in d.glob("*.safetensors")) for d in (half, whole)]
    assert sizes[0] / sizes[1] == pytest.approx(0.5, abs=0.02)
    network = load_checkpoint(half, spec).network
    assert {p.dtype for p in network.parameters()} == {torch.bfloat16}
    assert {b.dtype for b in network.buffers()} == {torch.float32}
    observation = make_observation()
    exact, rounded = chunk(whole, spec, observation), chunk(half, spec, observation)
    assert 0 < np.abs(exact - rounded).max() < 0.05 * np.abs(exact).max()
    widened = load_checkpoint(half, spec, dtype=torch.float32).network
    assert {p.dtype for p in widened.parameters()} == {torch.float32}


@pytest.mark.parametrize("head", ["fm", "mlp"])
def test_half_precision_of_padded_batches(save_shards, make_network, spec, make_observation, head):
    directory = save_shards(make_network(head=head), dtype=torch.bfloat16)
    policy = load_checkpoint(directory, spec).policy
    study = policy.all_exits(
        [make_observation(), make_observation(instruction="put the green cube in the bowl")]
    )
    assert np.isfinite(study.actions_KNHD).all() and study.actions_KNHD.dtype == np.float32


def test_mixed_types_are_refused(save, spec):
    directory = save()
    change_tensors(directory, lambda t: t.update({"expert.rows": t["expert.rows"].half()}))
    with pytest.raises(CheckpointError, match=r"several types.*store them as one"):
        load_checkpoint(directory, spec)


def own_memory():
    """Bytes of this process that no file backs."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", status).group(1))


def test_large_weights_are_mapped_not_copied(save_shards, make_network, spec, make_observation):
    """A quarter of a gigabyte: what the process itself holds hardly grows."""
    wide = dataclasses.replace(
        make_network().config.backbone, hidden=768, heads=12, kv_heads=4, head_dim=32, ffn=3072
    )
    network = make_network(
        backbone=wide, expert=ExpertConfig(hidden=96, heads=4, ffn=96, init_std=1)
    )
    size = 4 * sum(p.numel() for p in network.parameters())
    assert size > 250e6
    directory = save_shards(network, shard_bytes=50_000_000)
    del network
    before = own_memory()
    loaded = load_checkpoint(directory, spec)
    assert own_memory() - before < 0.2 * size
    observation = make_observation()
    full = ExitSetting(mode="full")
    assert np.isfinite(loaded.policy.act(observation, setting=full).actions_HD).all()
    assert own_memory() - before < 0.5 * size


def test_a_mapped_checkpoint_outlives_its_replacement(
    monkeypatch, save, make_network, spec, make_observation
):
    """Training replaces the directory while a node has it open."""
    monkeypatch.setattr(weights, "MAPPED_FROM_BYTES", 0)
    loaded = load_checkpoint(save(), spec)
    observation, full = make_observation(), ExitSetting(mode="full")
    before = loaded.policy.act(observation, setting=full).actions_HD
    other = make_network()
    with torch.no_grad():
        other.expert.rows += 1
    save(network=other)
    np.testing.assert_array_equal(loaded.policy.act(observation, setting=full).actions_HD, before)


def test_a_config_that_is_no_object_is_refused(save, spec):
    directory = save()
    (directory / "config.json").write_text("[]")
    sign(directory)
    with pytest.raises(CheckpointError, match=r"config.json: holds list, expected an object"):
        load_checkpoint(directory, spec)
