"""How exits are chosen now: mode, thresholds file, deadline. Changes while the node runs."""

import array
from dataclasses import dataclass

from a1_msgs.msg import ThresholdsInfo

from a1_core.errors import A1Error, ThresholdsError
from a1_core.policy import ExitSetting
from a1_policy_node.loading import Loaded
from a1_policy_node.settings import Settings
from a1_ros.times import ns_to_stamp

MODES = {
    "adaptive": ThresholdsInfo.ADAPTIVE,
    "fixed": ThresholdsInfo.FIXED,
    "full": ThresholdsInfo.FULL,
}


@dataclass(frozen=True, kw_only=True)
class ExitChoice:
    """What the policy is asked for, and where its thresholds come from."""

    setting: ExitSetting
    deadline_s: float | None
    thresholds_digest: str


def choose(loaded: Loaded, settings: Settings) -> ExitChoice:
    """The choice that the settings ask for; without thresholds, adaptive means full depth.

    Raises A1Error when the thresholds cannot be read or are bound to something else, or when the
    fixed exit is none of the checkpoint's.
    """
    if settings.thresholds:
        raise ThresholdsError(settings.thresholds)
    exits = tuple(loaded.checkpoint.config.exits)
    if settings.mode == "fixed" and settings.fixed_exit not in exits:
        raise A1Error(
            f"parameter fixed_exit: block {settings.fixed_exit} is no exit of the checkpoint; "
            f"choose one of {', '.join(map(str, exits))}"
        )
    if settings.mode == "fixed":
        setting = ExitSetting(mode="fixed", fixed_exit=settings.fixed_exit)
    else:
        setting = ExitSetting(mode="full")
    return ExitChoice(setting=setting, deadline_s=settings.deadline_s, thresholds_digest="")


def thresholds_info(loaded: Loaded, choice: ExitChoice, now_ns: int) -> ThresholdsInfo:
    """What a1/thresholds_info says of a choice."""
    checkpoint, setting = loaded.checkpoint, choice.setting
    exits = tuple(checkpoint.config.exits)
    return ThresholdsInfo(
        stamp=ns_to_stamp(now_ns),
        mode=MODES[setting.mode],
        fixed_exit=-1 if setting.fixed_exit is None else exits.index(setting.fixed_exit),
        thresholds_digest=choice.thresholds_digest,
        checkpoint_digest=checkpoint.digest,
        normaliser_digest=checkpoint.normaliser.digest,
        spec_digest=loaded.spec.digest,
        head=checkpoint.config.head,
        num_steps=checkpoint.config.num_steps,
        start=checkpoint.config.start,
        metric=checkpoint.config.metric,
        exits=array.array("I", [block + 1 for block in exits]),
    )
