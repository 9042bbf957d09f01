"""A run read from its bag, and the page that tells of it."""

import itertools
import re
from html.parser import HTMLParser

import pytest
from staged_run import LAYERS, STOP_S, SUBSTEPS, staged, write_bag

from a1_core.errors import A1Error, BagError
from a1_ros.times import NS_PER_S
from a1_views.pictures import look_through
from a1_views.report import main, told_apart, write_report
from a1_views.run import deepest, load_run, overlaps_s, verdict_counts
from a1_views.run_timeline import scale_of, timeline
from a1_views.svg import INK

SECONDS = 6.0


def said(kind: str) -> list:
    run = staged(1_000 * NS_PER_S, SECONDS)
    return [one.msg for one in run if type(one.msg).__name__ == kind]


class Outside(HTMLParser):
    """Addresses that a page would ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.asked += [v for k, v in attrs if k in ("src", "href", "poster", "xlink:href") and v]


def outside(text: str) -> list[str]:
    parser = Outside()
    parser.feed(text)
    return [address for address in parser.asked if not address.startswith(("data:", "#"))]


def test_the_run_is_what_was_said(bag):
    run = load_run(bag)
    states = said("ExitState")
    chunks = [one.msg for one in staged(1_000 * NS_PER_S, SECONDS) if one.topic == "/a1/chunk"]
    assert [tick.exit_layer for tick in run.ticks] == [state.exit_layer for state in states]
    assert [chunk.seq for chunk in run.chunks] == [chunk.seq for chunk in chunks]
    assert all(chunk.verdict for chunk in run.chunks)
    assert sum(verdict_counts(run).values()) == len(said("ChunkVerdict"))
    assert run.robot == "franka"
    assert run.instruction == "put it in the bowl"
    assert run.outcome == "success"
    assert abs(run.duration_s - SECONDS) < 0.2
    assert [r.code for r in run.refusals] == ["CAMERA_STALE"] * len(said("ObservationRefusal"))


def test_the_plan_in_execution_is_no_chunk(bag, tmp_path):
    # It is told with the number of the chunk that it comes from, and with a stamp of its own.
    write_bag(tmp_path / "without", SECONDS, leave_out={"/a1/plan"})
    run, without = load_run(bag), load_run(tmp_path / "without")
    assert run.chunks == without.chunks
    assert overlaps_s(run) == overlaps_s(without)
    assert min(chunk.staleness_ms for chunk in run.chunks) > 0


def test_without_phases_the_instructions_are_told(tmp_path):
    write_bag(tmp_path / "real", SECONDS, leave_out={"/sim/episode"})
    run = load_run(tmp_path / "real")
    assert [span.name for span in run.phases] == list(SUBSTEPS)
    assert abs(run.seconds(run.phases[1].begin_ns) - SECONDS / 2) < 0.1
    drawn, _ = timeline(run, 11.0, scale_of([run]))
    assert "nothing of phases" not in drawn


def test_modes_and_phases_come_as_they_were(bag):
    run = load_run(bag)
    assert [span.name for span in run.modes] == ["TRACKING", "STOPPED", "TRACKING"]
    stopped = run.modes[1]
    assert stopped.reason == "stop was called"
    assert abs(run.seconds(stopped.begin_ns) - STOP_S[0] * SECONDS) < 0.1
    assert [span.name for span in run.phases] == [
        "approach",
        "descend",
        "grasp",
        "carry",
        "release",
    ]


def test_overlap_is_what_was_left_of_the_older_chunk(bag):
    run = load_run(bag)
    found = overlaps_s(run)
    assert found
    by_seq = {chunk.seq: chunk for chunk in run.chunks}
    played = [chunk for chunk in run.chunks if chunk.played_ns is not None]
    at_ns, left_s = found[0]
    older, newer = played[0], played[1]
    assert by_seq[newer.seq].played_ns[0] == at_ns
    assert abs(left_s - (older.end_ns - at_ns) / NS_PER_S) < 1e-9


def test_the_deepest_ticks_are_apart_and_in_order(bag):
    run = load_run(bag)
    found = deepest(run, 3, apart_s=0.5)
    assert max(t.exit_layer for t in run.ticks) in {tick.exit_layer for tick in found}
    stamps = [tick.stamp_ns for tick in found]
    assert stamps == sorted(stamps)
    assert min(b - a for a, b in itertools.pairwise(stamps)) >= 0.5 * NS_PER_S


def test_pictures_are_those_of_the_moment(bag):
    import cv2
    import numpy as np

    run = load_run(bag)
    moments = [run.begin_ns, run.begin_ns + round(0.9 * SECONDS * NS_PER_S)]
    pictures = look_through(run, moments, film=True)
    assert pictures.cameras == ("/front_camera/color/image_raw", "/wrist_camera/color/image_raw")
    places = []
    for moment in moments:
        bgr = cv2.imdecode(np.frombuffer(pictures.stills[moment], np.uint8), cv2.IMREAD_COLOR)
        assert bgr.shape[1] == 2 * bgr.shape[0]
        orange = (bgr[:, : bgr.shape[0], 2] > 200) & (bgr[:, : bgr.shape[0], 0] < 100)
        places.append(np.argwhere(orange)[:, 1].mean())
    assert places[1] > places[0] + 40  # The cube has moved to the right.


def test_the_film_is_as_long_as_the_run(bag):
    import io

    import av

    film = look_through(load_run(bag), [], film=True).film
    with av.open(io.BytesIO(film)) as container:
        frames = [frame.time for frame in container.decode(video=0)]
    assert abs(frames[-1] - SECONDS) < 0.5
    assert len(frames) >= 20


def test_the_page_needs_nothing_beside_it(reports):
    text = (reports / "one.html").read_text()
    assert outside(text) == []
    assert "url(http" not in text
    assert "put it in the bowl" in text
    assert "stop was called" in text
    assert "CAMERA_STALE" in text
    assert f"of {LAYERS}" in text
    assert "certified: loss of an episode at most 0.05" in text
    assert text.count("<video") == 1
    assert sorted(path.name for path in reports.iterdir()) == ["one.html", "two.html"]


def test_two_runs_stand_side_by_side(reports):
    text = (reports / "two.html").read_text()
    assert '<body class="two">' in text
    assert text.count('class="time"') == 2
    (head,) = re.findall(r"<tr><th></th><th>(.*?)</tr>", text)[:1]
    assert "franka_staged" in head
    assert "franka_other" in head
    assert "<video" not in text


def test_two_bags_of_one_name_are_told_apart_by_their_folders(tmp_path):
    bags = [tmp_path / folder / "run" for folder in ("before", "after")]
    for bag in bags:
        write_bag(bag, 1.0)
    runs = told_apart([load_run(bag) for bag in bags])
    assert [run.name for run in runs] == ["before/run", "after/run"]


@pytest.mark.parametrize("missing", ["/a1/exit_state", "/a1/chunk", "/a1/controller_state"])
def test_a_bag_that_lacks_a_topic_is_told_all_the_same(tmp_path, missing):
    bag, out = tmp_path / "part", tmp_path / "part.html"
    write_bag(bag, 2.0, leave_out={missing, "/a1/thresholds_info"})
    write_report(out, [bag], film=False)
    text = out.read_text()
    assert "does not say which thresholds" in text
    assert ("holds no a1/exit_state" in text) is (missing == "/a1/exit_state")


def test_the_same_run_gives_the_same_figure(bag):
    run = load_run(bag)
    scale = scale_of([run])
    first, ends = timeline(run, 7.0, scale)
    assert timeline(run, 7.0, scale) == (first, ends)
    assert 0.0 < ends[0] < ends[1] < 1.0
    assert INK not in first


def test_a_bag_cut_off_is_told_as_far_as_it_goes(tmp_path):
    path = tmp_path / "franka_cut"
    write_bag(path, 4.0)
    (data,) = path.glob("*.mcap")
    whole = data.read_bytes()
    data.write_bytes(whole[: int(0.6 * len(whole))])
    run = load_run(path)
    assert run.ticks
    assert run.findings
    assert any(finding.startswith("INDEX_MISSING") for finding in run.findings)


def test_mistakes_are_one_line_with_the_mend(bag, tmp_path, capsys):
    with pytest.raises(BagError, match="no such file or folder"):
        load_run(tmp_path / "nowhere")
    write_bag(tmp_path / "many" / "one", 1.0)
    write_bag(tmp_path / "many" / "two", 1.0)
    with pytest.raises(BagError, match=r"holds 2 bags \(one, two"):
        load_run(tmp_path / "many")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(A1Error, match="give another --out"):
        write_report(file / "report.html", [bag], film=False)
    (tmp_path / "folder").mkdir()
    with pytest.raises(A1Error, match="is a folder; give --out a file"):
        write_report(tmp_path / "folder", [bag], film=False)
    with pytest.raises(BagError, match=r"no data file of a bag; its name must end in \.mcap"):
        load_run(file)
    false = tmp_path / "false.mcap"
    false.write_text("no bag")
    with pytest.raises(BagError, match="does not begin as an MCAP file does"):
        load_run(false)
    with pytest.raises(SystemExit, match="1"):
        main([str(tmp_path / "nowhere")])
    assert "no such file or folder" in capsys.readouterr().out


def test_a_bag_without_a1_is_refused(tmp_path):
    from rosbags.rosbag2 import StoragePlugin, Writer

    from a1_data.definitions import Definitions

    told = Definitions().of("std_msgs/msg/String")
    path = tmp_path / "foreign"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        connection = bag.add_connection(
            "/chatter", "std_msgs/msg/String", msgdef=told.text, rihs01=told.digest
        )
        bag.write(connection, 1, b"\x00\x01\x00\x00\x02\x00\x00\x00a\x00")
    with pytest.raises(BagError, match="record with a1_recorder"):
        load_run(path)
