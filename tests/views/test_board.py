"""What is kept of a run, and what of it is news."""

import json
import math

from staged_run import SUBSTEPS, staged
from std_msgs.msg import String

from a1_ros.times import NS_PER_S
from a1_views.board import KEPT_TICKS, Board

SECONDS = 30.0


def fed(seconds: float = SECONDS) -> Board:
    board = Board()
    takes = {
        "/a1/exit_state": board.exit_state,
        "/a1/chunk_verdict": board.verdict,
        "/a1/refusal": board.refusal,
        "/a1/thresholds_info": board.thresholds,
        "/a1/instruction": board.instruction,
        "/sim/episode": board.episode,
        "/a1/thumbnails": board.thumbnails,
    }
    timed = {"/a1/controller_state": board.controller, "/diagnostics": board.diagnostics}
    for one in staged(0, seconds):
        if one.topic in timed:
            timed[one.topic](one.msg, one.at_ns)
        elif one.topic in takes:
            takes[one.topic](one.msg)
    return board


def said(topic: str, seconds: float = SECONDS) -> list:
    return [one.msg for one in staged(0, seconds) if one.topic == topic]


def test_every_inference_is_told_with_its_verdict_and_the_time_until_then():
    news = fed().news(0, 0)
    states, verdicts = said("/a1/exit_state"), said("/a1/chunk_verdict")
    assert [tick["exit_layer"] for tick in news["ticks"]] == [s.exit_layer for s in states]
    assert {tick["verdict"] for tick in news["ticks"]} == {"ACCEPTED", "STOPPED"}
    assert sum(news["verdicts"].values()) == len(verdicts) == len(news["ticks"])
    tick, state, verdict = news["ticks"][4], states[4], verdicts[4]
    assert verdict.seq == state.seq
    judged_ms = verdict.header.stamp.nanosec / 1e6 - state.header.stamp.nanosec / 1e6
    sent_ms = state.observation_age_ms + state.total_ms + state.publish_ms
    expected = judged_ms - sent_ms
    assert abs(tick["judge_ms"] - expected) < 1e-3


def test_a_verdict_that_comes_before_its_exit_state_is_kept_for_it():
    board = Board()
    board.verdict(said("/a1/chunk_verdict")[0])
    board.exit_state(said("/a1/exit_state")[0])
    assert board.news(0, 0)["ticks"][0]["verdict"] == "ACCEPTED"


def test_a_verdict_of_another_session_is_not_taken_for_an_old_chunk():
    board = Board()
    board.exit_state(said("/a1/exit_state")[0])
    late = said("/a1/chunk_verdict")[0]
    late.header.stamp.sec += 60
    board.verdict(late)
    assert board.news(0, 0)["ticks"][0]["verdict"] == ""
    assert board.news(0, 0)["verdicts"] == {"ACCEPTED": 1}


def test_who_says_how_far_he_came_gets_what_he_lacks():
    board = fed()
    whole = board.news(0, 0)
    assert "picture" in whole
    later = board.news(whole["revision"], 0)
    assert later["ticks"] == []
    assert "picture" not in later
    board.exit_state(said("/a1/exit_state")[0])
    (fresh,) = board.news(whole["revision"], 0)["ticks"]
    assert fresh["n"] == whole["ticks"][-1]["n"] + 1


def test_memory_does_not_grow_with_the_run():
    board = fed(SECONDS + 120.0)
    assert len(board.news(0, 0)["ticks"]) == KEPT_TICKS


def test_news_are_json_whatever_is_not_a_number():
    news = fed().news(0, 5 * NS_PER_S)
    text = json.dumps(news, allow_nan=False)
    assert json.loads(text)["now_s"] == 5.0
    assert news["thresholds"]["values"][0] is None
    assert news["ticks"][0]["discrepancies"][0] is None


def test_a_threshold_that_nothing_meets_is_told_from_one_that_everything_meets():
    board = Board()
    msg = said("/a1/exit_state")[0]
    msg.exits_evaluated = [0, 1, 2, 3]
    msg.discrepancies = [math.nan, 0.01, 0.01, 0.01]
    msg.thresholds = [math.nan, -math.inf, 0.02, math.inf]
    board.exit_state(msg)
    (tick,) = board.news(0, 0)["ticks"]
    assert tick["thresholds"] == [None, None, 0.02, None]
    assert tick["within"] == [False, False, True, True]


def test_a_controller_that_says_nothing_any_more_is_silent():
    board, end_ns = fed(), round(SECONDS * NS_PER_S)
    assert board.news(0, end_ns)["controller"]["mode"] == "TRACKING"
    later = board.news(0, end_ns + 7 * NS_PER_S)["controller"]
    assert later["mode"] == "SILENT"
    assert "for 7 s, before it was TRACKING" in later["reason"]
    board.look_away()
    assert "controller" not in board.news(0, end_ns)


def test_the_instruction_is_the_newest_and_none_when_nothing_is_to_be_done():
    board = fed()
    assert board.news(0, 0)["instruction"] == SUBSTEPS[-1]
    board.instruction(String())
    assert board.news(0, 0)["instruction"] == ""


def test_figures_are_those_of_the_ticks():
    news = fed().news(0, 0)
    states = said("/a1/exit_state")
    saved = 1 - sum(state.flops_fraction for state in states) / len(states)
    assert abs(news["saved"] - saved) < 1e-6
    assert sum(news["exits"]["counts"].values()) == news["exits"]["of"] == len(states)
    backbone = sorted(state.backbone_ms for state in states)
    p50, p95, p99 = news["latency_ms"]["backbone"]
    assert backbone[0] <= p50 <= p95 <= p99 <= backbone[-1] + 0.01
    assert news["latency_ms"]["publish"] == [0.4, 0.4, 0.4]


def test_diagnostics_say_who_and_what():
    (warned,) = [s for s in fed().news(0, 0)["statuses"] if s["level"] == "WARN"]
    assert (warned["node"], warned["what"]) == ("policy", "camera wrist")
    assert "look at its driver" in warned["message"]


def test_a_status_that_is_not_told_any_more_is_stale():
    now = fed().news(0, round((SECONDS + 1) * NS_PER_S))["statuses"]
    later = fed().news(0, round((SECONDS + 30) * NS_PER_S))["statuses"]
    assert {status["level"] for status in now} == {"OK", "WARN"}
    assert {status["level"] for status in later} == {"STALE"}
    assert all("has the node ended" in status["message"] for status in later)
