"""What the policy node says on /diagnostics: what is wrong, and what to do."""

import math
from collections.abc import Mapping

from a1_core.errors import ObservationRefused
from a1_core.stream_rate import falls_short
from a1_policy_node.statistics import InferenceStatistics, StreamStatistics
from a1_policy_node.task import Task
from a1_ros.diagnostics import Level, Status

MENDS = {
    "CAMERA_MISSING": "start the camera's driver, or mend its topic or qos in the robot spec",
    "CAMERA_STALE": "the camera stopped or its stamps lag; look at its driver and the clocks",
    "CAMERA_FROZEN": "the camera repeats one image; start its driver again",
    "CAMERA_SKEW": "the cameras' stamps lie apart; synchronise their clocks or their rates",
    "CAMERA_SIZE": "let the driver publish the size that the robot spec states",
    "CAMERA_ENCODING": "let the driver publish rgb8, bgr8, rgba8, bgra8, mono8, JPEG or PNG",
    "JOINT_MISSING": "let the joint state carry every joint of the robot spec",
    "STATE_STALE": "start the joint state broadcaster, mend its topic in the robot spec, or, where "
    "it comes, synchronise the computers' clocks",
    "STATE_NON_FINITE": "the joint state holds NaN or infinity; look at the robot's driver",
    "OUTPUT_NON_FINITE": "the checkpoint gives no finite actions; load another",
}

SLOW_MEND = "look at its driver, its cable and the network, or mend rate_hz in the robot spec"


def refusal_message(code: str, detail: str) -> str:
    """A refusal with its mend."""
    mend = MENDS.get(code)
    return f"{code}: {detail}" + (f"; {mend}" if mend else "")


def inputs_status(
    streams: Mapping[str, StreamStatistics],
    rejections: Mapping[str, ObservationRefused],
    limits_s: Mapping[str, float],
    now_ns: int,
) -> Status:
    """Rates, silence and drops of every stream; the first one that is ill gives the message."""
    values: dict[str, object] = {}
    problems = []
    for name, stream in streams.items():
        silence_s = stream.silence_s(now_ns)
        values[f"{name} rate [Hz]"] = f"{stream.rate_hz(now_ns):.1f}"
        values[f"{name} silence [s]"] = f"{silence_s:.2f}"
        values[f"{name} dropped"] = stream.dropped
        if name in rejections:
            problems.append(
                f"{name}: {refusal_message(rejections[name].code, rejections[name].detail)}"
            )
        elif silence_s > max(1.0, limits_s[name]):
            code = "CAMERA_MISSING" if name.startswith("camera") else "STATE_STALE"
            problems.append(f"{name}: {refusal_message(code, f'nothing for {silence_s:.1f} s')}")
    level = Level.WARN if problems else Level.OK
    return Status(level=level, message="; ".join(problems) or "all streams arrive", values=values)


def stream_status(
    name: str,
    stream: StreamStatistics,
    rejection: ObservationRefused | None,
    *,
    limit_s: float,
    promised_hz: float,
    now_ns: int,
) -> Status:
    """One stream: whether it comes, is of use, and comes as often as the robot's spec promises.

    `limit_s` is the age up to which a message is of use, `promised_hz` the spec's rate.
    """
    silence_s, hz = stream.silence_s(now_ns), stream.stamps.hz
    values: dict[str, object] = {
        "rate by arrival [Hz]": f"{stream.rate_hz(now_ns):.1f}",
        "rate by stamps [Hz]": f"{hz:.1f}",
        "promised [Hz]": f"{promised_hz:g}",
        "silence [s]": f"{silence_s:.2f}",
        "received": stream.received,
        "dropped": stream.dropped,
    }
    if silence_s > max(1.0, limit_s):
        code = "CAMERA_MISSING" if name.startswith("camera") else "STATE_STALE"
        since = f"nothing for {silence_s:.1f} s" if stream.received else "nothing so far"
        message = refusal_message(code, since)
        return Status(level=Level.ERROR, message=message, values=values)
    values["behind this clock [ms]"] = _milliseconds(stream.clock.seconds)
    if problem := stream.clock.problem(limit_s):
        return Status(level=Level.WARN, message=problem, values=values)
    if rejection is not None:
        message = refusal_message(rejection.code, rejection.detail)
        return Status(level=Level.WARN, message=message, values=values)
    if falls_short(hz, promised_hz):
        message = f"{hz:.1f} Hz, and the robot spec promises {promised_hz:g} Hz; {SLOW_MEND}"
        return Status(level=Level.WARN, message=message, values=values)
    return Status(message="comes" if math.isnan(hz) else f"{hz:.1f} Hz", values=values)


def inference_status(
    statistics: InferenceStatistics,
    *,
    task: Task | None,
    mode: str,
    replaced: int,
    refusal: str,
    unfollowed: str,
    failure: str,
    now_ns: int,
) -> Status:
    """Chunks, exits, latencies and refusals.

    `refusal` is empty once observations are good, `unfollowed` when the controller takes chunks.
    """
    values: dict[str, object] = {
        "mode": mode,
        "chunks": statistics.chunks,
        "exits taken (layer: count)": _counts(statistics.exits),
        "cut short by the deadline, not certified": statistics.cut_short,
        "refused (reason: count)": _counts(statistics.refusals),
        "observations replaced by newer ones": replaced,
        **statistics.quantiles_ms(),
    }
    if task is not None:
        values["instruction"] = task.instruction
        values["session"] = task.session_id
        values["task time [s]"] = f"{task.elapsed_s(now_ns):.1f}"
    if failure:
        message = f"inference stopped: {failure}; deactivate and activate the node, and report it"
        return Status(level=Level.ERROR, message=message, values=values)
    if task is None or task.outcome is not None:
        return Status(message=_idle(task), values=values)
    if refusal:
        return Status(level=Level.WARN, message=f"no chunk: {refusal}", values=values)
    if unfollowed:
        return Status(level=Level.WARN, message=unfollowed, values=values)
    return Status(message="running", values=values)


def _idle(last: Task | None) -> str:
    message = "idle: send a1/run_task or a1/set_instruction"
    if last is None or last.outcome is None:
        return message
    return f"{message} (last task {last.outcome.name}: {last.message})"


def _counts(counter: Mapping) -> str:
    return ", ".join(f"{key}: {counter[key]}" for key in sorted(counter)) or "none"


def _milliseconds(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1e3:.1f}"
