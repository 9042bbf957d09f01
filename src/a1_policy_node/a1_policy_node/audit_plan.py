"""How a certificate is audited: with the measure, tolerances and losses that it was made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from a1_core.audit import AuditRule
from a1_core.deviation import DeviationMeter
from a1_core.episode_loss import EpisodeLoss, TickLoss, tick_losses
from a1_core.errors import ThresholdsError
from a1_core.thresholds_file import ThresholdsFile
from a1_policy_node.coverage import not_covered
from a1_policy_node.loading import Loaded
from a1_policy_node.settings import Settings


@dataclass(frozen=True, kw_only=True, eq=False)
class AuditPlan:
    """How a certificate is audited while one of its settings is in force.

    Attributes:
        rule: what is bet against; names the thresholds file by its digest.
        setting: index into the family, 0 is full depth.
        fraction: share of the ticks that are drawn, (0, 1].
        meter, tolerance_C, tick_loss, episode_loss: as the certificate took its losses.
    """

    rule: AuditRule
    setting: int
    fraction: float
    meter: DeviationMeter
    tolerance_C: tuple[float, ...]
    tick_loss: TickLoss
    episode_loss: EpisodeLoss

    def loss(
        self,
        published_HD: NDArray[np.floating],
        full_HD: NDArray[np.floating],
        state_D: NDArray[np.floating],
    ) -> float:
        """Loss of a tick in [0, 1], of the chunk that was published against full depth."""
        if not np.isfinite(full_HD).all():
            return 1.0
        deviation = self.meter(published_HD[None, None], full_HD[None], state_D[None])
        return float(tick_losses(deviation[0, 0], self.tolerance_C, self.tick_loss))

    def same(self, other: AuditPlan | None) -> bool:
        """Whether ticks of both may be taken together."""
        return other is not None and self.rule == other.rule and self.setting == other.setting


def plan_audit(
    loaded: Loaded, settings: Settings, file: ThresholdsFile, rule: AuditRule, setting: int
) -> AuditPlan | str:
    """The plan for a setting of the file's family, or why there is none.

    Raises A1Error when deviations cannot be taken as the certificate took them.
    """
    assert file.certificate is not None
    evidence = file.certificate.evidence
    if settings.audit_fraction == 0.0:
        return "switched off (audit_fraction is 0)"
    if setting == 0:
        return "full depth is in force: there is nothing to audit"
    spec = loaded.spec
    why = not_covered(settings, spec, evidence)
    if why:
        return why
    assert evidence is not None and evidence.executed_rows is not None
    unit = "m" if evidence.forward_kinematics else "rad"
    meter = DeviationMeter(spec, evidence.executed_rows * spec.policy.period_s, unit)
    if meter.kinematics != evidence.forward_kinematics:
        raise ThresholdsError(
            f"{settings.thresholds}: its certificate is about the tool tip by the kinematics "
            f"{evidence.forward_kinematics:.12}, those of {spec.path} are {meter.kinematics:.12}; "
            "use the spec that it was made with, calibrate again, or set audit_fraction to 0"
        )
    wanted = (evidence.deviation, *evidence.further_tolerances)
    if wanted != meter.names:
        raise ThresholdsError(
            f"{settings.thresholds}: certificate is about {', '.join(wanted)}, for this robot "
            f"{', '.join(meter.names)} are measured; calibrate again, or set audit_fraction to 0"
        )
    return AuditPlan(
        rule=rule,
        setting=setting,
        fraction=settings.audit_fraction,
        meter=meter,
        tolerance_C=(file.certificate.tolerance, *evidence.further_tolerances.values()),
        tick_loss=cast(TickLoss, evidence.tick_loss),
        episode_loss=cast(EpisodeLoss, evidence.episode_loss),
    )
