"""What the policy node says of its audit on /diagnostics."""

import math

from a1_policy_node.audit_book import AuditBook
from a1_policy_node.exit_choice import ExitChoice, family_size
from a1_policy_node.shadow import ShadowPasses
from a1_ros.diagnostics import Level, Status


def audit_status(choice: ExitChoice, book: AuditBook, passes: ShadowPasses | None) -> Status:
    """Where the audit stands; WARN after an alarm, as long as the thresholds are those."""
    file, rule, state = choice.file, choice.rule, choice.state
    if file is None or rule is None or state is None:
        return Status(message=f"no audit: {choice.not_audited}")
    last = family_size(file) - 1
    loss = book.last_loss(rule)
    values: dict[str, object] = {
        "setting in force (0: full depth)": f"{state.setting} of {last}",
        "alarms": state.alarms,
        "capital (alarm at)": f"{math.exp(state.log_capital):.3g} ({1 / rule.alpha:g})",
        "risk certified": rule.risk,
        "loss of the last audited episode": "none" if loss is None else f"{loss:.3g}",
        "episodes audited": state.audited,
        "episodes without an audited tick": state.unaudited,
    }
    if passes is not None:
        values["ticks audited"] = passes.ticks
        values["ticks that wait for their pass"] = passes.waiting
        values["ticks not audited under load"] = passes.dropped
        values["longest of the last passes [ms]"] = f"{1e3 * passes.full_s:.1f}"
    if state.alarms:
        message = (
            f"the certificate does not hold here (alarms: {state.alarms}): setting {state.setting} "
            f"of {last} (0: full depth) is in force; calibrate again with episodes like these"
        )
        return Status(level=Level.WARN, message=message, values=values)
    if choice.not_covered:
        message = f"the certificate does not hold for these settings: {choice.not_covered}"
        return Status(level=Level.WARN, message=message, values=values)
    if book.unwritten or choice.not_audited:
        message = book.unwritten or f"no audit: {choice.not_audited}"
        level = Level.WARN if book.unwritten else Level.OK
        return Status(level=level, message=message, values=values)
    return Status(message="nothing speaks against the certificate", values=values)
