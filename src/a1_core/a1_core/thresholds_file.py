"""Thresholds on disk: YAML bound by digests to everything they were fitted for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from a1_core.calibration import DISTRIBUTIONS, FITS
from a1_core.errors import ThresholdsError
from a1_core.exit_rule import METRICS, Thresholds
from a1_core.strict_yaml import Fields, read_mapping

VERSION = 1
BINDINGS = ("checkpoint", "normaliser", "robot_spec", "head", "num_steps", "start")


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The episode loss is below `risk` with confidence 1 - `failure`.

    A tick is lost past `tolerance` (robot units); `episodes` were used to certify.
    """

    risk: float
    failure: float
    tolerance: float
    episodes: int


@dataclass(frozen=True, kw_only=True)
class ThresholdsFile:
    """Thresholds and how they came to be.

    Attributes:
        thresholds: with bindings for exactly the keys in BINDINGS: SHA-256 (hex) of checkpoint,
            normaliser and robot spec, head (fm | mlp), num_steps, start (shared | cold | direct |
            renoise). Metric and exits bind too.
        fit, distribution, parameter: arguments of the fit.
        samples, episodes: what it was fitted on; `bags` maps each bag's name to its digest.
        requested_rates, realised_rates: share of samples at every exit.
        certificate: None when nothing is certified.
    """

    thresholds: Thresholds
    fit: str
    distribution: str
    parameter: float
    samples: int
    episodes: int
    requested_rates: tuple[float, ...]
    realised_rates: tuple[float, ...]
    bags: Mapping[str, str]
    certificate: Certificate | None = None


def write_thresholds(path: str | Path, file: ThresholdsFile) -> ThresholdsFile:
    """Write and read back; floats survive exactly. Returns the file with its digest.

    Raises ThresholdsError when bindings are missing or unknown.
    """
    thresholds = file.thresholds
    if set(thresholds.bindings) != set(BINDINGS):
        wrong = sorted(set(thresholds.bindings) ^ set(BINDINGS))
        raise ThresholdsError(
            f"{path}: bindings {wrong} are missing or unknown; give exactly {', '.join(BINDINGS)}"
        )
    certificate = file.certificate
    content: dict[str, Any] = {
        "version": VERSION,
        "bindings": {key: thresholds.bindings[key] for key in BINDINGS},
        "metric": thresholds.metric,
        "exits": [int(block) for block in thresholds.exits],
        "eta": [float(value) for value in thresholds.eta],
        "fit": file.fit,
        "distribution": file.distribution,
        "parameter": float(file.parameter),
        "samples": int(file.samples),
        "episodes": int(file.episodes),
        "requested_rates": [float(rate) for rate in file.requested_rates],
        "realised_rates": [float(rate) for rate in file.realised_rates],
        "bags": dict(file.bags),
        "certificate": None if certificate is None else vars(certificate).copy(),
    }
    text = "# Written by calibration; not to be edited.\n" + yaml.safe_dump(
        content, sort_keys=False, default_flow_style=None, width=100
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return read_thresholds(path)


def read_thresholds(path: str | Path) -> ThresholdsFile:
    """The file; raises ThresholdsError that names file, field and mend."""
    path = Path(path)
    fields = Fields(read_mapping(path, ThresholdsError), str(path), ThresholdsError)
    version = fields.whole("version", least=1)
    if version != VERSION:
        raise fields.fail("version", version, f"this program reads {VERSION}: calibrate again")
    bound = fields.section("bindings")
    bindings: dict[str, str | int] = {
        key: bound.whole(key, least=1) if key == "num_steps" else bound.text(key)
        for key in BINDINGS
    }
    bound.done()
    exits = tuple(_list(fields, "exits", int))
    file = ThresholdsFile(
        thresholds=_thresholds(fields, exits, bindings),
        fit=fields.text("fit", FITS),
        distribution=fields.text("distribution", DISTRIBUTIONS),
        parameter=fields.number("parameter"),
        samples=fields.whole("samples", least=1),
        episodes=fields.whole("episodes", least=1),
        requested_rates=tuple(fields.numbers("requested_rates", len(exits)).tolist()),
        realised_rates=tuple(fields.numbers("realised_rates", len(exits)).tolist()),
        bags={str(name): str(digest) for name, digest in fields.mapping("bags").items()},
        certificate=_certificate(fields),
    )
    fields.done()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return replace(file, thresholds=replace(file.thresholds, digest=digest))


def check_thresholds(
    file: ThresholdsFile,
    *,
    path: str | Path,
    bindings: Mapping[str, str | int],
    metric: str,
    exits: tuple[int, ...],
) -> None:
    """Raise ThresholdsError naming the first field in which the file is for something else."""
    thresholds = file.thresholds
    wanted: dict[str, object] = {**bindings, "metric": metric, "exits": tuple(exits)}
    found: dict[str, object] = {
        **thresholds.bindings,
        "metric": thresholds.metric,
        "exits": thresholds.exits,
    }
    for key in (*BINDINGS, "metric", "exits"):
        if key not in wanted:
            raise ThresholdsError(f"bindings['{key}'] is missing; give all of {BINDINGS}")
        if found[key] != wanted[key]:
            raise ThresholdsError(
                f"{path}: {key} is {found[key]}, but {wanted[key]} is in use; calibrate again, or "
                "load what the thresholds were made for"
            )


def _thresholds(
    fields: Fields, exits: tuple[int, ...], bindings: Mapping[str, str | int]
) -> Thresholds:
    metric = fields.text("metric", METRICS)
    eta = tuple(float(value) for value in _list(fields, "eta", float))
    try:
        return Thresholds(exits=exits, eta=eta, metric=metric, bindings=bindings)
    except ThresholdsError as why:
        raise ThresholdsError(f"{fields.where}: {why}") from None


def _certificate(fields: Fields) -> Certificate | None:
    if fields.peek("certificate") is None:
        fields.raw("certificate")
        return None
    part = fields.section("certificate")
    certificate = Certificate(
        risk=part.number("risk", low=0.0),
        failure=part.number("failure", low=0.0),
        tolerance=part.number("tolerance"),
        episodes=part.whole("episodes", least=1),
    )
    part.done()
    return certificate


def _list(fields: Fields, key: str, kind: type) -> list[Any]:
    """Numbers of one kind; infinite ones too, NaN not."""
    values: Any = fields.raw(key)
    if (
        not isinstance(values, list)
        or not values
        or any(type(value) is not kind or value != value for value in values)
    ):
        what = "whole numbers" if kind is int else "numbers with a point"
        raise fields.fail(key, values, f"write a list of {what}")
    return values
