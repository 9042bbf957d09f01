"""`record_episodes`: the shipped checkpoint in lockstep, recorded by the real recorder node."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from a1_core.errors import A1Error
from a1_core.spec import load_spec
from a1_data.reader import ReadSettings, open_bags
from a1_sim import plans
from a1_sim.ledger import digest
from a1_sim.record_episodes import main
from a1_sim.recordings import note_of, recorded
from a1_sim.stage import Stage
from a1_world.layout import FIRST_EVAL_SEED

TIMEOUT_S = 0.9


def record(stage: Stage, out: Path, episodes: int) -> None:
    main(
        [
            *("--robot", str(stage.robot), "--checkpoint", str(stage.checkpoint)),
            *("--tasks", "touch", "bowl", "--episodes", str(episodes), "--out", str(out)),
            *("--domain", os.environ["ROS_DOMAIN_ID"]),
        ]
    )


@pytest.fixture(scope="module")
def driver(stage: Stage) -> str:
    return f"policy {digest([stage.checkpoint, stage.robot])[:16]}"


@pytest.fixture(scope="module")
def bags(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes that are cut short by their time."""
    out = tmp_path_factory.mktemp("recorded") / "bags"
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("touch", "bowl"):
            patch.setitem(plans.TIMEOUT_S, kind, TIMEOUT_S)
        record(stage, out, 2)
    return out


def test_a_bag_holds_one_episode_and_nothing_around_it(stage: Stage, bags: Path) -> None:
    found = open_bags(bags, load_spec(stage.robot), ReadSettings())
    texts = []
    for bag in found:
        (episode,) = bag.episodes
        stamps = [frame.observation.stamp_ns for frame in bag.frames()]
        assert TIMEOUT_S - 0.3 < (stamps[-1] - stamps[0]) * 1e-9 < TIMEOUT_S + 2.0
        assert episode.outcome == "failure"
        assert bag.files.custom["dropped"] == bag.files.custom["lost"] == "{}"
        texts.append(" ".join(text for _, text in episode.instructions))
    assert len(texts) == 2
    assert sorted("bowl" in text for text in texts) == [False, True]


def test_what_is_recorded_is_not_played_again(
    stage: Stage, bags: Path, capsys: pytest.CaptureFixture
) -> None:
    before = sorted(path.name for path in bags.iterdir())
    record(stage, bags, 2)
    assert sorted(path.name for path in bags.iterdir()) == before
    assert "2 episodes, 0 of them succeeded" in capsys.readouterr().out


def test_bags_of_another_checkpoint_are_refused(bags: Path) -> None:
    with pytest.raises(A1Error, match=r"now it is 'policy of another'.*--out"):
        recorded(bags, "policy of another")


def test_an_episode_that_was_cut_off_is_removed(bags: Path, driver: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bags, copy)
    cut = next(copy.glob("*/metadata.yaml"))
    content = yaml.safe_load(cut.read_text())
    note = content["rosbag2_bagfile_information"]["custom_data"].pop("note")
    cut.write_text(yaml.safe_dump(content))
    left = recorded(copy, driver)
    assert len(left) == 1 and note not in left
    assert not cut.exists()
    assert recorded(tmp_path / "nowhere", driver) == {}


def test_layouts_are_of_their_own() -> None:
    chosen = list(plans.recording_plans(["touch", "push"], 5))
    assert [plan.kind for plan in chosen] == ["touch", "push", "touch", "push", "touch"]
    seeds = {plan.seed for plan in chosen}
    assert len(seeds) == len({note_of(plan) for plan in chosen}) == 5
    evaluated = {plan.seed for plan in plans.evaluation_plans("touch", 50)}
    assert min(seeds) > FIRST_EVAL_SEED and not seeds & evaluated
