"""How exits are chosen now: mode, thresholds file, deadline. Changes while the node runs."""

import array
from dataclasses import dataclass

from a1_msgs.msg import ThresholdsInfo

from a1_core.errors import A1Error
from a1_core.policy import ExitSetting
from a1_core.thresholds_file import ThresholdsFile, check_thresholds, read_thresholds
from a1_policy_node.loading import Loaded
from a1_policy_node.settings import Settings
from a1_ros.messages import floats
from a1_ros.times import ns_to_stamp

MODES = {
    "adaptive": ThresholdsInfo.ADAPTIVE,
    "fixed": ThresholdsInfo.FIXED,
    "full": ThresholdsInfo.FULL,
}
CHAINED_STARTS = ("direct", "renoise")
"""Starts in which an exit goes on from the one before: thresholds must look at every exit."""


@dataclass(frozen=True, kw_only=True)
class ExitChoice:
    """What the policy is asked for; `file` is None without thresholds."""

    setting: ExitSetting
    deadline_s: float | None
    file: ThresholdsFile | None

    @property
    def thresholds_digest(self) -> str:
        """SHA-256 (hex) of the thresholds in use; empty where none are."""
        thresholds = self.setting.thresholds
        return "" if thresholds is None else thresholds.digest


def choose(loaded: Loaded, settings: Settings) -> ExitChoice:
    """The choice that the settings ask for; without thresholds, adaptive means full depth.

    Raises A1Error when the thresholds cannot be read or are bound to something else, or when the
    fixed exit is none of the checkpoint's.
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
        setting = ExitSetting(mode="adaptive", thresholds=file.thresholds)
    else:
        setting = ExitSetting(mode="full")
    return ExitChoice(setting=setting, deadline_s=settings.deadline_s, file=file)


def _bound_thresholds(loaded: Loaded, path: str) -> ThresholdsFile:
    """The file, made sure that it is for this robot and checkpoint."""
    file = read_thresholds(path)
    config = loaded.checkpoint.config
    exits = tuple(config.exits)
    some = set(file.thresholds.exits) <= set(exits) and config.start not in CHAINED_STARTS
    check_thresholds(
        file,
        path=path,
        bindings={
            "checkpoint": loaded.checkpoint.digest,
            "normaliser": loaded.checkpoint.normaliser.digest,
            "robot_spec": loaded.spec.digest,
            "head": config.head,
            "num_steps": config.num_steps,
            "start": config.start,
        },
        metric=config.metric,
        exits=file.thresholds.exits if some else exits,
    )
    return file


def thresholds_info(loaded: Loaded, choice: ExitChoice, now_ns: int) -> ThresholdsInfo:
    """What a1/thresholds_info says of a choice."""
    checkpoint, setting, file = loaded.checkpoint, choice.setting, choice.file
    exits = tuple(checkpoint.config.exits if file is None else file.thresholds.exits)
    fixed = setting.fixed_exit
    info = ThresholdsInfo(
        stamp=ns_to_stamp(now_ns),
        mode=MODES[setting.mode],
        fixed_exit=-1 if fixed is None else tuple(checkpoint.config.exits).index(fixed),
        checkpoint_digest=checkpoint.digest,
        normaliser_digest=checkpoint.normaliser.digest,
        spec_digest=loaded.spec.digest,
        head=checkpoint.config.head,
        num_steps=checkpoint.config.num_steps,
        start=checkpoint.config.start,
        metric=checkpoint.config.metric,
        exits=array.array("I", [block + 1 for block in exits]),
    )
    if file is not None:
        _describe(info, file)
    return info


def _describe(info: ThresholdsInfo, file: ThresholdsFile) -> None:
    """Fill in what a thresholds file says of itself."""
    info.thresholds_digest = file.thresholds.digest
    info.fit, info.distribution, info.parameter = file.fit, file.distribution, file.parameter
    info.samples, info.episodes = file.samples, file.episodes
    info.thresholds = floats(file.thresholds.eta)
    info.requested_rates = floats(file.requested_rates)
    info.realised_rates = floats(file.realised_rates)
    certificate = file.certificate
    info.certified = certificate is not None
    if certificate is not None:
        info.risk, info.failure = certificate.risk, certificate.failure
        info.tolerance = certificate.tolerance
        info.certificate_episodes = certificate.episodes
