"""A variant of a checkpoint: the same weights, another way to run the head."""

import numpy as np
import pytest

from a1_core.errors import CheckpointError
from a1_core.policy import ExitSetting
from a1_model.checkpoint import load_checkpoint, save_checkpoint
from a1_model.variant import vary_checkpoint


@pytest.fixture
def save(tmp_path, network, tokenizer, normaliser, spec):
    def save(network=network):
        parts = {"network": network, "tokenizer": tokenizer, "normaliser": normaliser}
        save_checkpoint(tmp_path / "tiny", **parts, spec=spec, metadata={})
        return tmp_path / "tiny"

    return save


def test_a_variant_acts_as_a_checkpoint_that_was_saved_so(save, spec, tmp_path, make_observation):
    base, out = save(), tmp_path / "variant"
    digest = vary_checkpoint(base, out, {"num_steps": 10, "start": "shared", "signal": "probe"})
    loaded = load_checkpoint(out, spec)
    assert loaded.digest == digest != load_checkpoint(base, spec).digest
    assert (loaded.config.num_steps, loaded.config.signal) == (10, "probe")
    saved = save(network=loaded.network)
    assert load_checkpoint(saved, spec).digest == digest
    full, observation = ExitSetting(mode="full"), make_observation()
    np.testing.assert_array_equal(
        loaded.policy.act(observation, setting=full).actions_HD,
        load_checkpoint(saved, spec).policy.act(observation, setting=full).actions_HD,
    )


def test_a_variant_that_changes_nothing_is_the_checkpoint(save, spec, tmp_path):
    base = save()
    config = load_checkpoint(base, spec).config
    digest = vary_checkpoint(base, tmp_path / "same", {"num_steps": config.num_steps})
    assert digest == load_checkpoint(base, spec).digest
    inode = (tmp_path / "same/config.json").stat().st_ino
    assert vary_checkpoint(base, tmp_path / "same", {}) == digest
    assert (tmp_path / "same/config.json").stat().st_ino == inode


def test_an_impossible_variant_is_refused(save, tmp_path):
    with pytest.raises(CheckpointError, match="start: 'warm'"):
        vary_checkpoint(save(), tmp_path / "variant", {"start": "warm"})
    with pytest.raises(CheckpointError, match="signal: probe, but with the start cold"):
        vary_checkpoint(save(), tmp_path / "variant", {"start": "cold", "signal": "probe"})
    with pytest.raises(CheckpointError, match="horizon: not to be varied without training"):
        vary_checkpoint(save(), tmp_path / "variant", {"horizon": 8})
    assert not (tmp_path / "variant").exists()
