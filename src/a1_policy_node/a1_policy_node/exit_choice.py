"""How exits are chosen now: mode, thresholds file, deadline. Changes while the node runs."""

from dataclasses import dataclass

from a1_core.errors import A1Error
from a1_core.policy import ExitSetting
from a1_msgs.msg import ThresholdsInfo
from a1_policy_node.loading import Loaded
from a1_policy_node.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ExitChoice:
    """What the policy is asked for, and where its thresholds come from."""

    setting: ExitSetting
    deadline_s: float | None
    thresholds_digest: str


def choose(loaded: Loaded, settings: Settings) -> ExitChoice:
    """The choice that the settings ask for.

    Raises A1Error when the thresholds are for another checkpoint, or the exit is none.
    """
    exits = tuple(loaded.checkpoint.config.exits)
    if settings.mode == "fixed" and settings.fixed_exit not in exits:
        raise A1Error(
            f"parameter fixed_exit: block {settings.fixed_exit} is no exit of the checkpoint; "
            f"choose one of {', '.join(map(str, exits))}"
        )
    return ExitChoice(
        setting=ExitSetting(mode="full"), deadline_s=settings.deadline_s, thresholds_digest=""
    )


def thresholds_info(choice: ExitChoice, now_ns: int) -> ThresholdsInfo:
    return ThresholdsInfo()
