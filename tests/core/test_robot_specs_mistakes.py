"""A mistake in any field of any shipped spec is one clear error that names file and field."""

import copy
from pathlib import Path

import pytest
import yaml

from a1_core.errors import SpecError
from a1_core.spec_reader import spec_from

PATHS = sorted((Path(__file__).parents[2] / "config/robots").glob("*.yaml"))
CONTENTS = {path.stem: yaml.safe_load(path.read_text()) for path in PATHS}
WHERE = Path("some/robot.yaml")
# What may be left out, and mappings that the spec hands on as they are.
OPTIONAL = {"unit", "wire_names", "urdf_names", "stop", "arguments", "made_from"}
OPTIONAL |= {"model", "meshes", "attached", "left_out", "model_joints"}
FREE = {"arguments", "request", "required_parameters"}

each = pytest.mark.parametrize("name", sorted(CONTENTS))


def mappings(value: object, path: str = "some/robot.yaml"):
    """Every mapping with the path that an error has to name."""
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            if key not in FREE:
                yield from mappings(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from mappings(item, f"{path}[{index}]")


def refusal(content: dict) -> str:
    with pytest.raises(SpecError) as caught:
        spec_from(content, WHERE)
    message = str(caught.value)
    assert message.startswith("some/robot.yaml")
    assert "\n" not in message
    return message


@each
def test_a_field_of_the_wrong_kind(name: str) -> None:
    content = copy.deepcopy(CONTENTS[name])
    tried = 0
    for path, mapping in list(mappings(content)):
        for key, right in list(mapping.items()):
            if isinstance(right, dict) and key not in FREE:
                continue
            mapping[key] = [{"odd": 1}] if key in FREE else {"odd": 1}
            message = refusal(content)
            assert f"{path}.{key}" in message or f"{path}: " in message, (path, key, message)
            mapping[key] = right
            tried += 1
    assert tried > 60
    spec_from(content, WHERE)


@each
def test_a_field_left_out(name: str) -> None:
    content = copy.deepcopy(CONTENTS[name])
    for path, mapping in list(mappings(content)):
        for key in list(mapping):
            if key in OPTIONAL or (key == "stop" and mapping.get("controller")):
                continue
            right = mapping.pop(key)
            message = refusal(content)
            # Where a GAP stands for the whole, what is missed is the first of its numbers.
            whole = {"workspace": "lower", "kinematics": "origins"}
            missed = [name for part, name in whole.items() if part in path and key == "value"]
            instead = missed[0] if missed else key
            assert f"'{instead}'" in message, (path, key, message)
            mapping[key] = right
    spec_from(content, WHERE)


@each
def test_a_field_that_nobody_knows(name: str) -> None:
    content = copy.deepcopy(CONTENTS[name])
    for path, mapping in list(mappings(content)):
        mapping["colour"] = "white"
        message = refusal(content)
        assert message.startswith(f"{path}: key 'colour' is unknown; allowed: "), message
        del mapping["colour"]


@each
def test_numbers_that_cannot_be(name: str) -> None:
    content = copy.deepcopy(CONTENTS[name])
    for field in ("position_lower", "position_upper", "velocity", "acceleration", "jerk", "step"):
        entry = content["operating_limits"][field]
        right = entry["value"]
        for wrong in ([*right, 0.0], [float("nan"), *right[1:]], ["1", *right[1:]], "GAP"):
            entry["value"] = wrong
            assert f"operating_limits.{field}.value" in refusal(content)
        entry["value"] = [1e9 if field != "position_lower" else -1e9, *right[1:]]
        if content["vendor_limits"].get(field, {}).get("value", "GAP") != "GAP":
            assert "stay inside the vendor's" in refusal(content)
        entry["value"] = right
    content["home"]["value"] = [100.0, *content["home"]["value"][1:]]
    assert "is outside operating_limits" in refusal(content)


def changed(name: str, path: str, value: object) -> dict:
    content: dict = copy.deepcopy(CONTENTS[name])
    *parents, last = path.split(".")
    at = content
    for key in parents:
        at = at[int(key)] if key.isdigit() else at[key]  # type: ignore[index]
    at[last] = value
    return content


@pytest.mark.parametrize(
    ("name", "path", "value", "said"),
    [
        ("aloha", "joint_names", ["a"], "has joint_names and arms of 'joint_names' and 'arms'"),
        ("aloha", "gripper", {}, "has gripper and grippers"),
        ("aloha", "command", {}, "has command and commands"),
        ("aloha", "arms.1.name", "left", "a name of its own"),
        ("aloha", "grippers.0.name", "hand", "ends in _gripper"),
        ("aloha", "grippers.1.name", "left_gripper", r"names \['left_gripper'\] repeat"),
        ("aloha", "grippers.0.command.interface", "magic", "one of gripper_command"),
        ("aloha", "state_sources.0.wire_names", ["waist"], "write 7, one for each joint"),
        ("aloha", "commands.0.wire_names", ["waist"], "write 6, one for each joint"),
        ("aloha", "commands.0.adapter", "magic", "one of joint_trajectory"),
        ("aloha", "commands.1.joints", ["left_waist"], "missing, repeated or unknown|one for each"),
        ("aloha", "commands.1.name", "left", r"commands: names \['left'\] repeat"),
        ("aloha", "commands.0.stream.silence", "falls", "one of holds, GAP"),
        ("aloha", "commands.0.stream.unit", "turns", "one of rad, deg"),
        ("aloha", "operating_limits.workspace", {"left": {}}, "key 'lower' is missing"),
        ("agibot", "urdf_names", ["a"], "write 14, one for each joint"),
        ("agibot", "grippers.0.closed", 1.0, "numbers for both ends, or GAP"),
        ("agibot", "grippers.0.command.open", 1.0, "numbers for both ends, or GAP"),
        ("agibot_a2", "command.stream.rate_hz", 20.0, "at least every 0.03 s"),
        ("agibot_a2", "operating_limits.workspace.left.value", "unknown", "write one of GAP"),
        ("dobot", "state_sources.1.made_from.topic", "/x", "leave it out"),
        ("dobot", "command.topic", "/x", "key 'topic' is unknown"),
        ("dobot", "command.error_state", {"topic": "/x"}, "list of mappings"),
        ("dobot", "command.error_state.0.good", [], "values with which the robot can move"),
        ("dobot", "command.stop.interface", "shout", "one of service, topic, none"),
        ("ur5e", "command.stream", {}, "key 'stream' is unknown"),
        ("ur5e", "gripper.command.type", "x", "key 'type' is unknown"),
        ("ur5e", "gripper.unit", "inch", "write one of rad, m"),
        ("ur5e", "gripper.command.open", 0.8, "differs from `closed`"),
        ("aloha", "model.model_joints", ["waist"], "write 12, one for each joint"),
        ("aloha", "model.fingers.left_gripper", [], "write a list of mappings"),
        ("ur5e", "model.attached", {"file": "x"}, "key 'site' is missing"),
        ("arx5", "gripper.command.topic", "/x", "key 'topic' is unknown"),
    ],
)
def test_what_does_not_fit_together(name: str, path: str, value: object, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        spec_from(changed(name, path, value), WHERE)


def test_a_stream_says_how_it_is_stopped() -> None:
    content = copy.deepcopy(CONTENTS["dobot"])
    del content["command"]["stop"]
    assert "key 'stop' is missing" in refusal(content)
