"""A calibration from end to end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from a1_calibration.collect import Done, Measured, Ticks, collect, groups_of, measure_here
from a1_calibration.costs import cost_tables
from a1_calibration.fitting import Fitted, fit, with_tolerance
from a1_calibration.many_bags import Work, measure_on_ray, open_checkpoint
from a1_calibration.outcome import Outcome, explain, savings_of, thresholds_file
from a1_calibration.recordings import Recording, Split, open_recordings, pictures_of, split
from a1_calibration.report import ReportInput, write_report
from a1_calibration.request import Promise, Request, Tell, Warn
from a1_calibration.v_file import VFile
from a1_core.deviation import DeviationMeter
from a1_core.errors import ThresholdsError
from a1_core.exit_rule import metric_over, parse_metric
from a1_core.observation import Observation
from a1_core.p_values import more_episodes
from a1_core.spec import RobotSpec
from a1_core.thresholds_file import bindings_of, write_thresholds
from a1_model.checkpoint import LoadedCheckpoint

STEPS = 3


def calibrate(
    request: Request, spec: RobotSpec, tell: Tell, warn: Warn = lambda _: None
) -> Outcome:
    """Read the bags, fit, certify, write thresholds file and report.

    Args:
        tell: hears of progress; what it raises ends the calibration, which goes on from there
            when it is asked for again.
        warn: hears before anything is computed that nothing can be certified.

    Raises A1Error, naming file, field and mend, for anything that does not fit together. No
    thresholds file is written when nothing may leave early.
    """
    meter = DeviationMeter(spec, request.executed_s, request.unit)
    promise = with_tolerance(request.promise, meter.unit)
    checkpoint = open_checkpoint(request, spec)
    metric = _metric(request.metric or checkpoint.config.metric, meter)
    recordings = open_recordings(request.fit_bags, request.certify_bags, spec, request.read)
    told = too_few(request, recordings)
    if told:
        warn(told)
    bound = binding(request, spec, checkpoint, metric, recordings, meter)
    with VFile(request.v_path, bound, fresh=request.fresh) as file:
        ticks = collect(
            recordings,
            file,
            partial(_measure, request, checkpoint, meter, metric, recordings),
            tell,
        )
        tell("fit", 0, STEPS)
        names = ticks.episode_names(recordings)
        parts = split(
            recordings,
            list(dict.fromkeys(names)),
            request.certify_share,
            needed=request.promise is not None,
        )
        costs = cost_tables(checkpoint.policy, _an_observation(recordings, ticks), request.costs)
        tell("fit", 1, STEPS)
        fitted = fit(request, ticks, names, parts, costs, meter.unit)
        looks = _looks(request, promise, recordings, parts, file)
    tell("fit", STEPS, STEPS)
    tell("certify", 1, 1)
    savings = savings_of(fitted, fitted.member, costs)
    message = explain(request, fitted, savings, meter.names)
    if looks > promise.tried:
        message += (
            f" {looks} different certificates were asked of these episodes by now: to use the best "
            f"of them, give --tried {looks}, or certify on fresh ones."
        )
    written = None
    if fitted.member > 0:
        content = thresholds_file(
            request, checkpoint, spec, metric, recordings, ticks, fitted, meter
        )
        written = write_thresholds(request.out, content)
    elif request.out.exists():
        message += f" {request.out} is of an earlier calibration and stays as it is."
    tell("report", 0, 1)
    report = write_report(
        request.report_path,
        ReportInput(
            request=replace(request, promise=promise),
            robot=spec.robot,
            checkpoint_digest=checkpoint.digest,
            metric=metric,
            exits=checkpoint.config.exits,
            layers=checkpoint.config.backbone.layers,
            deviations=meter.names,
            ticks=ticks,
            fitted=fitted,
            costs=costs,
            message=message,
            recordings=recordings,
            pictures=deepest_pictures(
                recordings, ticks, fitted, checkpoint.config.exits, request.pictures
            ),
        ),
    )
    tell("report", 1, 1)
    return Outcome(
        file=written,
        message=message,
        samples=ticks.count,
        episodes=len(set(names)),
        savings=savings,
        report=report,
    )


def _looks(
    request: Request,
    promise: Promise,
    recordings: tuple[Recording, ...],
    parts: Split,
    file: VFile,
) -> int:
    """How many different certificates, this one included, were asked of some of these episodes.

    The same one asked for again is no choice between two. Nor is it with more episodes where the
    test allows for that.
    """
    if request.promise is None:
        return 0
    contents = {
        recording.episode_name(k): f"{recording.bag.digest}#{k}"
        for recording in recordings
        for k in range(len(recording.bag.episodes))
    }
    fitted, certified = (
        sorted(contents[name] for name in names) for names in (parts.fit, parts.held_out)
    )
    asked = {
        "fit": [request.fit, request.distribution, request.parameter, request.choose_exits],
        "budget": None if request.budget is None else vars(request.budget),
        "family": request.family_size,
        "promise": {k: v for k, v in vars(promise).items() if k != "tried"},
        "fitted": fitted,
        "certified": None if promise.used_test == "betting" else certified,
    }
    digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    file.look(json.dumps([digest, certified]))
    looks = map(json.loads, file.looks)
    return len({other for other, episodes in looks if not set(episodes).isdisjoint(certified)})


def too_few(request: Request, recordings: tuple[Recording, ...]) -> str:
    """What to say where the episodes are too few to certify anything, whatever comes of them."""
    promise = request.promise
    names = [
        recording.episode_name(k)
        for recording in recordings
        for k in range(len(recording.bag.episodes))
    ]
    if promise is None or len(names) < 2:
        return ""
    held = len(split(recordings, names, request.certify_share, needed=True).held_out)
    missing = more_episodes(
        np.zeros(held),
        promise.risk,
        promise.failure / promise.tried,
        promise.used_test,
    )
    if not missing:
        return ""
    return (
        f"{held} of {len(names)} episodes are kept for the certificate; a risk of {promise.risk:g} "
        f"takes {held + missing} even if none has a loss, so nothing will be certified. Record "
        "more first, or give a budget without --certify."
    )


def _metric(asked: str, meter: DeviationMeter) -> str:
    """Over the executed rows, unless it says itself over how many; no more than there are."""
    horizon = meter.spec.policy.horizon
    _, rows = parse_metric(asked)
    if rows is not None and rows > horizon:
        raise ThresholdsError(
            f"metric is '{asked}', but a chunk has {horizon} rows; write at most so many"
        )
    return metric_over(asked, meter.rows)


def _measure(
    request: Request,
    checkpoint: LoadedCheckpoint,
    meter: DeviationMeter,
    metric: str,
    recordings: tuple[Recording, ...],
    done: Done,
) -> Generator[Measured, None, None]:
    """Here, or on a Ray cluster where an address is given."""
    camera = meter.spec.cameras[0]
    ticks_per_image = 1.0 / max(1.0, camera.rate_hz * request.read.period_s)
    groups = groups_of(recordings, request.batch, ticks_per_image)
    if not request.ray:
        return measure_here(checkpoint.policy, meter, metric, groups, request.batch, done)
    work = Work.of(request, meter.spec, checkpoint.digest, metric)
    return measure_on_ray(work, groups, done)


def binding(
    request: Request,
    spec: RobotSpec,
    checkpoint: LoadedCheckpoint,
    metric: str,
    recordings: tuple[Recording, ...],
    meter: DeviationMeter,
) -> dict[str, Any]:
    """What discrepancies belong to: when anything of it differs they are not used."""
    policy = checkpoint.policy
    return {
        **bindings_of(checkpoint, spec),
        "signal": policy.settings.compared,
        "metric": metric,
        "exits": list(checkpoint.config.exits),
        "seed": policy.seed,
        "device": policy.device.type,
        "deviation": list(meter.names),
        "executed_rows": meter.rows,
        "forward_kinematics": meter.kinematics,
        "instruction": request.read.instruction,
        "period_s": request.read.period_s,
        "complete_states": request.read.complete_states,
        "events": request.read.events,
        "bags": {recording.name: recording.bag.digest for recording in recordings},
    }


def _an_observation(recordings: tuple[Recording, ...], ticks: Ticks) -> Observation:
    """The first one, to measure what a tick costs."""
    return next(iter(recordings[int(ticks.bag_N[0])].bag.frames())).observation


def deepest_pictures(
    recordings: tuple[Recording, ...],
    ticks: Ticks,
    fitted: Fitted,
    exits: tuple[int, ...],
    count: int,
) -> list[tuple[str, dict]]:
    """Titles and images of the judged ticks that are hardest for the chosen setting.

    Those that go deepest come first; among them those whose last discrepancy V is largest. At most
    two an episode, so that one bad episode does not fill the page.
    """
    member = fitted.member or len(fitted.family) - 1
    taken_N = fitted.taken(member)
    judged = np.flatnonzero(fitted.judged_N)
    last_N = np.nan_to_num(fitted.V_PN[-1, judged])
    chosen: list[int] = []
    per_episode: dict[str, int] = {}
    for place in np.lexsort((-last_N, -taken_N)):
        name = fitted.names[judged[place]]
        if per_episode.get(name, 0) < 2:
            per_episode[name] = per_episode.get(name, 0) + 1
            chosen.append(int(place))
        if len(chosen) == count:
            break
    titles = {}
    for place in chosen:
        tick = judged[place]
        key = (int(ticks.bag_N[tick]), int(ticks.episode_N[tick]), int(ticks.stamp_N[tick]))
        titles[key] = (
            f"{fitted.names[tick]}\nlayer {exits[taken_N[place]] + 1}, V {last_N[place]:.3g}"
        )
    found = dict(pictures_of(recordings, list(titles)))
    return [(title, found[key]) for key, title in titles.items() if key in found]
