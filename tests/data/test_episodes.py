"""Episodes and their instructions: from events, a topic, the bag's metadata, or a default."""

import sqlite3

import pytest
from bag_rig import (
    EPISODE,
    EPISODE_STATE,
    START,
    TEXT,
    Run,
    S,
    assert_same,
    codes,
    data_files,
    event,
    live,
    read,
    text,
    write_bag,
    write_split,
)

from a1_data.episodes import Episode, EpisodeEvents, InstructionTexts, plan_episodes

END = 2**63 - 1


def told(*events) -> list[tuple]:
    """(number, begin, end, outcome, instruction) of the episodes that events tell of."""
    machine = EpisodeEvents()
    for at, message in events:
        machine.note(at, message)
    episodes = machine.episodes()
    assert [episode.index for episode in episodes] == list(range(len(episodes)))
    return [(e.number, e.begin_ns, e.end_ns, e.outcome, e.instruction_at(0)) for e in episodes]


def test_an_episode_begins_with_running_and_ends_without():
    assert told(
        (5, event(0, False)),
        (10, event(1, True, instruction="touch red")),
        (15, event(1, True, instruction="touch red")),
        (20, event(1, False, instruction="touch red", success=True)),
        (25, event(1, False, instruction="touch red", success=True)),
        (30, event(2, True, instruction="touch blue")),
        (40, event(2, False, instruction="touch blue", failed=True)),
    ) == [(1, 10, 20, "success", "touch red"), (2, 30, 40, "failure", "touch blue")]


def test_the_next_episode_ends_the_one_before_and_the_last_one_may_stay_open():
    assert told((10, event(3, True)), (20, event(4, True)), (30, event(9, True))) == [
        (3, 10, 20, "", ""),
        (4, 20, 30, "", ""),
        (9, 30, END, "", ""),
    ]


def test_a_number_may_come_again_after_its_end():
    assert told((1, event(1, True)), (2, event(1, False)), (3, event(1, True))) == [
        (1, 1, 2, "", ""),
        (1, 3, END, "", ""),
    ]


def test_a_label_corrects_the_instruction_of_its_episode():
    assert told(
        (1, event(1, True, instruction="touch red")),
        (2, event(1, True, instruction="touch the red cube")),
        (3, event(1, False)),
    ) == [(1, 1, 3, "", "touch the red cube")]


def test_an_episode_knows_which_messages_are_its_own():
    episode = Episode(index=0, begin_ns=10, end_ns=20)
    assert [at for at in (9, 10, 19, 20) if at in episode] == [10, 19]


def test_only_changes_of_the_instruction_are_kept():
    texts = InstructionTexts()
    for at, words in enumerate(["a", "a", "b", "b", "", "a"]):
        texts.note(at, words)
    assert texts.changes == [(0, "a"), (2, "b"), (4, ""), (5, "a")]


@pytest.mark.parametrize(
    ("given", "source", "instruction"),
    [
        ("etmd", "events", "of the events"),
        ("tmd", "topic", "of the topic"),
        ("md", "metadata", "of the metadata"),
        ("d", "default", "of the caller"),
        ("", "none", ""),
    ],
)
def test_the_first_that_says_anything_has_the_say(given, source, instruction):
    events = EpisodeEvents()
    events.note(0, event(1, True, instruction="of the events" if "e" in given else ""))
    (episode,) = plan_episodes(
        events.episodes(),
        [(5, "of the topic")] if "t" in given else [],
        {"instruction": "of the metadata"} if "m" in given else {},
        "of the caller" if "d" in given else "",
    )
    assert (episode.instruction_source, episode.instruction_at(7)) == (source, instruction)


def test_an_instruction_holds_from_when_it_is_said_and_an_empty_one_is_nothing_to_do():
    (episode,) = plan_episodes(None, [(5, "a"), (9, ""), (12, "b")], {}, "default")
    said = [episode.instruction_at(at) for at in (4, 5, 8, 9, 11, 12, 99)]
    assert said == ["", "a", "a", "", "", "b", "b"]


@pytest.mark.parametrize(("word", "outcome"), [("success", "success"), ("perhaps", "")])
def test_the_outcome_of_a_bag_comes_from_its_metadata(word, outcome):
    (episode,) = plan_episodes(None, [], {"outcome": word}, "")
    assert episode.outcome == outcome


# -- in bags


def with_messages(run, *extra) -> list:
    """(topic, type, seconds, message) among the messages of a run."""
    other = Run(run.spec, messages=list(run.messages))
    for topic, msgtype, seconds, msg in extra:
        other.add(topic, msgtype, START + round(seconds * S), msg)
    return sorted(other.messages, key=lambda message: message.received_ns)


def events_of(run, topic="/a1/episode") -> list:
    return with_messages(
        run,
        (topic, EPISODE, 0.3, event(1, True, instruction="touch red")),
        (topic, EPISODE, 0.8, event(1, False, instruction="touch red", success=True)),
        (topic, EPISODE, 1.2, event(2, True, instruction="touch blue")),
    )


@pytest.mark.parametrize("topic", ["/a1/episode", "/sim/episode"])
def test_a_bag_is_split_by_its_events(run, bag_path, storage, topic):
    frames, bag = read(write_bag(bag_path, events_of(run, topic), storage), run.spec)
    assert [(e.number, e.outcome) for e in bag.episodes] == [(1, "success"), (2, "")]
    expected = {}
    for observation in live(run.spec, run.messages):
        expected[observation.stamp_ns] = observation
    for number, (begin, end), words in ((1, (0.3, 0.8), "touch red"), (2, (1.2, 9), "touch blue")):
        mine = [frame for frame in frames if frame.episode.number == number]
        assert len(mine) >= 8
        for frame in mine:
            assert begin * S <= frame.received_ns - START < end * S
            assert frame.observation.instruction == words
            # The state does not begin anew with an episode: a live node's does not either.
            twin = expected[frame.observation.stamp_ns]
            assert frame.observation.state_D.tobytes() == twin.state_D.tobytes()
    assert bag.report.outside.counts == {"OUTSIDE_EPISODE": len(expected) - len(frames)}
    assert [account.ticks.used for account in bag.report.episodes] == [
        sum(frame.episode is episode for frame in frames) for episode in bag.episodes
    ]


def test_the_recorders_events_go_before_the_simulators(run, bag_path):
    both = Run(run.spec, messages=events_of(run))
    messages = with_messages(both, ("/sim/episode", EPISODE, 0.1, event(7, True)))
    _, bag = read(write_bag(bag_path, messages), run.spec)
    assert [episode.number for episode in bag.episodes] == [1, 2]


def test_events_can_be_left_aside(run, bag_path):
    frames, bag = read(write_bag(bag_path, events_of(run)), run.spec, events=False)
    assert_same(frames, live(run.spec, run.messages))
    assert [episode.number for episode in bag.episodes] == [None]


def test_events_of_which_none_is_running(run, bag_path):
    messages = with_messages(run, ("/a1/episode", EPISODE, 0.3, event(0, False)))
    frames, bag = read(write_bag(bag_path, messages), run.spec)
    assert (frames, bag.episodes) == ([], ())
    assert codes(bag) == ["NO_EPISODES"]
    assert "--no-events" in bag.findings[0].mend


def test_events_are_found_in_a_bag_that_is_cut(run, bag_path, storage):
    write_bag(bag_path, events_of(run), storage)
    (path,) = data_files(bag_path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    frames, bag = read(bag_path, run.spec)
    assert [episode.number for episode in bag.episodes] == [1, 2]
    assert {frame.episode.number for frame in frames} == {1, 2}


def test_an_episode_goes_on_over_the_files_of_a_split_bag(run, bag_path):
    messages = with_messages(
        run, ("/a1/episode", EPISODE, 0.2, event(4, True, instruction="touch red"))
    )
    limit = START + S
    parts = [
        [message for message in messages if message.received_ns < limit],
        [message for message in messages if message.received_ns >= limit],
    ]
    frames, bag = read(write_split(bag_path, parts), run.spec)
    assert {frame.episode.number for frame in frames} == {4}
    assert bag.report.episodes[0].duration_s > 1.5


def test_the_period_begins_anew_with_an_episode(run, bag_path):
    frames, bag = read(write_bag(bag_path, events_of(run)), run.spec, period_s=10.0)
    assert [frame.episode.number for frame in frames] == [1, 2]
    assert bag.report.ticks["NOT_DUE"] > 10


def test_texts_of_a_topic_split_nothing_but_change_the_words(run, bag_path):
    messages = with_messages(
        run,
        ("/a1/instruction", TEXT, 0.5, text("touch red")),
        ("/a1/instruction", TEXT, 1.0, text("touch blue")),
        ("/a1/instruction", TEXT, 1.5, text("")),
    )
    frames, bag = read(write_bag(bag_path, messages, instruction="of the metadata"), run.spec)
    words = list(dict.fromkeys(frame.observation.instruction for frame in frames))
    assert words == ["touch red", "touch blue"]
    assert bag.episodes[0].instruction_source == "topic"
    ticks = bag.report.episodes[0].ticks
    assert ticks.counts["NO_INSTRUCTION"] == pytest.approx(20, abs=2)


def test_an_instruction_in_the_metadata(run, bag_path, storage):
    write_bag(bag_path, run.messages, storage, instruction="touch red", outcome="failure")
    frames, bag = read(bag_path, run.spec)
    assert {frame.observation.instruction for frame in frames} == {"touch red"}
    assert (bag.episodes[0].instruction_source, bag.episodes[0].outcome) == ("metadata", "failure")


def test_without_an_instruction_there_is_no_observation(run, bag_path):
    frames, bag = read(write_bag(bag_path, run.messages), run.spec, instruction="")
    assert frames == []
    ticks = bag.report.episodes[0].ticks
    assert ticks.counts["NO_INSTRUCTION"] > 30
    assert "give an instruction" in ticks.details["NO_INSTRUCTION"]


def test_an_instruction_topic_of_another_type_is_named(run, bag_path):
    messages = with_messages(run, ("/a1/instruction", EPISODE, 0.5, event(1, True)))
    frames, bag = read(write_bag(bag_path, messages), run.spec)
    assert codes(bag) == ["WRONG_TYPE"]
    assert bag.episodes[0].instruction_source == "default"
    assert len(frames) > 30


# -- definitions of messages


def without_definitions(path) -> None:
    """As bags of before ROS 2 Iron are."""
    (file,) = data_files(path)
    with sqlite3.connect(file) as connection:
        connection.execute("DELETE FROM message_definitions")
        connection.execute("UPDATE schema SET schema_version = 3")
        connection.execute("DROP TABLE message_definitions")
    connection.close()


def test_our_messages_are_read_by_the_bags_own_definition(run, bag_path, tmp_path, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    monkeypatch.chdir(tmp_path)
    _, bag = read(write_bag(bag_path, events_of(run)), run.spec)
    assert [episode.number for episode in bag.episodes] == [1, 2]


def test_our_messages_are_read_by_the_packages_definition_where_the_bag_has_none(
    run, bag_path, tmp_path, monkeypatch
):
    write_bag(bag_path, events_of(run), "sqlite3")
    without_definitions(bag_path)
    share = tmp_path / "prefix" / "share" / "a1_msgs" / "msg"
    share.mkdir(parents=True)
    (share / "EpisodeState.msg").write_text(EPISODE_STATE.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "prefix"))
    frames, bag = read(bag_path, run.spec)
    assert [episode.number for episode in bag.episodes] == [1, 2]
    assert {frame.observation.instruction for frame in frames} == {"touch red", "touch blue"}
    assert codes(bag) == []


def test_without_any_definition_the_events_are_named_as_unreadable(
    run, bag_path, tmp_path, monkeypatch
):
    write_bag(bag_path, events_of(run), "sqlite3")
    without_definitions(bag_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    _, bag = read(bag_path, run.spec)
    assert "BAD_DEFINITION" in codes(bag)
    bad = next(finding for finding in bag.findings if finding.code == "BAD_DEFINITION")
    assert bad.where == "/a1/episode"
    assert "source the workspace" in bad.mend


@pytest.mark.parametrize("definition", ["this is no definition", "int32 other", "Missing thing"])
def test_a_definition_that_cannot_be_used_gives_way_to_the_common_one(run, bag_path, definition):
    write_bag(bag_path, run.messages, "sqlite3")
    (file,) = data_files(bag_path)
    with sqlite3.connect(file) as connection:
        connection.execute(
            "UPDATE message_definitions SET encoded_message_definition = ?", (definition,)
        )
    connection.close()
    frames, _ = read(bag_path, run.spec)
    assert_same(frames, live(run.spec, run.messages))


def several_steps(run, *more) -> list:
    """An episode in which the world saw the first of two steps done at 0.8 s."""
    steps = ("touch red", "touch blue")
    whole = "touch red, then touch blue"
    told = [
        (
            "/sim/episode",
            EPISODE,
            at_s,
            event(1, True, instruction=whole, steps=steps, steps_done=n),
        )
        for at_s, n in ((0.3, 0), (0.5, 0), (0.8, 1), (1.0, 1))
    ]
    return with_messages(run, *told, *more)


def words_at(frames) -> set[tuple[str, bool]]:
    """Instructions of frames, and whether they are of those after 0.8 s."""
    return {(f.observation.instruction, f.received_ns - START >= 0.8 * S) for f in frames}


def test_of_several_steps_the_one_in_hand_is_the_instruction(run, bag_path):
    frames, bag = read(write_bag(bag_path, several_steps(run)), run.spec)
    assert [e.instruction_source for e in bag.episodes] == ["events"]
    assert words_at(frames) == {("touch red", False), ("touch blue", True)}


def test_of_several_steps_the_policy_knew_what_it_was_told(run, bag_path):
    told = [
        ("/a1/instruction", TEXT, at_s, text(said))
        for at_s, said in ((0.2, "touch red"), (1.1, "touch blue"))
    ]
    frames, bag = read(write_bag(bag_path, several_steps(run, *told)), run.spec)
    assert [e.instruction_source for e in bag.episodes] == ["topic"]
    mine = [f for f in frames if f.received_ns - START < 1.1 * S]
    assert {f.observation.instruction for f in mine} == {"touch red"}
    rest = [f for f in frames if f.received_ns - START > 1.1 * S]
    assert rest and {f.observation.instruction for f in rest} == {"touch blue"}


def test_a_label_of_a_bag_of_one_episode_wins_over_everything():
    custom = {"labelled_outcome": "failure", "labelled_instruction": "touch blue"}
    one = Episode(index=0, number=1, outcome="success", instructions=((0, "touch red"),))
    (labelled,) = plan_episodes([one], [], custom, "")
    assert (labelled.outcome, labelled.instruction_source) == ("failure", "label")
    assert labelled.instruction_at(0) == "touch blue"
    assert plan_episodes([one, one], [], custom, "") == (one, one)
    assert plan_episodes([one], [], {"labelled_outcome": "neither"}, "") == (one,)
