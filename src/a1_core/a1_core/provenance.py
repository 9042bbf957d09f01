"""What a thresholds file says of the recordings behind it and of what they certify."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from a1_core.certificate import Certification
from a1_core.episode_loss import EPISODE_LOSSES, TICK_LOSSES
from a1_core.errors import ThresholdsError
from a1_core.p_values import TESTS, check_share
from a1_core.strict_yaml import Fields

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Bag:
    """One recording.

    Attributes:
        digest: SHA-256 (hex) of its files.
        ticks, episodes: what was read from it; None in files of version 1, which did not say.
        certify: numbers (from 0, in the order of the bag) of the episodes that were kept from
            the fit, for the certificate.
    """

    digest: str
    ticks: int | None = None
    episodes: int | None = None
    certify: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.digest):
            raise ThresholdsError(f"digest is '{self.digest}'; give 64 hexadecimal digits")
        if (self.ticks is None) != (self.episodes is None):
            raise ThresholdsError("ticks and episodes belong together; give both, or neither")
        episodes = self.episodes or 0
        if list(self.certify) != sorted({k for k in self.certify if 0 <= k < episodes}):
            raise ThresholdsError(
                f"certify is {list(self.certify)} of {episodes} episodes; give ascending numbers "
                "from 0"
            )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """How a certificate came about.

    Attributes:
        deviation: what the certificate's tolerance is of, with its unit, e.g. `tool_tip_m`.
        executed_rows, forward_kinematics: over how many first rows of a chunk it was taken, and
            by which kinematics (digest of those of the robot's spec; empty: of the joints); None
            in files before version 3, which did not say.
        period_s: least time between the ticks that were counted [s], 0 for all of the camera; None
            in files before version 4, which did not say.
        further_tolerances: of what else makes a tick a loss, e.g. {"gripper": 0.1}.
        tick_loss: `binary` | `clipped`; episode_loss: `mean` | `max` over an episode's ticks.
        test: the p-value's, one of TESTS; p_value of the certified setting.
        observed_risk: mean loss of an episode on the certifying episodes.
        member, members: which setting of the family it is, 0 for full depth, of how many.
        tried: number of families over which `failure` was split.
    """

    deviation: str
    further_tolerances: Mapping[str, float]
    tick_loss: str
    episode_loss: str
    test: str
    p_value: float
    observed_risk: float
    member: int
    members: int
    tried: int = 1
    executed_rows: int | None = None
    forward_kinematics: str | None = None
    period_s: float | None = None

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("tick_loss", self.tick_loss, TICK_LOSSES),
            ("episode_loss", self.episode_loss, EPISODE_LOSSES),
            ("test", self.test, TESTS),
        ):
            if value not in allowed:
                raise ThresholdsError(f"{name} is '{value}'; write one of {', '.join(allowed)}")
        if self.test == "binomial" and (self.tick_loss, self.episode_loss) != ("binary", "max"):
            raise ThresholdsError(
                f"test is binomial for {self.tick_loss} losses and their {self.episode_loss}; it "
                "holds for binary and max only: certify again"
            )
        if not (0.0 <= self.observed_risk <= 1.0 and 0.0 <= self.p_value <= 1.0):
            raise ThresholdsError(
                f"observed_risk is {self.observed_risk}, p_value {self.p_value}; both lie in [0, 1]"
            )
        if not 0 <= self.member < self.members:
            raise ThresholdsError(
                f"member is {self.member} of {self.members}; count from 0, full depth"
            )
        if (self.executed_rows is None) != (self.forward_kinematics is None):
            raise ThresholdsError(
                "executed_rows and forward_kinematics belong together; give both, or neither"
            )
        if self.executed_rows is not None and self.executed_rows < 1:
            raise ThresholdsError(f"executed_rows is {self.executed_rows}; write 1 or more")
        if self.period_s is not None and not 0.0 <= self.period_s < math.inf:
            raise ThresholdsError(f"period_s is {self.period_s}; write 0 or more")
        if self.tried < 1:
            raise ThresholdsError(f"tried is {self.tried}; write 1 or more")
        if any(not value > 0.0 for value in self.further_tolerances.values()):
            raise ThresholdsError(
                f"further_tolerances is {dict(self.further_tolerances)}; write numbers above 0"
            )
        frozen = MappingProxyType(dict(self.further_tolerances))
        object.__setattr__(self, "further_tolerances", frozen)


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The mean loss of an episode is at most `risk`, with confidence 1 - `failure`.

    A tick is lost past `tolerance` (robot units); `episodes` were used to certify. Files of
    version 1 carry no evidence.
    """

    risk: float
    failure: float
    tolerance: float
    episodes: int
    evidence: Evidence | None = None

    def __post_init__(self) -> None:
        check_share("risk", self.risk)
        check_share("failure", self.failure)
        if not self.tolerance > 0.0:
            raise ThresholdsError(f"tolerance is {self.tolerance}; write a number above 0")
        if self.episodes < 1:
            raise ThresholdsError(f"episodes is {self.episodes}; write 1 or more")
        evidence = self.evidence
        if evidence is not None and evidence.p_value > self.failure / evidence.tried:
            raise ThresholdsError(
                f"p_value is {evidence.p_value}, above failure / tried "
                f"({self.failure / evidence.tried:g}): that certifies nothing"
            )


def certificate_of(
    found: Certification,
    *,
    deviation: str,
    tolerance: float,
    further_tolerances: Mapping[str, float],
    executed_rows: int,
    forward_kinematics: str,
    period_s: float,
    tick_loss: str,
    episode_loss: str,
) -> Certificate | None:
    """What to write of a walk through the family; None when it certified nothing."""
    if found.member is None:
        return None
    return Certificate(
        risk=found.risk,
        failure=found.failure,
        tolerance=tolerance,
        episodes=found.episodes,
        evidence=Evidence(
            deviation=deviation,
            further_tolerances=further_tolerances,
            tick_loss=tick_loss,
            episode_loss=episode_loss,
            test=found.test,
            p_value=float(found.p_values_M[found.member]),
            observed_risk=float(found.observed_M[found.member]),
            member=found.member,
            members=len(found.p_values_M),
            tried=found.tried,
            executed_rows=executed_rows,
            forward_kinematics=forward_kinematics,
            period_s=period_s,
        ),
    )


def certificate_mapping(certificate: Certificate) -> dict[str, Any]:
    """As plain values, for YAML."""
    content: dict[str, Any] = {
        "risk": float(certificate.risk),
        "failure": float(certificate.failure),
        "tolerance": float(certificate.tolerance),
        "episodes": int(certificate.episodes),
        "evidence": None,
    }
    evidence = certificate.evidence
    if evidence is not None:
        content["evidence"] = {
            "deviation": evidence.deviation,
            "further_tolerances": {k: float(v) for k, v in evidence.further_tolerances.items()},
            "tick_loss": evidence.tick_loss,
            "episode_loss": evidence.episode_loss,
            "test": evidence.test,
            "p_value": float(evidence.p_value),
            "observed_risk": float(evidence.observed_risk),
            "member": int(evidence.member),
            "members": int(evidence.members),
            "tried": int(evidence.tried),
            "executed_rows": evidence.executed_rows,
            "forward_kinematics": evidence.forward_kinematics,
            "period_s": None if evidence.period_s is None else float(evidence.period_s),
        }
    return content


def read_certificate(fields: Fields, version: int) -> Certificate | None:
    """The key `certificate` of a thresholds file; raises ThresholdsError naming file and field."""
    if fields.peek("certificate") is None:
        fields.raw("certificate")
        return None
    part = fields.section("certificate")
    values: dict[str, Any] = {
        "risk": part.number("risk", low=0.0),
        "failure": part.number("failure", low=0.0),
        "tolerance": part.number("tolerance", low=0.0),
        "episodes": part.whole("episodes", least=1),
    }
    if version > 1:
        values["evidence"] = _read_evidence(part, version)
    part.done()
    return _checked(part, Certificate, values)


def _read_evidence(fields: Fields, version: int) -> Evidence | None:
    if fields.peek("evidence") is None:
        fields.raw("evidence")
        return None
    part = fields.section("evidence")
    names = part.peek("further_tolerances")
    further = part.section("further_tolerances")
    values: dict[str, Any] = {
        "deviation": part.text("deviation"),
        "further_tolerances": {name: further.number(name, low=0.0) for name in names},
        "tick_loss": part.text("tick_loss", TICK_LOSSES),
        "episode_loss": part.text("episode_loss", EPISODE_LOSSES),
        "test": part.text("test", TESTS),
        "p_value": part.number("p_value"),
        "observed_risk": part.number("observed_risk"),
        "member": part.whole("member", least=0),
        "members": part.whole("members", least=1),
        "tried": part.whole("tried", least=1),
    }
    if version > 2:
        values["executed_rows"] = part.whole_or_none("executed_rows", least=1)
        values["forward_kinematics"] = _text_or_none(part, "forward_kinematics")
    if version > 3:
        none = part.peek("period_s") is None
        values["period_s"] = part.raw("period_s") if none else part.number("period_s")
    part.done()
    return _checked(part, Evidence, values)


def _text_or_none(fields: Fields, key: str) -> str | None:
    """Text, which may be empty, or YAML's null."""
    value = fields.raw(key)
    if value is not None and not isinstance(value, str):
        raise fields.fail(key, value, "write some text, '' or null")
    return value


def bag_mapping(bag: Bag) -> dict[str, Any]:
    """As plain values, for YAML."""
    return {
        "digest": bag.digest,
        "ticks": bag.ticks,
        "episodes": bag.episodes,
        "certify": list(bag.certify),
    }


def read_bags(fields: Fields, version: int) -> dict[str, Bag]:
    """The key `bags` of a thresholds file; raises ThresholdsError naming file, bag and field."""
    bags: dict[str, Bag] = {}
    for name, content in fields.mapping("bags").items():
        where = f"{fields.where}.bags.{name}"
        part = Fields({"digest": content} if version == 1 else content, where, ThresholdsError)
        values: dict[str, Any] = {"digest": part.text("digest")}
        if version > 1:
            values["ticks"] = part.whole_or_none("ticks", least=0)
            values["episodes"] = part.whole_or_none("episodes", least=0)
            values["certify"] = _numbers(part, "certify")
        part.done()
        bags[name] = _checked(part, Bag, values)
    return bags


def _numbers(fields: Fields, key: str) -> tuple[int, ...]:
    value = fields.raw(key)
    if not isinstance(value, list) or any(type(number) is not int for number in value):
        raise fields.fail(key, value, "write a list of whole numbers")
    return tuple(value)


def _checked(part: Fields, kind: Any, values: dict[str, Any]) -> Any:
    """An instance, whose own complaint gets the place in the file put before it."""
    try:
        return kind(**values)
    except ThresholdsError as why:
        raise ThresholdsError(f"{part.where}: {why}") from None
