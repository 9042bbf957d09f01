"""The audit's pure parts: which ticks are drawn, when their passes run, what an episode loses."""

import math
import threading

import numpy as np
import pytest
from policy_rig import FRANKA, KnownPolicy
from scipy import stats

from a1_core.audit import AuditRule
from a1_core.deviation import DeviationMeter
from a1_core.errors import ThresholdsError
from a1_core.observation import Observation
from a1_core.policy import ExitSetting
from a1_core.spec import load_spec
from a1_policy_node.audit_book import AuditBook
from a1_policy_node.audit_plan import AuditPlan
from a1_policy_node.shadow import WAITING_TICKS, EpisodeAudit, ShadowPasses
from a1_policy_node.task import EndRule, Outcome, Task
from a1_policy_node.worker import Worker

RULE = AuditRule(risk=0.05, thresholds="d" * 64)
SPEC = load_spec(FRANKA)
STATE_D = np.zeros(SPEC.dim, np.float32)


def plan(setting=2, fraction=1.0, episode_loss="max", tick_loss="binary") -> AuditPlan:
    return AuditPlan(
        rule=RULE,
        setting=setting,
        fraction=fraction,
        meter=DeviationMeter(SPEC, 0.3, "rad"),
        tolerance_C=(0.1, 0.1),
        tick_loss=tick_loss,
        episode_loss=episode_loss,
    )


def task() -> Task:
    return Task(["x"], now_ns=0, end_rule=EndRule(probability=0.5, count=2))


class Rig:
    """Passes over a known policy; `room_s` and the steady clock are set by the test."""

    def __init__(self, full_s: float = 0.1) -> None:
        self.policy = KnownPolicy()
        self.room_s = math.inf
        self.now_ns = 0
        self.pass_ns = 0
        self.found: list[EpisodeAudit] = []
        self.taken: list[int] = []  # stamps of the ticks that were audited
        self.passes = ShadowPasses(
            self,
            full_s=full_s,
            room_s=lambda: self.room_s,
            report=self.found.append,
            steady_ns=lambda: self.now_ns,
            random=np.random.default_rng(0),
        )

    def act(self, observation, *, setting, prefix=None):
        self.now_ns += self.pass_ns
        self.taken.append(observation.stamp_ns)
        return self.policy.act(observation, setting=setting)

    def publish(self, going: Task, off: float = 0.0, under=None, stamp_ns: int = 0) -> None:
        """A chunk that is `off` rad from full depth in one joint of its first row."""
        observation = Observation(stamp_ns=stamp_ns, images={}, state_D=STATE_D, instruction="x")
        chunk = self.policy.act(observation, setting=ExitSetting(mode="full")).actions_HD.copy()
        chunk[0, 3] += off
        self.policy.observations.clear()
        self.policy.settings.clear()
        self.passes.published(going, observation, chunk, under or plan())

    def work_off(self) -> int:
        count = 0
        while self.passes.idle():
            count += 1
        return count


@pytest.mark.parametrize(
    ("episode_loss", "tick_loss", "expected"),
    [("max", "binary", 1.0), ("mean", "binary", 1 / 3), ("mean", "clipped", 1.5 / 3)],
)
def test_an_episode_has_the_loss_that_its_certificate_speaks_of(episode_loss, tick_loss, expected):
    rig, going = Rig(), task()
    how = plan(episode_loss=episode_loss, tick_loss=tick_loss)
    for off in (0.0, 0.2, 0.05):
        rig.publish(going, off, how)
    assert rig.work_off() == 3
    assert {setting.mode for setting in rig.policy.settings} == {"full"}
    assert not rig.found
    going.end(Outcome.SUCCEEDED, "", 0)
    assert not rig.passes.idle()
    (audit,) = rig.found
    assert (audit.rule, audit.setting) == (RULE, 2)
    assert audit.loss == pytest.approx(expected)
    assert rig.passes.ticks == 3


def test_without_room_ticks_wait_for_the_end_of_the_task():
    rig, going = Rig(full_s=0.1), task()
    rig.room_s = 0.099
    for k in range(5):
        rig.publish(going, stamp_ns=k)
    assert rig.work_off() == 0
    assert rig.passes.waiting == 5
    rig.room_s = 0.1
    assert rig.passes.idle()
    rig.room_s = 0.0
    going.end(Outcome.SUCCEEDED, "", 0)
    assert not rig.passes.idle()
    assert not rig.found  # four are still to be audited
    rig.room_s = math.inf
    rig.work_off()
    assert [o.stamp_ns for o in rig.policy.observations] == [0, 1, 2, 3, 4]
    assert [audit.loss for audit in rig.found] == [0.0]


def test_room_is_judged_by_the_longest_of_the_last_passes():
    rig, going = Rig(full_s=0.05), task()
    rig.pass_ns = 200_000_000
    rig.publish(going)
    rig.publish(going)
    rig.room_s = 0.1
    assert rig.passes.idle()
    assert rig.passes.full_s == pytest.approx(0.2)
    assert not rig.passes.idle()


def test_the_share_of_ticks_that_is_asked_for_is_drawn():
    rig, going = Rig(), task()
    how = plan(fraction=0.25)
    drawn = 0
    for _ in range(2000):
        rig.publish(going, under=how)
        drawn += rig.work_off()
    assert abs(drawn - 500) < 4 * math.sqrt(2000 * 0.25 * 0.75)


def test_of_an_episode_without_a_draw_one_tick_is_audited_any_with_equal_chances():
    rig, rare = Rig(), plan(fraction=1e-12)
    episodes, ticks = 600, 5
    for _ in range(episodes):
        going = task()
        for k in range(ticks):
            rig.publish(going, under=rare, stamp_ns=k)
            assert rig.work_off() == 0
        going.end(Outcome.TIMED_OUT, "", 0)
        assert rig.work_off() == 1
    assert [audit.loss for audit in rig.found] == [0.0] * episodes
    assert rig.passes.ticks == episodes
    taken = np.bincount(rig.taken, minlength=ticks)
    assert stats.chisquare(taken).pvalue > 1e-3


def test_a_drawn_tick_needs_no_spare_one():
    rig, going = Rig(), task()
    rig.publish(going, under=plan(fraction=1e-12))
    rig.publish(going)  # the share is no part of what has to be the same
    rig.publish(going, under=plan(fraction=1e-12))
    going.end(Outcome.SUCCEEDED, "", 0)
    assert rig.work_off() == 1
    assert len(rig.found) == 1


def test_spare_ticks_of_many_short_episodes_wait_like_others():
    """No pass is made between them: what is kept stays bounded, and every episode is reported."""
    rig = Rig()
    for _ in range(WAITING_TICKS + 5):
        going = task()
        rig.publish(going, under=plan(fraction=1e-12))
        going.end(Outcome.SUCCEEDED, "", 0)
    assert rig.work_off() == WAITING_TICKS
    assert rig.passes.dropped == 5
    assert [audit.loss for audit in rig.found] == [0.0] * WAITING_TICKS + [None] * 5


def test_what_is_given_up_does_not_raise_a_mean():
    rig, going = Rig(), task()
    how = plan(episode_loss="mean")
    for off in (1.0, *[0.0] * (WAITING_TICKS - 1), *[0.0] * 16):
        rig.publish(going, off, how)
    going.end(Outcome.SUCCEEDED, "", 0)
    rig.work_off()
    assert [audit.loss for audit in rig.found] == [pytest.approx(1 / (WAITING_TICKS + 16))]


def test_an_episode_under_two_settings_is_evidence_of_neither():
    rig = Rig()
    for second in (plan(setting=1), None):
        going = task()
        rig.publish(going, 1.0)
        rig.passes.published(going, None, None, second)
        going.end(Outcome.SUCCEEDED, "", 0)
    late = task()  # thresholds were loaded in the middle of it
    rig.passes.published(late, None, None, None)
    rig.publish(late, 1.0)
    late.end(Outcome.SUCCEEDED, "", 0)
    assert rig.work_off() == 0
    assert [audit.loss for audit in rig.found] == [None, None, None]


def test_a_tick_too_many_is_given_up_and_counted():
    rig, going = Rig(), task()
    for _ in range(WAITING_TICKS + 3):
        rig.publish(going)
    assert (rig.passes.waiting, rig.passes.dropped) == (WAITING_TICKS, 3)


def test_when_the_thread_ends_what_was_audited_counts():
    rig, going = Rig(), task()
    rig.publish(going, 1.0)
    rig.publish(going)
    assert rig.passes.idle()
    rig.passes.stop()
    assert [audit.loss for audit in rig.found] == [1.0]
    assert rig.passes.dropped == 1


def test_full_depth_that_is_not_finite_is_a_loss():
    rig, going = Rig(), task()
    rig.publish(going)
    rig.policy.poison = True
    rig.passes.idle()
    going.end(Outcome.SUCCEEDED, "", 0)
    rig.passes.idle()
    assert [audit.loss for audit in rig.found] == [1.0]


def test_between_jobs_there_is_time_for_something_else_and_jobs_come_first():
    order, idled, release = [], threading.Semaphore(0), threading.Semaphore(0)

    def idle() -> bool:
        order.append("idle")
        idled.release()
        release.acquire(timeout=5.0)
        return len(order) < 4

    worker = Worker(order.append, order.append, idle)
    worker.start()
    worker.wake()
    assert idled.acquire(timeout=5.0)
    worker.submit("job")  # comes while idle works: it is next, whatever else there is to do
    release.release()
    assert idled.acquire(timeout=5.0)
    release.release()
    release.release()
    worker.stop()
    assert order[:3] == ["idle", "job", "idle"]


def test_what_goes_wrong_between_jobs_stops_the_worker_and_is_told():
    told = threading.Semaphore(0)
    words = []

    def failed(text):
        words.append(text)
        told.release()

    worker = Worker(words.append, failed, lambda: 1 // 0 == 0)
    worker.start()
    worker.wake()
    assert told.acquire(timeout=5.0)
    assert "ZeroDivisionError" in words[0]
    assert not worker.submit("job")
    worker.stop()


def lose(book: AuditBook, setting: int) -> bool:
    return book.note(EpisodeAudit(rule=RULE, setting=setting, loss=1.0))


def test_a_book_remembers_alarms_over_restarts(tmp_path):
    book = AuditBook(tmp_path / "audits")
    assert book.state(RULE, 2).setting == 2
    assert not list(tmp_path.iterdir())
    alarms = [lose(book, 2) for _ in range(10)]
    assert any(alarms)
    state = book.state(RULE, 2)
    # What came after the alarm was played under the setting of before: no evidence.
    assert (state.setting, state.alarms, state.log_capital) == (1, 1, 0.0)
    assert state.unaudited == 10 - 1 - alarms.index(True)
    again = AuditBook(tmp_path / "audits")
    assert again.state(RULE, 2) == state
    assert again.last_loss(RULE) is None
    lose(again, 1)
    assert again.last_loss(RULE) == 1.0


def test_a_book_of_another_rule_is_refused(tmp_path):
    book = AuditBook(tmp_path)
    book.state(RULE, 2)
    lose(book, 2)
    other = AuditRule(risk=0.05, alpha=0.01, thresholds="d" * 64)
    with pytest.raises(ThresholdsError, match=r"d\.yaml\.alpha: is 0\.05"):
        AuditBook(tmp_path).state(other, 2)
    with pytest.raises(
        ThresholdsError, match=r"d\.yaml\.setting: is 2, the thresholds have 0 to 1"
    ):
        AuditBook(tmp_path).state(RULE, 1)


def test_a_book_that_cannot_be_written_says_so_and_goes_on(tmp_path):
    (tmp_path / "file").write_text("")
    book = AuditBook(tmp_path / "file")
    book.state(RULE, 1)
    alarms = [lose(book, 1) for _ in range(10)]
    assert any(alarms)
    assert "cannot be written" in book.unwritten
    assert book.state(RULE, 1).setting == 0
