"""Which part of a bag is an episode, what was asked for in it, and how it went.

One bag is one episode, unless it carries episode events: a1_msgs/EpisodeState on a1/episode (the
recorder's) or, where that is silent, on sim/episode (the simulator's). An episode begins with the
first event that says `running` under a number other than the one in hand, and ends with the first
that does not, or with the next episode, or with the bag. Times are those at which the recorder got
the messages.

The instruction comes from the first of these that says anything:
0. in a bag of one episode its label: custom_data, key `labelled_instruction`; `labelled_outcome`
   is its outcome likewise. Both are written after the recording, when the data are closed;
1. the episode's events: their last `instruction` that is not empty. Events that name several
   `steps` come after 2, with the step that was in hand at that moment: the policy was told of one
   step after the other, and not when the world saw the one before done;
2. std_msgs/String on a1/instruction: the newest text at that moment, empty for "nothing to do";
3. the bag's metadata: custom_data, key `instruction`;
4. the reader's own default.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

EPISODE = "a1_msgs/msg/EpisodeState"
TEXT = "std_msgs/msg/String"
EVENT_TOPICS = ("/a1/episode", "/sim/episode")
INSTRUCTION_TOPIC = "/a1/instruction"
INSTRUCTION_KEY = "instruction"
OUTCOME_KEY = "outcome"
LABELLED_INSTRUCTION_KEY = "labelled_instruction"
LABELLED_OUTCOME_KEY = "labelled_outcome"

Outcome = Literal["", "success", "failure"]
Source = Literal["label", "events", "topic", "metadata", "default", "none"]


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One episode of a bag.

    Attributes:
        index: place in the bag, from 0.
        number: as its events count it; None where one bag is one episode.
        begin_ns, end_ns: its messages are those received from `begin_ns` to before `end_ns`.
        outcome: how it went; empty where nobody said.
        instruction_source: where the instruction comes from.
        instructions: what to do from a time of receipt on, in order of time.
        several: its events name several steps.
    """

    index: int
    number: int | None = None
    begin_ns: int = 0
    end_ns: int = 2**63 - 1
    outcome: Outcome = ""
    instruction_source: Source = "none"
    instructions: tuple[tuple[int, str], ...] = ()
    several: bool = False

    def __contains__(self, received_ns: int) -> bool:
        return self.begin_ns <= received_ns < self.end_ns

    def instruction_at(self, received_ns: int) -> str:
        """What was to be done when a message came; empty where nothing was."""
        place = bisect_right(self.instructions, received_ns, key=lambda change: change[0])
        return self.instructions[place - 1][1] if place else ""


class EpisodeEvents:
    """Episodes as their events tell of them, one after the other."""

    def __init__(self) -> None:
        self._closed: list[Episode] = []
        self._open: Episode | None = None

    def note(self, received_ns: int, event: Any) -> None:
        """Take one a1_msgs/EpisodeState."""
        if self._open is not None:
            if event.episode == self._open.number:
                self._open = _told(self._open, received_ns, event)
            if event.episode != self._open.number or not event.running:
                self._closed.append(replace(self._open, end_ns=received_ns))
                self._open = None
        if self._open is None and event.running:
            episode = Episode(
                index=len(self._closed), number=int(event.episode), begin_ns=received_ns
            )
            self._open = _told(episode, received_ns, event)

    def episodes(self) -> list[Episode]:
        """All so far; the last one may go on to the end of the bag."""
        return self._closed + ([self._open] if self._open is not None else [])


def _told(episode: Episode, received_ns: int, event: Any) -> Episode:
    """The episode with what one more event says of it."""
    if event.success or event.failed:
        episode = replace(episode, outcome="success" if event.success else "failure")
    # Bags that are older than steps have none.
    steps = list(getattr(event, "steps", ()))
    if len(steps) > 1:
        text = str(steps[min(int(event.steps_done), len(steps) - 1)])
        before = episode.instructions
        if not before or before[-1][1] != text:
            change = (received_ns if before else 0, text)
            episode = replace(
                episode,
                instruction_source="events",
                instructions=(*before, change),
                several=True,
            )
    elif event.instruction:
        episode = replace(
            episode, instruction_source="events", instructions=((0, str(event.instruction)),)
        )
    return episode


class InstructionTexts:
    """What was said on the instruction topic; only changes are kept."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, str]] = []

    def note(self, received_ns: int, text: str) -> None:
        """Take one text."""
        if not self.changes or self.changes[-1][1] != text:
            self.changes.append((received_ns, text))


def plan_episodes(
    events: Sequence[Episode] | None,
    texts: Sequence[tuple[int, str]],
    custom: Mapping[str, str],
    default: str,
) -> tuple[Episode, ...]:
    """The episodes of a bag with their instructions.

    Args:
        events: as the events tell; None where the bag carries none and is one episode.
        texts: (received_ns, text) of the instruction topic, in order of time.
        custom: the bag's own metadata.
        default: for episodes that nothing else has an instruction for.
    """
    outcome = custom.get(OUTCOME_KEY, "")
    whole = Episode(index=0, outcome=outcome if outcome in ("success", "failure") else "")  # type: ignore[arg-type]
    episodes = [whole] if events is None else events
    planned = tuple(_instructed(episode, texts, custom, default) for episode in episodes)
    return (_labelled(planned[0], custom),) if len(planned) == 1 else planned


def _labelled(episode: Episode, custom: Mapping[str, str]) -> Episode:
    """The episode with what was said of it after its recording."""
    outcome = custom.get(LABELLED_OUTCOME_KEY, "")
    if outcome in ("success", "failure"):
        episode = replace(episode, outcome=outcome)  # type: ignore[arg-type]
    text = custom.get(LABELLED_INSTRUCTION_KEY, "")
    if text:
        episode = replace(episode, instruction_source="label", instructions=((0, text),))
    return episode


def _instructed(
    episode: Episode, texts: Sequence[tuple[int, str]], custom: Mapping[str, str], default: str
) -> Episode:
    if episode.instructions and not episode.several:
        return episode
    said = tuple(change for change in texts if change[0] < episode.end_ns)
    if _something(said, episode):
        return replace(episode, instruction_source="topic", instructions=said)
    if episode.instructions:
        return episode
    if custom.get(INSTRUCTION_KEY):
        text = custom[INSTRUCTION_KEY]
        return replace(episode, instruction_source="metadata", instructions=((0, text),))
    if default:
        return replace(episode, instruction_source="default", instructions=((0, default),))
    return episode


def _something(said: Sequence[tuple[int, str]], episode: Episode) -> bool:
    """Whether the topic asked for anything: of several steps, within the episode."""
    return any(text for at_ns, text in said if not episode.several or at_ns in episode)
