"""What the recorder says on /diagnostics; the keyboard's status line is made of it."""

from __future__ import annotations

from collections.abc import Mapping

from a1_core.stream_rate import falls_short
from a1_recorder.recording import Recording
from a1_recorder.session import Session
from a1_ros.diagnostics import Level, Status


def recording_status(
    session: Session, *, waiting_bytes: int, failure: str, alive: bool, unrecorded: Mapping
) -> Status:
    """The episode in hand, the queue, the disk."""
    current = session.current
    shown = current or session.last
    values: dict[str, object] = {
        "state": "recording" if current is not None else "ready",
        "disk left [GB]": f"{session.disk_left_bytes / 1e9:.1f}",
        "waiting for the disk [MB]": f"{waiting_bytes / 1e6:.1f}",
        "dropped": sum(stream.dropped for stream in session.streams),
        "lost on the way": sum(stream.lost for stream in session.streams),
    }
    if shown is not None:
        values |= _episode(session, shown)
    if not alive:
        message = "the writer's thread ended; activate the node anew, and report this bug"
        return Status(level=Level.ERROR, message=message, values=values)
    if failure:
        return Status(level=Level.ERROR, message=f"recording stopped: {failure}", values=values)
    problems = [f"{name} is not recorded: {why}" for name, why in unrecorded.items()]
    dropped = [stream.topic.name for stream in session.streams if stream.dropped]
    if dropped:
        problems.append(
            f"the disk is too slow, messages were dropped of {', '.join(dropped)}; "
            "set compression to lz4 or none, or record fewer cameras"
        )
    if problems:
        return Status(level=Level.WARN, message="; ".join(problems), values=values)
    return Status(message=str(values["state"]), values=values)


def streams_status(session: Session, now_ns: int, *, simulated: bool) -> Status:
    """Rates, silence, drops and losses of every topic; streams that are silent or too slow.

    A simulation's seconds are not those that rates are counted in here, so with `simulated` no
    rate is too low.
    """
    values: dict[str, object] = {}
    silent, slow = [], []
    for stream in session.streams:
        name = stream.topic.name
        silence_s = stream.silence_s(now_ns)
        values[f"{name} rate [Hz]"] = f"{stream.rate_hz:.1f}"
        values[f"{name} dropped"] = stream.dropped
        values[f"{name} lost"] = stream.lost
        limit_s = stream.topic.max_age_s
        if limit_s is not None and silence_s > max(1.0, limit_s):
            silent.append(name)
        elif not simulated and falls_short(stream.mean_hz, stream.topic.promised_hz or 0.0):
            slow.append(f"{name} {stream.mean_hz:.1f} of {stream.topic.promised_hz:g} Hz")
    problems = []
    if silent:
        problems.append(f"silent: {', '.join(silent)}; start their drivers, or mend the robot spec")
    if slow:
        problems.append(
            f"slower than the robot spec promises: {', '.join(slow)}; look at their drivers, "
            "cables and the network"
        )
    if problems:
        return Status(level=Level.WARN, message="; ".join(problems), values=values)
    return Status(message="all streams arrive", values=values)


def _episode(session: Session, recording: Recording) -> dict[str, object]:
    return {
        "episode": recording.episode_id,
        "instruction": recording.instruction,
        "outcome": recording.outcome,
        "messages": recording.messages,
        "length [s]": f"{session.duration_s(recording):.1f}",
    }
