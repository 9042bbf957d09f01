"""Whether chunks are executed as a certificate took them: no more rows, no more ticks a second."""

from __future__ import annotations

from a1_core.provenance import Evidence
from a1_core.spec import RobotSpec
from a1_policy_node.settings import Settings

_ROUNDING_S = 1e-9


def not_covered(settings: Settings, spec: RobotSpec, evidence: Evidence | None) -> str:
    """Why a certificate does not hold for the node's settings; empty where it does.

    What is played of a chunk while a slow inference runs is not known here: `executed_rows` of the
    certificate have to leave room for it beyond the replan period.
    """
    if evidence is None or evidence.executed_rows is None or evidence.period_s is None:
        return (
            "the thresholds file is of an older version that does not say which rows and ticks "
            "its certificate counts; calibrate again"
        )
    certified, row_s = evidence.executed_rows, spec.policy.period_s
    mend = "calibrate for that (--executed, --period), or set what was certified"
    if settings.execution == "synchronous":
        played = min(settings.executed_rows or spec.policy.horizon, spec.policy.horizon)
        if played > certified:
            return (
                f"synchronous execution plays {played} rows of a chunk, the certificate is about "
                f"the first {certified}; {mend} (executed_rows)"
            )
        tick_s = (played - 1) * row_s  # row 0 is where the arm is
    else:
        tick_s = settings.replan_period
        if settings.execution == "ensemble" and certified < spec.policy.horizon:
            return (
                f"ensemble executes all {spec.policy.horizon} rows of a chunk in part, the "
                f"certificate is about the first {certified}; {mend} (execution)"
            )
        if tick_s > certified * row_s + _ROUNDING_S:
            return (
                f"replan_period is {tick_s:g} s, the certificate is about the first "
                f"{certified * row_s:g} s of a chunk; {mend} (replan_period)"
            )
    # More ticks make the worst of an episode worse, their mean not.
    if evidence.episode_loss == "max" and tick_s < evidence.period_s - _ROUNDING_S:
        return (
            f"a chunk is made every {tick_s:g} s, the certificate counts a tick every "
            f"{evidence.period_s:g} s; {mend} (replan_period, executed_rows)"
        )
    return ""
