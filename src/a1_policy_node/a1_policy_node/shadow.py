"""Shadow passes: full depth on some ticks once their chunk is out, and the loss of an episode.

Owned by the inference thread, which calls `idle` when no observation waits. Which ticks are drawn
does not depend on what they hold, and a drawn tick waits until there is room for its pass: were
ticks left out because the policy was slow, those that went deep would be missing. Of an episode
that ends without a draw one tick is taken, any with equal chances: else short episodes would seldom
be audited, and long ones alone speak for all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from a1_core.audit import AuditRule
from a1_core.episode_loss import episode_losses
from a1_core.observation import Observation
from a1_core.policy import ExitSetting, Policy
from a1_core.prefix import Prefix
from a1_core.times import NS_PER_S
from a1_policy_node.audit_plan import AuditPlan
from a1_policy_node.task import Task

FULL = ExitSetting(mode="full")
WAITING_TICKS = 64
"""Observations kept for their pass; two cameras of 224 px make 20 MB of them."""
REMEMBERED_PASSES = 8


@dataclass(frozen=True, kw_only=True)
class EpisodeAudit:
    """What came of an episode; `loss` is None where no tick of it was audited."""

    rule: AuditRule
    setting: int
    loss: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Drawn:
    observation: Observation
    published_HD: NDArray[np.float32]
    prefix: Prefix | None


@dataclass(kw_only=True, eq=False)
class _Episode:
    """A task in hand or just over.

    Attributes:
        mixed: the setting changed in the middle of it.
        drawn, given_up: ticks that were to be audited, and those of them that will not be.
        spare: a tick for the case that none is drawn; one of the `passed_over`, with equal chances.
    """

    task: Task
    plan: AuditPlan
    mixed: bool = False
    waiting: deque[_Drawn] = field(default_factory=deque)
    losses: list[float] = field(default_factory=list)
    drawn: int = 0
    given_up: int = 0
    spare: _Drawn | None = None
    passed_over: int = 0

    def pass_over(self, tick: _Drawn, random: np.random.Generator) -> None:
        self.passed_over += 1
        if not self.drawn and random.random() * self.passed_over < 1.0:
            self.spare = tick

    def result(self) -> EpisodeAudit:
        """What is given up counts as lossless, so that a mean is never too high for it."""
        loss = None
        if self.losses and not self.mixed:
            losses = np.array([*self.losses, *[0.0] * self.given_up])
            _, loss_E = episode_losses(losses, [0] * len(losses), self.plan.episode_loss)
            loss = float(loss_E[0])
        return EpisodeAudit(rule=self.plan.rule, setting=self.plan.setting, loss=loss)


class ShadowPasses:
    """Draws ticks, runs their passes one at a time, and reports every episode once.

    `room_s()` says for how long no observation is due, `report` hears of the episodes.

    Attributes:
        ticks: audited so far.
        dropped: drawn ticks that were given up because too many waited.
        full_s: longest of the last full-depth passes, by which room is judged.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        full_s: float,
        room_s: Callable[[], float],
        report: Callable[[EpisodeAudit], None],
        steady_ns: Callable[[], int],
        random: np.random.Generator,
    ) -> None:
        self._policy = policy
        self._room_s = room_s
        self._report = report
        self._steady_ns = steady_ns
        self._random = random
        self._passes_s = deque([full_s], maxlen=REMEMBERED_PASSES)
        self._episodes: deque[_Episode] = deque()
        self._without_plan: Task | None = None
        self.ticks = 0
        self.dropped = 0

    @property
    def full_s(self) -> float:
        return max(self._passes_s)

    @property
    def waiting(self) -> int:
        """Drawn ticks whose pass is still to come."""
        return sum(len(episode.waiting) for episode in tuple(self._episodes))

    def published(
        self,
        task: Task,
        observation: Observation,
        actions_HD: NDArray[np.float32],
        plan: AuditPlan | None,
        prefix: Prefix | None = None,
    ) -> None:
        """A chunk of a task went out; `plan` is that of the setting it was made with.

        Full depth goes on from the same `prefix`.
        """
        episode = self._episodes[-1] if self._episodes else None
        if episode is None or episode.task is not task:
            if plan is None:
                self._without_plan = task
                return
            self._take_spares()
            episode = _Episode(task=task, plan=plan, mixed=task is self._without_plan)
            self._episodes.append(episode)
        if plan is None or not plan.same(episode.plan):
            episode.mixed = True
            episode.waiting.clear()
            episode.spare = None
        if episode.mixed:
            return
        tick = _Drawn(observation=observation, published_HD=actions_HD, prefix=prefix)
        if self._random.random() < episode.plan.fraction:
            self._draw(episode, tick)
        else:
            episode.pass_over(tick, self._random)

    def _draw(self, episode: _Episode, tick: _Drawn) -> None:
        episode.drawn += 1
        episode.spare = None
        if self.waiting == WAITING_TICKS:
            self.dropped += 1
            episode.given_up += 1
        else:
            episode.waiting.append(tick)

    def _take_spares(self) -> None:
        """Of episodes that are over and had no tick drawn, the spare one is."""
        for episode in self._episodes:
            if episode.spare is not None and episode.task.outcome is not None:
                self._draw(episode, episode.spare)

    def idle(self) -> bool:
        """One pass, if there is one to make and room for it; whether to be called again."""
        self._take_spares()
        self._conclude(lambda episode: episode.task.outcome is not None and not episode.waiting)
        episode = next((each for each in self._episodes if each.waiting), None)
        if episode is None or self._room_s() < self.full_s:
            return False
        drawn = episode.waiting.popleft()
        began_ns = self._steady_ns()
        output = self._policy.act(drawn.observation, setting=FULL, prefix=drawn.prefix)
        self._passes_s.append((self._steady_ns() - began_ns) / NS_PER_S)
        episode.losses.append(
            episode.plan.loss(drawn.published_HD, output.actions_HD, drawn.observation.state_D)
        )
        self.ticks += 1
        return True

    def stop(self) -> None:
        """The thread has ended: what was audited counts, what waits is given up."""
        self.dropped += self.waiting
        for episode in self._episodes:
            episode.given_up += len(episode.waiting)
        self._conclude(lambda episode: True)

    def _conclude(self, over: Callable[[_Episode], bool]) -> None:
        """Report episodes, in their order, as long as the first of them is over."""
        while self._episodes and over(self._episodes[0]):
            self._report(self._episodes.popleft().result())
