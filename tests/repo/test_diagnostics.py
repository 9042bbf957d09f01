"""diagnostic_aggregator's configuration has one group for every status that A1's nodes publish."""

import re
from pathlib import Path

import yaml

from a1_core.intake import camera_stream, joints_stream

ROOT = Path(__file__).resolve().parents[2]
A1_LAUNCH = ROOT / "launch/a1.launch.xml"
NODE = re.compile(r'super\(\).__init__\("(\w+)"')
STATUS = re.compile(r'set_source\(\s*"([^"]+)"')


def published() -> set[str]:
    """Names of statuses: of the nodes' own sources, and of a camera and joints of the policy."""
    names = {f"/policy: {camera_stream('front')}", f"/policy: {joints_stream('/joint_states')}"}
    for path in ROOT.glob("src/*/*/**/*.py"):
        text = path.read_text(encoding="utf-8")
        for node in NODE.findall(text):
            if "A1LifecycleNode)" in text:
                found = {*STATUS.findall(text), "lifecycle"}
                names |= {f"/{node}: {status}" for status in found}
    return names


def analyzers() -> list[dict]:
    content = yaml.safe_load((ROOT / "config/diagnostics.yaml").read_text())
    return list(content["/**"]["ros__parameters"]["analyzers"].values())


def groups_of(name: str) -> list[str]:
    return [a["path"] for a in analyzers() if any(part in name for part in a["contains"])]


def test_every_status_is_in_one_group():
    names = published()
    assert {"/policy: inference", "/controller: controller", "/recorder: streams"} <= names
    assert {name: groups_of(name) for name in names if len(groups_of(name)) != 1} == {}


def test_a_namespace_does_not_change_the_group():
    assert groups_of("/left/policy: camera wrist") == ["Cameras"]
    assert groups_of("/joint_trajectory_controller: state") == []


def test_a_group_may_be_empty_where_its_node_need_not_run():
    # An empty group counts as stale otherwise, and one that is stale as an error of the whole.
    launched = set(re.findall(r'<node [^>]*name="(\w+)"', A1_LAUNCH.read_text()))
    assert {"policy", "controller"} <= launched
    for analyzer in analyzers():
        (node,) = {part.partition(":")[0] for part in analyzer["contains"]}
        assert (analyzer.get("num_items") == 0) is (node not in launched), analyzer["path"]
