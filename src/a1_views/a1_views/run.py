"""What the nodes of A1 said during a run, read from its bag.

Topics are found by the types of their messages, so namespaces do not matter; where a type has two
uses, by the end of their names as well. Times are header stamps, on the clock of the nodes that
ran: simulated time stays simulated.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from a1_core.errors import BagError
from a1_data.bag_files import BagFiles, find_bags
from a1_data.channel import Channel, Raw
from a1_data.decoding import Decoder, Undecodable
from a1_data.episodes import (
    INSTRUCTION_KEY,
    INSTRUCTION_TOPIC,
    LABELLED_INSTRUCTION_KEY,
    LABELLED_OUTCOME_KEY,
    OUTCOME_KEY,
    TEXT,
)
from a1_data.storage import Contents, look, read
from a1_views.board import COUNTERS, MODES
from a1_views.tick import NS_PER_S, Tick, stamp_ns, tick_of, verdict_name

TYPES = (
    TEXT,
    *(
        f"a1_msgs/msg/{name}"
        for name in (
            "ActionChunk",
            "ChunkVerdict",
            "ControllerState",
            "EpisodeState",
            "ExitState",
            "ObservationRefusal",
            "ThresholdsInfo",
        )
    ),
)
ONLY_ON = {"a1_msgs/msg/ActionChunk": "a1/chunk", TEXT: INSTRUCTION_TOPIC.lstrip("/")}
"""Types that other topics have too: the plan in execution is an ActionChunk with the number of its
chunk, and anybody may send a text."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """One chunk that was sent, and what became of it.

    Attributes:
        stamp_ns: of its observation; its rows end at `end_ns`.
        verdict, detail: the controller's; empty without one.
        judged_ns: when; None without a verdict.
        played_ns: first and last control tick at which it was followed; None when it never was.
    """

    session: str
    seq: int
    stamp_ns: int
    end_ns: int
    valid_for_ns: int
    verdict: str = ""
    detail: str = ""
    judged_ns: int | None = None
    played_ns: tuple[int, int] | None = None

    @property
    def staleness_ms(self) -> float | None:
        """Age of its observation when the controller judged it [ms]."""
        return None if self.judged_ns is None else (self.judged_ns - self.stamp_ns) / 1e6


@dataclass(frozen=True, kw_only=True)
class Span:
    """A time with one value of something: a mode with its reason, a phase."""

    begin_ns: int
    end_ns: int
    name: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """An observation of which no chunk came."""

    stamp_ns: int
    code: str
    message: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One bag, told by the nodes of A1.

    Attributes:
        name: what it is called beside others.
        files: of the bag; `contents` of each file.
        begin_ns, end_ns: first and last stamp of all that is told here.
        ticks: with the verdicts on their chunks, in the order of their observations.
        modes: of the controller, one after the other.
        phases: of the task where the bag tells them, else the instructions that were followed,
            those of sub-steps among them.
        tracking: (stamp_ns, rad) of every control tick.
        counters: the controller's, what they grew by.
        thresholds: newest ThresholdsInfo, None without.
        findings: what is wrong with the bag, in words.
    """

    name: str
    files: BagFiles
    contents: tuple[Contents, ...]
    robot: str
    instruction: str
    outcome: str
    begin_ns: int
    end_ns: int
    ticks: tuple[Tick, ...]
    chunks: tuple[Chunk, ...]
    modes: tuple[Span, ...]
    phases: tuple[Span, ...]
    refusals: tuple[Refused, ...]
    tracking: tuple[tuple[int, float], ...]
    counters: Mapping[str, int]
    thresholds: Any
    findings: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """From the first stamp to the last."""
        return (self.end_ns - self.begin_ns) / NS_PER_S

    def seconds(self, at_ns: int) -> float:
        """A time since the run began [s]."""
        return (at_ns - self.begin_ns) / NS_PER_S


def load_run(path: Path) -> Run:
    """The run in the bag at a path.

    Raises BagError when there is no bag, more than one, or nothing that a node of A1 said.
    """
    bags = find_bags(path)
    if len(bags) > 1:
        names = ", ".join(bag.path.name for bag in bags[:4])
        raise BagError(f"{path}: holds {len(bags)} bags ({names} ..); give one of them")
    (files,) = bags
    contents = tuple(look(file, files.findings) for file in files.files)
    telling = _Telling()
    decoder = Decoder(files.findings)
    for raw in messages(files, contents, TYPES):
        try:
            telling.take(raw.channel.msgtype.rsplit("/", 1)[1], decoder.decode(raw))
        except Undecodable as error:
            files.findings.add(
                "FILE_DAMAGED", raw.channel.topic, str(error), "the other messages are told of"
            )
    if not telling.ticks and not telling.chunks and not telling.modes:
        found = [str(finding) for finding in files.findings]
        mend = found[-1] if found else "record with a1_recorder, which records them"
        raise BagError(
            f"{path}: nothing of a1/exit_state, a1/chunk or a1/controller_state is in it; {mend}"
        )
    return telling.run(files, contents)


def messages(
    files: BagFiles, contents: tuple[Contents, ...], types: tuple[str, ...]
) -> Iterator[Raw]:
    """All messages of some types, file by file."""
    for file, content in zip(files.files, contents, strict=True):
        wanted = {c for c in content.channels.values() if c.msgtype in types and _of_use(c)}
        if wanted:
            for raw in read(file, content, {channel.topic for channel in wanted}, files.findings):
                if raw.channel in wanted:
                    yield raw


def _of_use(channel: Channel) -> bool:
    """Whether a topic means what its type says."""
    name = ONLY_ON.get(channel.msgtype)
    return name is None or channel.topic.strip("/").endswith(name)


@dataclass
class _Telling:
    """Message by message."""

    ticks: list[Tick] = field(default_factory=list)
    chunks: dict[tuple[str, int], Chunk] = field(default_factory=dict)
    modes: list[Span] = field(default_factory=list)
    phases: list[Span] = field(default_factory=list)
    tasks: list[Span] = field(default_factory=list)
    refusals: list[Refused] = field(default_factory=list)
    tracking: list[tuple[int, float]] = field(default_factory=list)
    played: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    verdicts: dict[tuple[str, int], Any] = field(default_factory=dict)
    first: Any = None
    last: Any = None
    thresholds: Any = None
    robot: str = ""
    told: str = ""
    task: str = ""
    outcome: str = ""

    def take(self, kind: str, msg: Any) -> None:
        """One message of a type."""
        notes: dict[str, Callable[[Any], None]] = {
            "ExitState": self._note_exit_state,
            "ActionChunk": self._note_chunk,
            "ChunkVerdict": self._note_verdict,
            "ControllerState": self._note_controller,
            "EpisodeState": self._note_episode,
            "ObservationRefusal": self._note_refusal,
            "String": self._note_task,
            "ThresholdsInfo": self._note_threshold,
        }
        notes[kind](msg)

    def _note_exit_state(self, msg: Any) -> None:
        self.ticks.append(tick_of(msg))

    def _note_chunk(self, msg: Any) -> None:
        begin_ns = stamp_ns(msg.header.stamp)
        key = (_session(msg), int(msg.seq))
        self.robot = str(msg.robot)
        self.chunks[key] = Chunk(
            session=key[0],
            seq=key[1],
            stamp_ns=begin_ns,
            end_ns=begin_ns + int(msg.horizon) * stamp_ns(msg.period),
            valid_for_ns=stamp_ns(msg.valid_for),
        )

    def _note_task(self, msg: Any) -> None:
        """What to do from now on; a text has no stamp, so it counts from the next control tick."""
        self.task = str(msg.data)

    def _note_verdict(self, msg: Any) -> None:
        self.verdicts[_session(msg), int(msg.seq)] = msg

    def _note_controller(self, msg: Any) -> None:
        at_ns = stamp_ns(msg.header.stamp)
        mode = MODES[msg.mode] if msg.mode < len(MODES) else str(msg.mode)
        # The reason of TRACKING names every chunk; that is told elsewhere.
        reason = "" if mode == "TRACKING" else str(msg.reason)
        _prolong(self.modes, at_ns, mode, reason)
        _prolong(self.tasks, at_ns, self.task, "")
        self.tracking.append((at_ns, float(msg.tracking_error)))
        if msg.seq:
            key = (_session(msg), int(msg.seq))
            begin_ns, _ = self.played.get(key, (at_ns, at_ns))
            self.played[key] = (begin_ns, at_ns)
        self.first = self.first or msg
        self.last = msg

    def _note_episode(self, msg: Any) -> None:
        phase = str(getattr(msg, "phase", ""))
        if phase:
            _prolong(self.phases, stamp_ns(msg.header.stamp), phase if msg.running else "", "")
        self.told = str(msg.instruction) or self.told
        if msg.success or msg.failed:
            self.outcome = "success" if msg.success else "failure"

    def _note_refusal(self, msg: Any) -> None:
        at_ns = stamp_ns(msg.header.stamp)
        self.refusals.append(Refused(stamp_ns=at_ns, code=str(msg.code), message=str(msg.message)))

    def _note_threshold(self, msg: Any) -> None:
        self.thresholds = msg

    def run(self, files: BagFiles, contents: tuple[Contents, ...]) -> Run:
        """All of it together."""
        custom = files.custom
        chunks = [self._judged(chunk) for chunk in self.chunks.values()]
        chunks.sort(key=lambda chunk: chunk.stamp_ns)
        ticks = sorted(self._with_verdicts(), key=lambda tick: tick.stamp_ns)
        ends = [t.stamp_ns for t in ticks] + [c.stamp_ns for c in chunks]
        ends += [at_ns for span in self.modes for at_ns in (span.begin_ns, span.end_ns)]
        return Run(
            name=files.path.name,
            files=files,
            contents=contents,
            robot=custom.get("robot") or self.robot or "robot",
            instruction=custom.get(LABELLED_INSTRUCTION_KEY)
            or custom.get(INSTRUCTION_KEY)
            or self.told,
            outcome=custom.get(LABELLED_OUTCOME_KEY) or custom.get(OUTCOME_KEY) or self.outcome,
            begin_ns=min(ends),
            end_ns=max(ends),
            ticks=tuple(ticks),
            chunks=tuple(chunks),
            modes=tuple(self.modes),
            phases=_named(self.phases) or _named(self.tasks),
            refusals=tuple(self.refusals),
            tracking=tuple(self.tracking),
            counters={
                name: int(getattr(self.last, name, 0)) - int(getattr(self.first, name, 0))
                for name in COUNTERS
            },
            thresholds=self.thresholds,
            findings=tuple(str(finding) for finding in files.findings),
        )

    def _judged(self, chunk: Chunk) -> Chunk:
        key = (chunk.session, chunk.seq)
        verdict = self.verdicts.get(key)
        told = {**vars(chunk), "played_ns": self.played.get(key)}
        if verdict is not None:
            told["verdict"] = verdict_name(verdict.code)
            told["detail"] = str(verdict.detail)
            told["judged_ns"] = stamp_ns(verdict.header.stamp)
        return Chunk(**told)

    def _with_verdicts(self) -> Iterator[Tick]:
        by_seq: dict[int, list[Any]] = {}
        for (_, seq), verdict in sorted(self.verdicts.items()):
            by_seq.setdefault(seq, []).append(verdict)
        for tick in self.ticks:
            fitting = (v for v in by_seq.get(tick.seq, ()) if tick.may_be_judged_by(v))
            verdict = next(fitting, None)
            yield tick if verdict is None else tick.judged(verdict)


def _session(msg: Any) -> str:
    return bytes(bytearray(msg.session_id.uuid)).hex()


def _named(spans: Sequence[Span]) -> tuple[Span, ...]:
    return tuple(span for span in spans if span.name)


def _prolong(spans: list[Span], at_ns: int, name: str, reason: str) -> None:
    """Let the last span go on to a time, or end it there and begin the next."""
    if spans:
        last = spans.pop()
        spans.append(Span(begin_ns=last.begin_ns, end_ns=at_ns, name=last.name, reason=last.reason))
        if (last.name, last.reason) == (name, reason):
            return
    spans.append(Span(begin_ns=at_ns, end_ns=at_ns, name=name, reason=reason))


def overlaps_s(run: Run) -> list[tuple[int, float]]:
    """When one chunk took over from another, and how much of the older one was left [s].

    Below zero: the older one had ended, and the arm waited or braked in between.
    """
    played = [chunk for chunk in run.chunks if chunk.played_ns is not None]
    found = []
    for older, newer in itertools.pairwise(played):
        assert newer.played_ns is not None
        if older.session == newer.session:
            taken_ns = newer.played_ns[0]
            found.append((taken_ns, (older.end_ns - taken_ns) / NS_PER_S))
    return found


def verdict_counts(run: Run) -> Counter[str]:
    """Chunks by verdict; NONE for those that got none."""
    return Counter(chunk.verdict or "NONE" for chunk in run.chunks)


def deepest(run: Run, count: int, apart_s: float = 0.5) -> list[Tick]:
    """The ticks that went deepest, no two closer than `apart_s`, in order of time."""
    chosen: list[Tick] = []
    for tick in sorted(run.ticks, key=lambda t: (-t.exit_layer, -t.total_ms)):
        if all(abs(tick.stamp_ns - other.stamp_ns) >= apart_s * NS_PER_S for other in chosen):
            chosen.append(tick)
        if len(chosen) == count:
            break
    return sorted(chosen, key=lambda tick: tick.stamp_ns)
