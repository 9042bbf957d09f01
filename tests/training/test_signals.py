"""How well discrepancies rank the ticks by what leaving costs."""

import json
import math

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import spearmanr

from a1_core.deviation import DeviationMeter
from a1_core.spec import load_spec
from a1_model.checkpoint import load_checkpoint
from a1_model.exit_pass import HeadSettings
from a1_model.policy import AdaptivePolicy
from a1_training.recorded_ticks import record
from a1_training.signals import correlations, main, rank_correlation


def test_ranks_alone_count():
    values = np.random.default_rng(0).normal(size=30)
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1.0)
    assert rank_correlation(values, -(values**3)) == pytest.approx(-1.0)
    assert math.isnan(rank_correlation(values, np.zeros(30)))
    # Ties share ranks 1.5 and 3.5: 4 of covariance over the root of 5 times 4.
    assert rank_correlation([1, 2, 3, 4], [0, 0, 7, 7]) == pytest.approx(4 / math.sqrt(20))


@pytest.fixture(scope="module")
def played(root):
    """The shipped checkpoint and what it saw in one episode."""
    spec = load_spec(root / "config/robots/franka.yaml")
    checkpoint = load_checkpoint(root / "checkpoints/tiny", spec)
    return checkpoint, spec, record(checkpoint, 1, Console(quiet=True)).observations


def test_every_signal_of_both_heads_by_every_metric(played):
    checkpoint, _, observations = played
    found = {(x.head, x.signal, x.metric): x for x in correlations(*played)}
    pairs = {("fm", "fm"), ("fm", "probe"), ("fm", "mlp"), ("mlp", "mlp")}
    assert {key[:2] for key in found} == pairs and len(found) == 16
    exits = len(checkpoint.config.exits)
    for each in found.values():
        assert len(each.by_exit) == exits - 2 and each.ticks == len(observations)
        assert all(-1.0 <= value <= 1.0 for value in each.by_exit)
    assert found["fm", "fm", "l2[:5]"] != found["fm", "probe", "l2[:5]"]


def test_it_is_what_calibration_compares_against_full_depth(played):
    checkpoint, spec, observations = played
    by_exit = next(
        x.by_exit
        for x in correlations(*played)
        if (x.head, x.signal, x.metric) == ("fm", "probe", "l2[:5]")
    )
    own = checkpoint.policy
    policy = AdaptivePolicy(
        own.network,
        own.tokenizer,
        own.normaliser,
        digest=own.digest,
        spec_digest=own.spec_digest,
        settings=HeadSettings(
            head="fm",
            num_steps=checkpoint.config.num_steps,
            start="shared",
            renoise_tau=0.5,
            signal="probe",
        ),
    )
    study = policy.all_exits(observations, "l2[:5]")
    states = np.stack([o.state_D for o in observations])
    off_KN = DeviationMeter(spec, 0.5)(study.actions_KNHD, study.full_NHD, states)[..., 0]
    for k, value in enumerate(by_exit, start=1):
        # Batches of another size round otherwise, so that near ties may change places.
        wanted = spearmanr(study.deltas_KN[k], off_KN[k]).statistic
        assert value == pytest.approx(wanted, abs=0.05)


def test_the_command_tells_and_writes(root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(root)
    out = tmp_path / "made/signals.json"
    assert main(["--episodes", "1", "--out", str(out)]) == 0
    assert "compared by" in capsys.readouterr().out
    content = json.loads(out.read_text())
    assert len(content["rows"]) == 16
    assert content["checkpoint_digest"] == (root / "checkpoints/tiny/digest").read_text().strip()
    assert main(["--robot", "nobody"]) == 1
    assert "signals: robot 'nobody'" in capsys.readouterr().out
