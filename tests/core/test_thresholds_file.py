import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from a1_core.certificate import certify
from a1_core.errors import ThresholdsError
from a1_core.exit_rule import Thresholds
from a1_core.provenance import Bag, Certificate, Evidence, certificate_of
from a1_core.thresholds_file import (
    BINDINGS,
    ThresholdsFile,
    check_thresholds,
    read_thresholds,
    write_thresholds,
)

BOUND = {
    "checkpoint": "c" * 64,
    "normaliser": "n" * 64,
    "robot_spec": "r" * 64,
    "head": "fm",
    "num_steps": 2,
    "start": "shared",
}
FILE = ThresholdsFile(
    thresholds=Thresholds(
        exits=(1, 2, 5, 7),
        eta=(-math.inf, 1e-5 / 3, 0.1 + 0.2, math.inf),
        metric="cosine",
        bindings=BOUND,
    ),
    fit="mass",
    distribution="exponential",
    parameter=0.7,
    samples=1000,
    episodes=24,
    requested_rates=(0.0, 1 / 3, 1 / 3, 1 / 3),
    realised_rates=(0.0, 0.333, 0.333, 0.334),
    bags={"first": Bag(digest="b" * 64, ticks=900, episodes=20, certify=(1, 4))},
)
EVIDENCE = Evidence(
    deviation="tool_tip_m",
    further_tolerances={"gripper": 0.1},
    tick_loss="binary",
    episode_loss="max",
    test="binomial",
    p_value=0.08,
    observed_risk=1 / 77,
    member=2,
    members=16,
    executed_rows=5,
    period_s=0.3,
    forward_kinematics="5f3a" * 16,
)
CERTIFIED = replace(
    FILE,
    certificate=Certificate(risk=0.05, failure=0.1, tolerance=0.01, episodes=77, evidence=EVIDENCE),
    safer=((-math.inf, -math.inf, -math.inf, math.inf), (-math.inf, 1e-6, 0.1, math.inf)),
)
# As the first version was written.
OLD = f"""\
version: 1
bindings: {{checkpoint: {"c" * 64}, normaliser: {"n" * 64}, robot_spec: {"r" * 64},
  head: fm, num_steps: 2, start: shared}}
metric: cosine
exits: [1, 2, 5, 7]
eta: [-.inf, 3.3333333333333337e-06, 0.30000000000000004, .inf]
fit: mass
distribution: exponential
parameter: 0.7
samples: 1000
episodes: 24
requested_rates: [0.0, 0.3333333333333333, 0.3333333333333333, 0.3333333333333333]
realised_rates: [0.0, 0.333, 0.333, 0.334]
bags: {{first: {"b" * 64}}}
certificate: {{risk: 0.1, failure: 0.05, tolerance: 0.01, episodes: 45}}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "tiny.yaml"


def test_round_trip_is_exact(path: Path) -> None:
    written = write_thresholds(path, FILE)
    assert written.thresholds.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_thresholds(path) == written
    assert replace(written, thresholds=replace(written.thresholds, digest="")) == FILE


def test_certificate_and_provenance_survive(path: Path) -> None:
    written = write_thresholds(path, CERTIFIED)
    assert replace(written, thresholds=replace(written.thresholds, digest="")) == CERTIFIED
    plain = replace(CERTIFIED, certificate=replace(CERTIFIED.certificate, evidence=None), safer=())
    assert write_thresholds(path, plain).certificate == plain.certificate


def test_files_of_the_first_version_are_read(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(OLD)
    file = read_thresholds(path)
    assert file.thresholds.digest == hashlib.sha256(OLD.encode()).hexdigest()
    assert file.certificate == Certificate(risk=0.1, failure=0.05, tolerance=0.01, episodes=45)
    assert file.bags == {"first": Bag(digest="b" * 64)}
    old = replace(FILE, certificate=file.certificate, bags=file.bags)
    assert replace(file, thresholds=replace(file.thresholds, digest="")) == old
    again = write_thresholds(path, file)
    assert replace(again, thresholds=file.thresholds) == file


def test_files_of_the_second_version_do_not_say_how_deviations_were_taken(path: Path) -> None:
    write_thresholds(path, CERTIFIED)
    content = yaml.safe_load(path.read_text()) | {"version": 2}
    del content["certificate"]["evidence"]["executed_rows"]
    del content["certificate"]["evidence"]["forward_kinematics"]
    del content["certificate"]["evidence"]["period_s"]
    path.write_text(yaml.safe_dump(content))
    file = read_thresholds(path)
    assert file.certificate.evidence == replace(
        EVIDENCE, executed_rows=None, forward_kinematics=None, period_s=None
    )
    again = write_thresholds(path, file)
    assert again.certificate == file.certificate


def test_files_of_the_third_version_do_not_say_how_far_apart_ticks_were(path: Path) -> None:
    write_thresholds(path, CERTIFIED)
    content = yaml.safe_load(path.read_text()) | {"version": 3}
    del content["certificate"]["evidence"]["period_s"]
    path.write_text(yaml.safe_dump(content))
    file = read_thresholds(path)
    assert file.certificate.evidence == replace(EVIDENCE, period_s=None)
    assert write_thresholds(path, file).certificate == file.certificate


def test_digest_and_content_are_of_the_same_bytes(path: Path, monkeypatch) -> None:
    """Another calibration may put its file in place while this one is read."""
    write_thresholds(path, FILE)
    first = path.read_bytes()
    second = write_thresholds(path, replace(FILE, samples=2000))
    given = iter((first, path.read_bytes()))
    monkeypatch.setattr(Path, "read_bytes", lambda self: next(given))
    file = read_thresholds(path)
    assert (file.samples, file.thresholds.digest) == (1000, hashlib.sha256(first).hexdigest())
    assert file != second


def test_a_folder_is_no_thresholds_file(tmp_path: Path) -> None:
    with pytest.raises(ThresholdsError, match="name a file"):
        read_thresholds(tmp_path)


@pytest.mark.parametrize("key", ["safer", "evidence"])
def test_files_of_the_first_version_have_no_newer_keys(path: Path, key: str) -> None:
    content = yaml.safe_load(OLD)
    part = content if key == "safer" else content["certificate"]
    part[key] = []
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ThresholdsError, match=f"key '{key}' is unknown"):
        read_thresholds(path)


def test_the_shipped_files_are_read() -> None:
    shipped = sorted((Path(__file__).parents[2] / "config" / "thresholds").glob("*.yaml"))
    assert shipped
    for path in shipped:
        assert read_thresholds(path).thresholds.exits


def test_what_cannot_be_read_back_leaves_the_old_file(path: Path) -> None:
    before = write_thresholds(path, FILE)
    with pytest.raises(ThresholdsError, match=r"tiny.yaml.*realised_rates"):
        write_thresholds(path, replace(FILE, realised_rates=(0.5, 0.5)))
    assert read_thresholds(path) == before
    assert [p.name for p in path.parent.iterdir()] == ["tiny.yaml"]


def test_a_walk_through_a_family_becomes_a_certificate(path: Path) -> None:
    losses = np.zeros((4, 132))
    losses[2, :3] = losses[3, :30] = 1.0
    found = certify(
        losses,
        risk=0.05,
        failure=0.1,
        test="binomial",
        episodes=[f"e{n}" for n in range(132)],
        fit_episodes=["other"],
    )
    words = {
        "deviation": "tool_tip_m",
        "tolerance": 0.01,
        "further_tolerances": {"gripper": 0.1},
        "executed_rows": 5,
        "period_s": 0.3,
        "forward_kinematics": "",
        "tick_loss": "binary",
        "episode_loss": "max",
    }
    certificate = certificate_of(found, **words)
    evidence = certificate.evidence
    assert (certificate.risk, certificate.failure, certificate.episodes) == (0.05, 0.1, 132)
    assert (evidence.member, evidence.members, evidence.observed_risk) == (2, 4, 3 / 132)
    assert evidence.p_value == found.p_values_M[2]
    assert (evidence.executed_rows, evidence.forward_kinematics) == (5, "")
    written = write_thresholds(path, replace(CERTIFIED, certificate=certificate))
    assert written.certificate == certificate
    assert certificate_of(replace(found, member=None), **words) is None


@pytest.mark.parametrize(
    ("where", "key", "value", "named"),
    [
        ("certificate", "risk", 1.0, "risk is 1.0"),
        ("certificate", "failure", 2.0, "failure is 2.0"),
        ("certificate", "tolerance", 0.0, "tolerance"),
        ("certificate", "episodes", 0, "episodes"),
        ("certificate", "extra", 1, "key 'extra' is unknown"),
        ("evidence", "p_value", 0.11, "p_value is 0.11, above failure"),
        ("evidence", "tried", 2, "p_value is 0.08, above failure / tried"),
        ("evidence", "tried", 0, "tried"),
        ("evidence", "observed_risk", 1.5, "observed_risk is 1.5"),
        ("evidence", "member", 16, "member is 16 of 16"),
        ("evidence", "member", 3, "safer has 2 settings before member 3"),
        ("evidence", "test", "student", "test"),
        ("evidence", "tick_loss", "clipped", "binary and max only"),
        ("evidence", "episode_loss", "mean", "binary and max only"),
        ("evidence", "deviation", "", "deviation"),
        ("evidence", "further_tolerances", {"gripper": 0.0}, "further_tolerances.gripper"),
        ("evidence", "further_tolerances", [0.1], "further_tolerances"),
        ("evidence", "executed_rows", 0, "executed_rows"),
        ("evidence", "executed_rows", None, "belong together"),
        ("evidence", "forward_kinematics", 1, "forward_kinematics"),
        ("evidence", "period_s", -0.1, "period_s is -0.1"),
        ("evidence", "period_s", "often", "period_s"),
        ("evidence", "extra", 1, "key 'extra' is unknown"),
        ("first", "digest", "short", "digest is 'short'"),
        ("first", "ticks", 1.5, "ticks"),
        ("first", "ticks", None, "belong together"),
        ("first", "episodes", 4, "certify is .1, 4. of 4 episodes"),
        ("first", "certify", [4, 1], "certify is .4, 1."),
        ("first", "certify", [1.0], "certify"),
        ("first", "extra", 1, "key 'extra' is unknown"),
    ],
)
def test_damage_to_certificate_and_bags_is_named(
    path: Path, where: str, key: str, value: object, named: str
) -> None:
    write_thresholds(path, CERTIFIED)
    content = yaml.safe_load(path.read_text())
    part = {
        "certificate": content["certificate"],
        "evidence": content["certificate"]["evidence"],
        "first": content["bags"]["first"],
    }[where]
    part[key] = value
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ThresholdsError, match=f"tiny.yaml.*{named}"):
        read_thresholds(path)


@pytest.mark.parametrize("key", [*BINDINGS, "exits"])
def test_a_file_for_something_else_is_refused_by_name(path: Path, key: str) -> None:
    file = write_thresholds(path, FILE)
    use = {**BOUND, "exits": (1, 2, 5, 7)}

    def check(values: dict) -> None:
        check_thresholds(
            file,
            path=path,
            bindings={name: values[name] for name in BINDINGS},
            exits=values["exits"],
        )

    check(use)
    with pytest.raises(ThresholdsError, match=f"tiny.yaml: {key} is"):
        check({**use, key: {"num_steps": 3, "exits": (1, 7)}.get(key, "other")})


def test_bindings_must_be_complete(path: Path) -> None:
    some = {key: BOUND[key] for key in BINDINGS[1:]}
    bad = replace(FILE, thresholds=replace(FILE.thresholds, bindings=some))
    with pytest.raises(ThresholdsError, match="checkpoint"):
        write_thresholds(path, bad)
    assert not path.exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 5),
        ("eta", [math.nan, 0.1, 0.2, math.inf]),
        ("eta", [0.1, 0.2, 0.3, 0.4]),
        ("eta", [0.1, math.inf]),
        ("exits", [1, 2.0, 5, 7]),
        ("metric", "l1"),
        ("samples", 0),
        ("extra", 1),
        ("realised_rates", [0.5]),
        ("fit", "guess"),
        ("bags", {"first": "b" * 64}),
        ("safer", [[0.1, math.inf]]),
        ("safer", [[0.1, 0.1, 0.1, 0.1]]),
        ("safer", [[0.1, 0.1, 0.1, math.nan]]),
        ("safer", [0.1]),
    ],
)
def test_damage_is_named(path: Path, key: str, value: object) -> None:
    write_thresholds(path, FILE)
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**content, key: value}))
    with pytest.raises(ThresholdsError, match=f"tiny.yaml.*{key}"):
        read_thresholds(path)
