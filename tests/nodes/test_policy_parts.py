"""The policy node's pure parts: task, worker, statistics, verdict watch."""

import threading

import pytest

from a1_core.errors import ObservationRefused
from a1_core.verdict import VerdictCode
from a1_policy_node.blocking import BlockWatch
from a1_policy_node.statistics import InferenceStatistics, StreamStatistics
from a1_policy_node.status import stream_status
from a1_policy_node.task import EndRule, Outcome, Task
from a1_policy_node.worker import Worker
from a1_ros.diagnostics import Level

SECOND = 1_000_000_000
TWO_VOTES = EndRule(probability=0.5, count=2)


def task(*substeps, **options):
    return Task(substeps, now_ns=0, end_rule=TWO_VOTES, **options)


def test_a_substep_ends_after_votes_in_a_row():
    going = task("first", "second")
    assert not any(going.note_chunk(probability) for probability in (0.9, 0.1, 0.9))
    assert (going.instruction, going.substeps_done) == ("first", 0)
    assert going.note_chunk(0.5)
    assert going.instruction == "first"
    going.end_substep(0)
    assert (going.instruction, going.substeps_done, going.ended_by) == ("second", 1, (4,))
    assert going.progress == 0.5
    assert not going.note_chunk(0.9), "votes for the first count for the second"


def test_a_task_succeeds_when_all_substeps_are_done():
    going = task("first", "second")
    for _ in range(4):
        if going.note_chunk(1.0):
            going.end_substep(3 * SECOND)
    assert going.outcome is Outcome.SUCCEEDED
    assert (going.progress, going.instruction, going.chunks) == (1.0, "", 4)
    assert going.ended_by == (2, 4)
    assert going.elapsed_s(9 * SECOND) == 3.0


def test_an_open_ended_task_goes_on():
    going = task("hold", open_ended=True)
    assert not any(going.note_chunk(1.0) for _ in range(9))
    assert going.outcome is None


def test_a_task_times_out_on_the_clock_it_is_given():
    going = task("slow", timeout_ns=2 * SECOND)
    going.check_time(2 * SECOND - 1)
    assert going.outcome is None
    going.check_time(2 * SECOND)
    assert going.outcome is Outcome.TIMED_OUT
    assert "2 s" in going.message


def test_the_first_outcome_stays():
    going = task("x")
    going.end(Outcome.CANCELED, "by the client", 0)
    going.end(Outcome.FAILED, "later", 0)
    assert (going.outcome, going.message) == (Outcome.CANCELED, "by the client")


def test_sessions_differ():
    assert task("x").session_id != task("x").session_id


def test_the_worker_takes_the_newest_job():
    begun, release, done = threading.Event(), threading.Event(), []

    def work(job):
        begun.set()
        release.wait(5.0)
        done.append(job)

    worker = Worker(work, failed=done.append)
    worker.start()
    worker.submit(1)
    assert begun.wait(5.0)
    for job in (2, 3, 4):
        assert worker.submit(job)
    assert worker.busy and worker.waits
    assert worker.replace(5)
    release.set()
    while worker.busy:
        release.wait(0.001)
    assert not worker.waits
    assert not worker.replace(6)
    worker.stop()
    assert done == [1, 5]
    assert worker.replaced == 3
    assert not worker.submit(7)


def test_a_worker_that_raises_says_so_and_stops():
    told = []

    def work(job):
        raise KeyError(job)

    worker = Worker(work, failed=told.append)
    worker.start()
    worker.submit("lost")
    while not told:
        threading.Event().wait(0.001)
    assert "KeyError: 'lost'" in told[0]
    assert worker.broken and not worker.busy
    assert not worker.submit("again")
    worker.stop()


def test_a_worker_that_never_ran_stops():
    Worker(print, print).stop()


def test_a_stream_has_a_rate_that_falls_in_silence():
    stream = StreamStatistics()
    assert stream.rate_hz(0) == 0.0
    assert stream.silence_s(0) == float("inf")
    for k in range(11):
        stream.note(k * SECOND // 10, accepted=k != 3, stamp_ns=k)
    assert stream.rate_hz(SECOND) == pytest.approx(10.0)
    assert stream.rate_hz(5 * SECOND) < 3.0
    assert stream.silence_s(3 * SECOND) == 2.0
    assert (stream.received, stream.dropped) == (11, 1)


def streamed(hz: float, *, arrivals_hz: float | None = None, count: int = 40) -> StreamStatistics:
    stream = StreamStatistics()
    for k in range(count):
        arrival_ns = round(k * SECOND / (arrivals_hz or hz))
        stream.note(arrival_ns, accepted=True, stamp_ns=round(k * SECOND / hz))
    return stream


def status_of(
    stream: StreamStatistics, *, promised_hz: float = 10.0, after_s: float = 0.05, **more
):
    newest_ns = max(stream._arrivals_ns, default=0)
    return stream_status(
        "camera front",
        stream,
        more.get("rejection"),
        limit_s=0.5,
        promised_hz=promised_hz,
        now_ns=newest_ns + round(after_s * SECOND),
    )


def test_a_stream_that_keeps_its_promise_is_fine():
    assert status_of(streamed(10.0)).level is Level.OK
    assert status_of(streamed(9.4)).level is Level.OK
    assert status_of(streamed(60.0)).level is Level.OK


def test_a_stream_under_its_promised_rate_is_a_warning_that_says_what_to_do():
    status = status_of(streamed(7.0))
    assert status.level is Level.WARN
    assert status.message.startswith("7.0 Hz, and the robot spec promises 10 Hz")
    assert "look at its driver" in status.message


def test_a_simulation_that_runs_slowly_keeps_its_promises():
    assert status_of(streamed(10.0, arrivals_hz=4.0)).level is Level.OK


def test_too_few_messages_promise_nothing():
    assert status_of(streamed(7.0, count=5)).level is Level.OK


def test_a_stream_that_ended_is_an_error_and_one_that_never_began_too():
    assert status_of(streamed(10.0), after_s=2.0).level is Level.ERROR
    never = status_of(StreamStatistics(), after_s=0.0)
    assert never.level is Level.ERROR
    assert "nothing so far; start the camera's driver" in never.message


def test_what_cannot_be_used_is_told_with_its_mend():
    status = status_of(streamed(10.0), rejection=ObservationRefused("CAMERA_SIZE", "it is 3x3"))
    assert status.level is Level.WARN
    assert "it is 3x3; let the driver publish the size" in status.message


def test_stamps_of_another_time_are_told_before_what_they_lead_to():
    stream = streamed(10.0)
    for _ in range(40):
        stream.clock.note(800_000_000)
    status = status_of(stream, rejection=ObservationRefused("CAMERA_SIZE", "it is 3x3"))
    assert status.level is Level.WARN
    assert "800 ms behind this computer's clock; synchronise" in status.message
    assert status.values["behind this clock [ms]"] == "800.0"


def test_inferences_are_counted_by_exit_and_reason():
    statistics = InferenceStatistics()
    for layer, total_ms in ((3, 10.0), (3, 20.0), (8, 30.0)):
        statistics.note_chunk(layer, {"inference": total_ms}, cut_short=layer == 8)
    statistics.note_refusal("CAMERA_STALE")
    assert (statistics.chunks, dict(statistics.exits)) == (3, {3: 2, 8: 1})
    assert statistics.cut_short == 1
    assert statistics.quantiles_ms() == {"inference p50 / p95 [ms]": "20.0 / 29.0"}


def test_only_an_unbroken_row_of_refusals_is_a_block():
    watch = BlockWatch()
    watch.note(VerdictCode.NOT_ARMED, "", 0)
    assert not watch.blocked(SECOND)
    watch.note(VerdictCode.STEP, "too far", SECOND)
    watch.note(VerdictCode.NOT_ARMED, "", 2 * SECOND)
    assert not watch.blocked(SECOND)
    watch.note(VerdictCode.STOPPED, "by hand", 3 * SECOND)
    assert watch.blocked(SECOND)
    assert (watch.code, watch.reason) == (VerdictCode.STOPPED, "STOPPED: by hand")
