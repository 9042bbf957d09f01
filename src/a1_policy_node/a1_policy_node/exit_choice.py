"""How exits are chosen now: mode, thresholds file, deadline. Changes while the node runs."""

import array
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from a1_msgs.msg import ThresholdsInfo

from a1_core.audit import AuditRule, AuditState
from a1_core.errors import A1Error
from a1_core.exit_rule import Thresholds, starts_from_each_other
from a1_core.policy import ExitSetting
from a1_core.thresholds_file import (
    ThresholdsFile,
    bindings_of,
    check_thresholds,
    read_thresholds,
)
from a1_policy_node.audit_book import AuditBook
from a1_policy_node.audit_plan import AuditPlan, plan_audit
from a1_policy_node.coverage import not_covered
from a1_policy_node.loading import Loaded
from a1_policy_node.settings import Settings
from a1_ros.messages import floats
from a1_ros.times import ns_to_stamp

MODES = {
    "adaptive": ThresholdsInfo.ADAPTIVE,
    "fixed": ThresholdsInfo.FIXED,
    "full": ThresholdsInfo.FULL,
}


@dataclass(frozen=True, kw_only=True)
class ExitChoice:
    """What the policy is asked for.

    Attributes:
        setting: as the audit left it: a safer one than the file's after an alarm.
        file: None without thresholds.
        audit: how chunks are audited; None where they are not, for the reason `not_audited`.
        not_covered: why the file's certificate does not hold for how chunks are executed.
        rule, state: the audit of the file's certificate and where it stands; None where nothing
            is certified or nothing leaves early by thresholds.
    """

    setting: ExitSetting
    deadline_s: float | None
    file: ThresholdsFile | None
    audit: AuditPlan | None = None
    not_audited: str = "nothing leaves early by thresholds"
    not_covered: str = ""
    rule: AuditRule | None = None
    state: AuditState | None = None

    @property
    def thresholds_digest(self) -> str:
        """SHA-256 (hex) of the thresholds in use; empty where none are."""
        thresholds = self.setting.thresholds
        return "" if thresholds is None else thresholds.digest


def choose(loaded: Loaded, settings: Settings, book: AuditBook | None = None) -> ExitChoice:
    """The choice that the settings ask for; without thresholds, adaptive means full depth.

    Without a book nothing is audited and the file's own thresholds are in force.

    Raises A1Error when the thresholds cannot be read or are bound to something else, when their
    certificate cannot be audited as it was made, or when the checkpoint has no such fixed exit.
    """
    file = _bound_thresholds(loaded, settings.thresholds) if settings.thresholds else None
    exits = tuple(loaded.checkpoint.config.exits)
    if settings.mode == "fixed" and settings.fixed_exit not in exits:
        raise A1Error(
            f"parameter fixed_exit: block {settings.fixed_exit} is no exit of the checkpoint; "
            f"choose one of {', '.join(map(str, exits))}"
        )
    if settings.mode == "fixed":
        setting = ExitSetting(mode="fixed", fixed_exit=settings.fixed_exit)
    elif settings.mode == "adaptive" and file is not None:
        return _adaptive(loaded, settings, file, book)
    else:
        setting = ExitSetting(mode="full")
    return ExitChoice(setting=setting, deadline_s=settings.deadline_s, file=file)


def _adaptive(
    loaded: Loaded, settings: Settings, file: ThresholdsFile, book: AuditBook | None
) -> ExitChoice:
    """The file's thresholds, or the safer ones that its audit has stepped back to."""
    choice = ExitChoice(
        setting=ExitSetting(mode="adaptive", thresholds=file.thresholds),
        deadline_s=settings.deadline_s,
        file=file,
        not_audited="the thresholds carry no certificate",
    )
    certificate, digest = file.certificate, file.thresholds.digest
    if certificate is None or book is None:
        return choice
    rule = AuditRule(risk=certificate.risk, alpha=settings.audit_alpha, thresholds=digest)
    state = book.state(rule, family_size(file) - 1)
    plan = plan_audit(loaded, settings, file, rule, state.setting)
    thresholds = thresholds_of(file, state.setting)
    return replace(
        choice,
        setting=ExitSetting(mode="full")
        if thresholds is None
        else ExitSetting(mode="adaptive", thresholds=thresholds),
        audit=plan if isinstance(plan, AuditPlan) else None,
        not_audited="" if isinstance(plan, AuditPlan) else plan,
        not_covered=not_covered(settings, loaded.spec, certificate.evidence),
        rule=rule,
        state=state,
    )


def revise(choice: ExitChoice, loaded: Loaded, settings: Settings, book: AuditBook) -> ExitChoice:
    """The choice once the audit has gone on; the thresholds file is not read again."""
    if choice.file is None or choice.rule is None:
        return choice
    return _adaptive(loaded, settings, choice.file, book)


def family_size(file: ThresholdsFile) -> int:
    """Settings to step back through, full depth and the file's own included."""
    return max(1, len(file.safer)) + 1


def thresholds_of(file: ThresholdsFile, setting: int) -> Thresholds | None:
    """Thresholds of a setting of the family; None for full depth, which needs none."""
    if setting == 0:
        return None
    if setting == family_size(file) - 1:
        return file.thresholds
    return replace(file.thresholds, eta=file.safer[setting])


def _bound_thresholds(loaded: Loaded, path: str) -> ThresholdsFile:
    """The file, made sure that it is for this robot and checkpoint."""
    file = read_thresholds(path)
    config = loaded.checkpoint.config
    exits = tuple(config.exits)
    free = not starts_from_each_other(config.head, config.start)
    some = free and set(file.thresholds.exits) <= set(exits)
    check_thresholds(
        file,
        path=path,
        bindings=bindings_of(loaded.checkpoint, loaded.spec),
        exits=file.thresholds.exits if some else exits,
    )
    return file


def thresholds_info(loaded: Loaded, choice: ExitChoice, now_ns: int) -> ThresholdsInfo:
    """What a1/thresholds_info says of a choice."""
    checkpoint, setting, file = loaded.checkpoint, choice.setting, choice.file
    exits = tuple(checkpoint.config.exits)
    fixed = setting.fixed_exit
    info = ThresholdsInfo(
        stamp=ns_to_stamp(now_ns),
        mode=MODES[setting.mode],
        fixed_exit=-1 if fixed is None else exits.index(fixed),
        checkpoint_digest=checkpoint.digest,
        normaliser_digest=checkpoint.normaliser.digest,
        spec_digest=loaded.spec.digest,
        head=checkpoint.config.head,
        num_steps=checkpoint.config.num_steps,
        start=checkpoint.config.start,
        metric=checkpoint.config.metric if file is None else file.thresholds.metric,
        exits=array.array("I", [block + 1 for block in exits]),
    )
    if file is not None:
        _describe(info, file, exits)
        if choice.not_covered:
            info.certified = False
        if choice.state is not None and choice.state.alarms:
            _describe_alarm(info, file, exits, choice.state.setting)
    return info


def _of_all(exits: tuple[int, ...], file: ThresholdsFile, values: Sequence[float]) -> array.array:
    """Values of the file's exits at their places among all; NaN for those that it leaves out."""
    known = dict(zip(file.thresholds.exits, values, strict=True))
    return floats([known.get(block, math.nan) for block in exits])


def _describe(info: ThresholdsInfo, file: ThresholdsFile, exits: tuple[int, ...]) -> None:
    """Fill in what a thresholds file says of itself."""
    info.thresholds_digest = file.thresholds.digest
    info.fit, info.distribution, info.parameter = file.fit, file.distribution, file.parameter
    info.samples, info.episodes = file.samples, file.episodes
    info.thresholds = _of_all(exits, file, file.thresholds.eta)
    info.requested_rates = _of_all(exits, file, file.requested_rates)
    info.realised_rates = _of_all(exits, file, file.realised_rates)
    certificate = file.certificate
    info.certified = certificate is not None
    if certificate is not None:
        info.risk, info.failure = certificate.risk, certificate.failure
        info.tolerance = certificate.tolerance
        info.certificate_episodes = certificate.episodes


def _describe_alarm(
    info: ThresholdsInfo, file: ThresholdsFile, exits: tuple[int, ...], setting: int
) -> None:
    """What an alarm leaves of that: a safer setting, of which nothing is promised here."""
    thresholds = thresholds_of(file, setting)
    rest = len(file.thresholds.eta) - 1
    eta = (*[-math.inf] * rest, math.inf) if thresholds is None else thresholds.eta
    info.certified = False
    info.thresholds = _of_all(exits, file, eta)
    info.requested_rates = floats([math.nan] * len(exits))
    info.realised_rates = floats([math.nan] * len(exits))
