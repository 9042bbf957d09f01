"""The calibration node's parameters, and the request that they make of a goal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a1_calibration.request import Promise, Request, parse_budget
from a1_core.episode_loss import EPISODE_LOSSES, TICK_LOSSES
from a1_core.errors import ThresholdsError
from a1_core.p_values import TESTS
from a1_data.reader import ReadSettings
from a1_ros.parameters import ParameterSpec

SPECS = (
    ParameterSpec(name="robot", default="", description="File of the robot spec"),
    ParameterSpec(name="checkpoint", default="", description="Directory of the checkpoint"),
    ParameterSpec(
        name="unit",
        default="",
        description="Of a goal's tolerance: m at the tool tip or rad of the joints; empty: m where "
        "the robot spec has kinematics",
        choices=("", "m", "rad"),
    ),
    ParameterSpec(
        name="budget",
        default="",
        description="depth=0.5, flops=0.6, ms=30 or hz=20, for goals without a parameter; empty: "
        "as aggressive as the certificate allows",
    ),
    ParameterSpec(
        name="gripper_tolerance",
        default=Promise.gripper,
        description="Deviation of a gripper (0..1) past which a tick is lost",
        range=(1e-6, 10.0),
    ),
    ParameterSpec(
        name="tick_loss",
        default=Promise.tick_loss,
        description="Loss of a tick: past a tolerance or not, or the share of it that is used up",
        choices=TICK_LOSSES,
    ),
    ParameterSpec(
        name="episode_loss",
        default=Promise.episode_loss,
        description="Loss of an episode: of its worst tick, or their mean",
        choices=EPISODE_LOSSES,
    ),
    ParameterSpec(
        name="test",
        default=Promise.test,
        description="Of the certificate; empty: the strongest for its losses; betting where "
        "episodes are to be added later",
        choices=("", *TESTS),
    ),
    ParameterSpec(
        name="tried",
        default=Promise.tried,
        description="Calibrations held against the same certifying episodes, of which the best is "
        "used; failure is split over them",
        range=(1, 1000),
    ),
    ParameterSpec(
        name="executed",
        default=Request.executed_s,
        description="First seconds of a chunk [s], over which deviations and discrepancies "
        "count; 0: all",
        range=(0.0, 60.0),
    ),
    ParameterSpec(
        name="period",
        default=0.3,
        description="Use a tick only so long after the last one [s]; 0: every tick",
        range=(0.0, 60.0),
    ),
    ParameterSpec(
        name="complete_states",
        default=True,
        description="Wait for every joint state to reach a tick; false: as a node on a robot",
    ),
    ParameterSpec(
        name="events", default=True, description="Split bags by the episode events they carry"
    ),
    ParameterSpec(
        name="instruction",
        default="",
        description="For episodes that a bag has no instruction for",
    ),
    ParameterSpec(
        name="certify_share",
        default=Request.certify_share,
        description="Share of the episodes kept from the fit where no bags are named for it",
        range=(0.0, 1.0),
    ),
    ParameterSpec(
        name="family_size",
        default=Request.family_size,
        description="Settings that the certificate walks through at most",
        range=(2, 1000),
    ),
    ParameterSpec(
        name="spool",
        default="",
        description="Folder into which live topics are written for goals that name no bags; empty: "
        "such goals are refused",
    ),
    ParameterSpec(
        name="live_gap",
        default=1.0,
        description="Silence of the first camera that ends a live episode, where no episode events "
        "are heard [s]",
        range=(0.1, 600.0),
    ),
    ParameterSpec(
        name="live_quiet",
        default=10.0,
        description="Silence of the first camera that ends listening to live topics [s]",
        range=(0.1, 3600.0),
    ),
    ParameterSpec(
        name="batch",
        default=Request.batch,
        description="Ticks computed at once",
        range=(1, 4096),
    ),
    ParameterSpec(
        name="threads",
        default=Request.threads,
        description="CPU threads of the model",
        range=(1, 256),
    ),
    ParameterSpec(
        name="device", default=Request.device, description="Device of the model, e.g. cuda"
    ),
    ParameterSpec(
        name="ray",
        default="",
        description="Address of a Ray cluster that computes discrepancies, local for one on this "
        "machine; empty: this node does",
    ),
)


def is_live(goal: Any) -> bool:
    """Whether a Calibrate goal names no bags, and so is about what the topics carry now."""
    return not (goal.fit_bags or goal.certificate_bags)


def request_of_goal(goal: Any, values: Mapping[str, Any], now: str) -> Request:
    """The request of a Calibrate goal; raises A1Error naming the field that cannot be.

    Args:
        now: names the folder below `spool` for a goal without bags.
    """
    if not goal.output:
        raise ThresholdsError("output is empty; name the thresholds file to write")
    if not values["checkpoint"]:
        raise ThresholdsError("parameter checkpoint is empty; set it to a checkpoint's directory")
    bags = [Path(path) for path in goal.fit_bags]
    if is_live(goal):
        if not values["spool"]:
            raise ThresholdsError(
                "fit_bags is empty; name bags, or set parameter spool to the folder that live "
                "topics are to be written to"
            )
        bags = [Path(values["spool"]) / now]
    promise = None
    for name in ("failure", "tolerance"):
        if goal.risk == 0.0 and getattr(goal, name) != 0.0:
            raise ThresholdsError(
                f"{name} is {getattr(goal, name)}, but risk 0 certifies nothing; give a risk, or 0"
            )
    if goal.risk != 0.0:
        promise = Promise(
            risk=goal.risk,
            failure=goal.failure,
            tolerance=goal.tolerance or None,
            unit=values["unit"],
            gripper=values["gripper_tolerance"],
            tick_loss=values["tick_loss"],
            episode_loss=values["episode_loss"],
            test=values["test"],
            tried=values["tried"],
        )
    budget = None
    if values["budget"] and not goal.parameter:
        budget = parse_budget(values["budget"])
    return Request(
        checkpoint=Path(values["checkpoint"]),
        fit_bags=tuple(bags),
        certify_bags=tuple(map(Path, goal.certificate_bags)),
        out=Path(goal.output),
        budget=budget,
        parameter=goal.parameter or None,
        promise=promise,
        fit=goal.fit,
        distribution=goal.distribution,
        metric=goal.metric,
        family_size=values["family_size"],
        certify_share=values["certify_share"],
        executed_s=values["executed"],
        batch=values["batch"],
        threads=values["threads"],
        device=values["device"],
        ray=values["ray"],
        read=ReadSettings(
            instruction=values["instruction"],
            period_s=values["period"],
            complete_states=values["complete_states"],
            events=values["events"],
        ),
    )
