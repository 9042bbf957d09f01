import hashlib
import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from a1_core.errors import ThresholdsError
from a1_core.exit_rule import Thresholds
from a1_core.thresholds_file import (
    BINDINGS,
    Certificate,
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
    bags={"first": "b" * 64},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "tiny.yaml"


def test_round_trip_is_exact(path: Path) -> None:
    written = write_thresholds(path, FILE)
    assert written.thresholds.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_thresholds(path) == written
    assert replace(written, thresholds=replace(written.thresholds, digest="")) == FILE


def test_certificate_survives(path: Path) -> None:
    certified = replace(
        FILE, certificate=Certificate(risk=0.1, failure=0.05, tolerance=0.01, episodes=45)
    )
    assert write_thresholds(path, certified).certificate == certified.certificate


@pytest.mark.parametrize("key", [*BINDINGS, "metric", "exits"])
def test_a_file_for_something_else_is_refused_by_name(path: Path, key: str) -> None:
    file = write_thresholds(path, FILE)
    use = {**BOUND, "metric": "cosine", "exits": (1, 2, 5, 7)}

    def check(values: dict) -> None:
        check_thresholds(
            file,
            path=path,
            bindings={name: values[name] for name in BINDINGS},
            metric=values["metric"],
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
        ("version", 2),
        ("eta", [math.nan, 0.1, 0.2, math.inf]),
        ("eta", [0.1, 0.2, 0.3, 0.4]),
        ("eta", [0.1, math.inf]),
        ("exits", [1, 2.0, 5, 7]),
        ("metric", "l1"),
        ("samples", 0),
        ("extra", 1),
        ("realised_rates", [0.5]),
        ("fit", "guess"),
    ],
)
def test_damage_is_named(path: Path, key: str, value: object) -> None:
    write_thresholds(path, FILE)
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**content, key: value}))
    with pytest.raises(ThresholdsError, match=f"tiny.yaml.*{key}"):
        read_thresholds(path)
