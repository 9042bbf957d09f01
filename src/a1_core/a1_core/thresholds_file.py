"""Thresholds on disk: YAML bound by digests to everything they were fitted for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import yaml

from a1_core.calibration import DISTRIBUTIONS, FITS, NO_DISTRIBUTION
from a1_core.errors import ThresholdsError
from a1_core.exit_rule import Thresholds
from a1_core.provenance import (
    Bag,
    Certificate,
    bag_mapping,
    certificate_mapping,
    read_bags,
    read_certificate,
)
from a1_core.spec import RobotSpec
from a1_core.strict_yaml import Fields, parse_mapping, read_bytes
from a1_core.whole_file import write_whole

VERSION = 4
"""Written. Older ones are read as well: version 1 said less of bags and certificate, version 2 not
how the certificate's deviations were taken, version 3 not how far apart its ticks were."""
BINDINGS = ("checkpoint", "normaliser", "robot_spec", "head", "num_steps", "start")


class Bindable(Protocol):
    """A checkpoint, as far as thresholds are bound to it."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the content."""

    @property
    def normaliser(self) -> Any:
        """Has a digest."""

    @property
    def config(self) -> Any:
        """Has head, num_steps and start."""


def bindings_of(checkpoint: Bindable, spec: RobotSpec) -> dict[str, str | int]:
    """What thresholds for a checkpoint and a robot are bound to, by the keys in BINDINGS."""
    config = checkpoint.config
    return {
        "checkpoint": checkpoint.digest,
        "normaliser": checkpoint.normaliser.digest,
        "robot_spec": spec.digest,
        "head": config.head,
        "num_steps": config.num_steps,
        "start": config.start,
    }


@dataclass(frozen=True, kw_only=True)
class ThresholdsFile:
    """Thresholds and how they came to be.

    Attributes:
        thresholds: with bindings for exactly the keys in BINDINGS: SHA-256 (hex) of checkpoint,
            normaliser and robot spec, head (fm | mlp), num_steps, start (shared | cold | direct |
            renoise). Exits bind too; discrepancies are taken by the metric that stands here.
        fit, distribution, parameter: arguments of the fit; `least_loss` has no distribution
            ("none"), its parameter is the price of a loss, see `Setting`.
        samples, episodes: what it was fitted on; `bags`, by name, also hold what was kept from
            the fit for the certificate.
        requested_rates, realised_rates: share of samples at every exit.
        certificate: None when nothing is certified.
        safer: eta of the family's settings from full depth to the one before this, for steps back
            when an audit raises an alarm; empty when there is no family. With evidence there are
            as many as its `member`.
    """

    thresholds: Thresholds
    fit: str
    distribution: str
    parameter: float
    samples: int
    episodes: int
    requested_rates: tuple[float, ...]
    realised_rates: tuple[float, ...]
    bags: Mapping[str, Bag]
    certificate: Certificate | None = None
    safer: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        for number, eta in enumerate(self.safer):
            try:
                replace(self.thresholds, eta=eta)  # held to the same rules
            except ThresholdsError as why:
                raise ThresholdsError(f"safer[{number}]: {why}") from None
        evidence = None if self.certificate is None else self.certificate.evidence
        if evidence is not None and self.safer and len(self.safer) != evidence.member:
            raise ThresholdsError(
                f"safer has {len(self.safer)} settings before member {evidence.member}; write "
                "all, from full depth, or none"
            )


def write_thresholds(path: str | Path, file: ThresholdsFile) -> ThresholdsFile:
    """Write and read back; floats survive exactly. Returns the file with its digest.

    A reader at the same time finds the old file or the new one, never a part of it.

    Raises ThresholdsError, and writes nothing, when bindings are missing or unknown or a value
    could not be read back.
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
        "bags": {name: bag_mapping(bag) for name, bag in file.bags.items()},
        "certificate": None if certificate is None else certificate_mapping(certificate),
        "safer": [[float(value) for value in eta] for eta in file.safer],
    }
    text = "# Written by calibration; not to be edited.\n" + yaml.safe_dump(
        content, sort_keys=False, default_flow_style=None, width=100
    )
    path = Path(path)
    _parse(yaml.safe_load(text), path)  # before an older file is replaced
    write_whole(path, text)
    return read_thresholds(path)


def read_thresholds(path: str | Path) -> ThresholdsFile:
    """The file; raises ThresholdsError that names file, field and mend."""
    path = Path(path)
    data = read_bytes(path, ThresholdsError)  # once: the file may be replaced at any moment
    file = _parse(parse_mapping(data, path, ThresholdsError), path)
    digest = hashlib.sha256(data).hexdigest()
    return replace(file, thresholds=replace(file.thresholds, digest=digest))


def _parse(content: Mapping[str, Any], path: Path) -> ThresholdsFile:
    fields = Fields(content, str(path), ThresholdsError)
    version = fields.whole("version", least=1)
    if version > VERSION:
        raise fields.fail("version", version, f"this program reads 1 to {VERSION}: calibrate again")
    bound = fields.section("bindings")
    bindings: dict[str, str | int] = {
        key: bound.whole(key, least=1) if key == "num_steps" else bound.text(key)
        for key in BINDINGS
    }
    bound.done()
    exits = tuple(_list(fields, "exits", int))
    values: dict[str, Any] = {
        "thresholds": _thresholds(fields, exits, bindings),
        "fit": fields.text("fit", FITS),
        "distribution": fields.text("distribution", (*DISTRIBUTIONS, NO_DISTRIBUTION)),
        "parameter": fields.number("parameter"),
        "samples": fields.whole("samples", least=1),
        "episodes": fields.whole("episodes", least=1),
        "requested_rates": tuple(fields.numbers("requested_rates", len(exits)).tolist()),
        "realised_rates": tuple(fields.numbers("realised_rates", len(exits)).tolist()),
        "bags": read_bags(fields, version),
        "certificate": read_certificate(fields, version),
        "safer": _safer(fields) if version > 1 else (),
    }
    fields.done()
    try:
        return ThresholdsFile(**values)
    except ThresholdsError as why:
        raise ThresholdsError(f"{path}: {why}") from None


def check_thresholds(
    file: ThresholdsFile,
    *,
    path: str | Path,
    bindings: Mapping[str, str | int],
    exits: tuple[int, ...],
) -> None:
    """Raise ThresholdsError naming the first field in which the file is for something else."""
    thresholds = file.thresholds
    wanted: dict[str, object] = {**bindings, "exits": tuple(exits)}
    found: dict[str, object] = {**thresholds.bindings, "exits": thresholds.exits}
    for key in (*BINDINGS, "exits"):
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
    metric = fields.text("metric")
    eta = tuple(float(value) for value in _list(fields, "eta", float))
    try:
        return Thresholds(exits=exits, eta=eta, metric=metric, bindings=bindings)
    except ThresholdsError as why:
        raise ThresholdsError(f"{fields.where}: {why}") from None


def _list(fields: Fields, key: str, kind: type) -> list[Any]:
    """Numbers of one kind; infinite ones too, NaN not."""
    values: Any = fields.raw(key)
    if not _are(values, kind):
        what = "whole numbers" if kind is int else "numbers with a point"
        raise fields.fail(key, values, f"write a list of {what}")
    return values


def _safer(fields: Fields) -> tuple[tuple[float, ...], ...]:
    values: Any = fields.raw("safer")
    if not isinstance(values, list) or any(not _are(eta, float) for eta in values):
        raise fields.fail("safer", values, "write a list of lists of numbers with a point")
    return tuple(tuple(eta) for eta in values)


def _are(values: Any, kind: type) -> bool:
    """Whether it is a list of one or more numbers of a kind, NaN not counting as one."""
    good = isinstance(values, list) and bool(values)
    return good and all(type(value) is kind and value == value for value in values)
