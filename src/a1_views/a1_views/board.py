"""What is known of a running robot, kept short, and what of it is new to somebody who looks.

Messages are taken as they are. Every change of a tick has a number (`revision`), so that a viewer
who says how far he came gets the ticks he lacks and no others. Safe from any thread.
"""

from __future__ import annotations

import base64
import math
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from a1_views.tick import Tick, compute_saved, quantiles_ms, stamp_ns, tick_of, verdict_name

KEPT_TICKS = 300
STALE_S = 5.0
"""Statuses come once a second; one that is older belongs to a node that fell silent."""
SILENT_S = 2.0
"""A controller that is active says what it does at every control tick."""
MODES = ("DISARMED", "SHADOW", "HOLD", "TRACKING", "STOPPED", "FAULT")
CHOICES = ("adaptive", "fixed", "full")
LEVELS = ("OK", "WARN", "ERROR", "STALE")
COUNTERS = (
    "chunks_accepted",
    "chunks_refused",
    "clamped",
    "slowed",
    "underruns",
    "late_ticks",
)


class Board:
    """The newest of everything, and the last KEPT_TICKS ticks.

    `now_ns` is the time of receipt, or that of asking, on one clock: what nobody says any more is
    told as such, whatever the clock of the computer that said it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ticks: deque[tuple[int, int, Tick]] = deque(maxlen=KEPT_TICKS)  # number, revision
        self._count = 0
        self._revision = 0
        self._early: dict[int, Any] = {}
        self._verdicts: Counter[str] = Counter()
        self._told: dict[str, Any] = {}
        self._statuses: dict[str, dict[str, str]] = {}
        self._told_ns: dict[str, int] = {}
        self._controller_ns = 0
        self._instruction = ""
        self._picture: dict[str, Any] | None = None
        self._picture_revision = 0

    def exit_state(self, msg: Any) -> None:
        """One inference."""
        tick = tick_of(msg)
        with self._lock:
            self._count += 1
            early = self._early.pop(tick.seq, None)
            if early is not None and tick.may_be_judged_by(early):
                tick = tick.judged(early)
            self._ticks.append((self._count, self._next(), tick))

    def verdict(self, msg: Any) -> None:
        """The controller's answer, which may come before the exit state of its chunk."""
        name = verdict_name(msg.code)
        with self._lock:
            self._verdicts[name] += 1
            self._told["verdict"] = {"code": name, "detail": str(msg.detail), "seq": int(msg.seq)}
            for place in reversed(range(len(self._ticks))):
                number, _, tick = self._ticks[place]
                if tick.may_be_judged_by(msg):
                    self._ticks[place] = (number, self._next(), tick.judged(msg))
                    return
            self._early = {int(msg.seq): msg}

    def controller(self, msg: Any, now_ns: int) -> None:
        """What the controller does."""
        told = {
            "mode": _named(MODES, msg.mode),
            "reason": str(msg.reason),
            "seq": int(msg.seq),
            "row": int(msg.row),
            "state_age_ms": _number(msg.state_age_ms),
            "chunk_age_ms": _number(msg.chunk_age_ms),
            "tracking_error_rad": _number(msg.tracking_error),
            **{name: int(getattr(msg, name)) for name in COUNTERS},
        }
        with self._lock:
            self._told["controller"] = told
            self._controller_ns = now_ns

    def look_away(self) -> None:
        """The controller is not listened to from now on."""
        with self._lock:
            self._told.pop("controller", None)

    def refusal(self, msg: Any) -> None:
        """Why an observation was not used."""
        with self._lock:
            self._told["refusal"] = {
                "code": str(msg.code),
                "message": str(msg.message),
                "stamp_s": stamp_ns(msg.header.stamp) / 1e9,
            }

    def thresholds(self, msg: Any) -> None:
        """The thresholds in force."""
        told = {
            "mode": _named(CHOICES, msg.mode),
            "file": str(msg.thresholds_digest)[:12],
            "checkpoint": str(msg.checkpoint_digest)[:12],
            "metric": str(msg.metric),
            "head": str(msg.head),
            "fit": " ".join(part for part in (msg.fit, msg.distribution) if part),
            "samples": int(msg.samples),
            "episodes": int(msg.episodes),
            "certified": bool(msg.certified),
            "risk": _number(msg.risk),
            "failure": _number(msg.failure),
            "tolerance": _number(msg.tolerance),
            "certificate_episodes": int(msg.certificate_episodes),
            "exits": [int(layer) for layer in msg.exits],
            "values": [_number(value) for value in msg.thresholds],
        }
        with self._lock:
            self._told["thresholds"] = told

    def instruction(self, msg: Any) -> None:
        """What is to be done now, a sub-step's text too; empty: nothing."""
        with self._lock:
            self._instruction = str(msg.data)

    def episode(self, msg: Any) -> None:
        """The episode that runs."""
        told = {
            "number": int(msg.episode),
            "running": bool(msg.running),
            "success": bool(msg.success),
            "failed": bool(msg.failed),
            "elapsed_s": _number(msg.elapsed_s),
            "phase": str(msg.phase),
        }
        with self._lock:
            self._told["episode"] = told

    def diagnostics(self, msg: Any, now_ns: int) -> None:
        """Statuses, a node's name and what it is about each."""
        with self._lock:
            for status in msg.status:
                node, _, what = str(status.name).partition(": ")
                if not what:
                    continue
                self._statuses[str(status.name)] = {
                    "node": node.lstrip("/"),
                    "what": what,
                    "level": _named(LEVELS, _byte(status.level)),
                    "message": str(status.message),
                }
                self._told_ns[str(status.name)] = now_ns

    def thumbnails(self, msg: Any) -> None:
        """The cameras side by side; the names are in the frame."""
        picture = {
            "cameras": str(msg.header.frame_id).split("|"),
            "stamp_s": stamp_ns(msg.header.stamp) / 1e9,
            "jpeg": base64.b64encode(bytes(msg.data)).decode(),
        }
        with self._lock:
            self._picture = picture
            self._picture_revision = self._next()

    def news(self, since: int, now_ns: int) -> dict[str, Any]:
        """All but ticks and picture in full, and of these what is newer than revision `since`.

        Plain values that JSON can hold: what is not a finite number is None.
        """
        with self._lock:
            ticks = [tick for _, _, tick in self._ticks]
            fresh = [entry for entry in self._ticks if entry[1] > since]
            news: dict[str, Any] = {
                "revision": self._revision,
                "now_s": now_ns / 1e9,
                "instruction": self._instruction,
                "verdicts": dict(self._verdicts.most_common()),
                "statuses": [self._status(name, now_ns) for name in sorted(self._statuses)],
                **self._told,
            }
            if "controller" in self._told:
                news["controller"] = self._controller_told(now_ns)
            if self._picture_revision > since:
                news["picture"] = self._picture
        news["ticks"] = [{"n": number, **_plain(tick)} for number, _, tick in fresh]
        news["exits"] = _exits(ticks)
        news["latency_ms"] = {
            stage: [round(value, 2) for value in values]
            for stage, values in quantiles_ms(ticks).items()
        }
        news["saved"] = _number(compute_saved(ticks))
        return news

    def _controller_told(self, now_ns: int) -> dict[str, Any]:
        """What the controller said, or that it no longer says anything."""
        told, silence_s = self._told["controller"], (now_ns - self._controller_ns) / 1e9
        if silence_s < SILENT_S:
            return told
        reason = (
            f"nothing heard for {silence_s:.0f} s, before it was {told['mode']}: has the node "
            "ended, or was it deactivated?"
        )
        return {**told, "mode": "SILENT", "reason": reason}

    def _status(self, name: str, now_ns: int) -> dict[str, str]:
        """A status, or that its node no longer says it."""
        silence_s = (now_ns - self._told_ns[name]) / 1e9
        if silence_s < STALE_S:
            return self._statuses[name]
        before = self._statuses[name]
        text = "not told any more: has the node ended, or was it deactivated? Before: "
        return {**before, "level": "STALE", "message": text + before["message"]}

    def _next(self) -> int:
        self._revision += 1
        return self._revision


def _plain(tick: Tick) -> dict[str, Any]:
    values = {name: value for name, value in vars(tick).items() if name != "stamp_ns"}
    plain = {
        name: [_number(item) for item in value] if isinstance(value, tuple) else _number(value)
        for name, value in values.items()
    }
    # Thresholds without end are no numbers in JSON: whether one was met is told here.
    pairs = zip(tick.discrepancies, tick.thresholds, strict=False)
    within = [value <= limit for value, limit in pairs]
    return {"t": tick.stamp_ns / 1e9, **plain, "within": within}


def _exits(ticks: Sequence[Tick]) -> Mapping[str, Any]:
    """How many of the ticks left at which layer, every layer that was taken."""
    counts = Counter(tick.exit_layer for tick in ticks)
    layers = max((tick.num_layers for tick in ticks), default=0)
    return {"of": len(ticks), "layers": layers, "counts": {str(k): counts[k] for k in counts}}


def _number(value: Any) -> Any:
    """A number that JSON can hold; what is not a float stays as it is."""
    if isinstance(value, str | int):
        return value
    value = float(value)
    return round(value, 6) if math.isfinite(value) else None


def _named(names: Sequence[str], code: int) -> str:
    return names[code] if 0 <= code < len(names) else str(code)


def _byte(level: Any) -> int:
    """rclpy gives a byte as bytes, a bag's reader as a number."""
    return level[0] if isinstance(level, bytes) else int(level)
