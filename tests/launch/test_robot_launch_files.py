"""Every robot's launch file resolves, for every variant, and says what vendors' parts need."""

from pathlib import Path

import pytest
import yaml

from a1_core.spec import load_spec
from a1_ros.launch_reader.document import LaunchError
from a1_ros.launch_reader.main import shown_arguments
from a1_ros.launch_reader.reader import declared_arguments, read

ROOT = Path(__file__).resolve().parents[2]
SPECS = {path.stem: load_spec(path) for path in sorted(ROOT.glob("config/robots/*.yaml"))}
# File of the launch, its arguments, and the spec that they lead to.
VARIANTS = [
    ("franka", {}, "franka"),
    ("franka", {"driver": "libfranka"}, "franka_libfranka"),
    ("agibot", {}, "agibot"),
    ("agibot", {"variant": "a2", "domain": "232"}, "agibot_a2"),
    ("openarm", {}, "openarm"),
    ("openarm", {"variant": "single"}, "openarm_single"),
    ("openarm", {"variant": "v2"}, "openarm_v2"),
    ("ur5e", {}, "ur5e"),
    ("dobot", {}, "dobot"),
    ("aloha", {}, "aloha"),
    ("wxai", {}, "wxai"),
    ("arx5", {}, "arx5"),
]
# Package and launch file that vendor:=true leads to.
VENDORS = {
    "franka": ("franka_bringup", "franka.launch.py"),
    "openarm": ("openarm_bringup", "openarm.bimanual.launch.py"),
    "ur5e": ("ur_robot_driver", "ur_control.launch.py"),
    "dobot": ("cr_robot_ros2", "dobot_bringup_ros2.launch.py"),
    "aloha": ("aloha", "aloha_bringup.launch.py"),
    "wxai": ("trossen_arm_bringup", "trossen_arm.launch.py"),
    "arx5": ("arx_x5_controller", "x5_v2/v2_single_arm.launch.py"),
}

each_variant = pytest.mark.parametrize(
    ("file", "arguments", "name"), VARIANTS, ids=[name for _, _, name in VARIANTS]
)
each_vendor = pytest.mark.parametrize("file", sorted(VENDORS))


def nodes_of(share: Path, file: str, arguments: dict[str, str]):
    found = read(share / "launch" / f"{file}.launch.xml", arguments)
    return {node.name: node for node in found}


def values_of(node) -> dict:
    return {k: v for p in node.parameters if not isinstance(p, Path) for k, v in p.items()}


def install(share: Path, package: str, files: tuple[str, ...] = ()) -> Path:
    """An empty package with these files, beside a1_bringup."""
    (share.parent / "ament_index/resource_index/packages" / package).touch()
    (share.parent / package).mkdir(exist_ok=True)
    for file in files:
        path = share.parent / package / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")
    return share.parent / package


def test_every_spec_is_launched_by_one_of_them():
    assert sorted(name for _, _, name in VARIANTS) == sorted(SPECS)


@each_variant
def test_it_leads_to_its_spec_and_nothing_is_armed(bringup_share, file, arguments, name):
    nodes = nodes_of(bringup_share, file, arguments)
    assert set(nodes) == {"controller", "policy", "lifecycle_manager"}
    for node in ("controller", "policy"):
        spec = load_spec(values_of(nodes[node])["robot"])
        assert spec.digest == SPECS[name].digest
        assert spec.robot == file
    assert values_of(nodes["controller"])["hardware"] is True
    assert values_of(nodes["lifecycle_manager"])["arm"] is False


@each_variant
def test_cameras_come_from_where_the_arguments_say(bringup_share, file, arguments, name):
    path = bringup_share / "launch" / f"{file}.launch.xml"
    images = [a.name for a in declared_arguments(path) if a.name.endswith("_image")]
    given = {image: f"/elsewhere/{image}" for image in images}
    nodes = nodes_of(bringup_share, file, {**arguments, **given})
    remapped = dict(nodes["policy"].remappings)
    for camera in SPECS[name].cameras if images else ():
        assert remapped[camera.topic] == f"/elsewhere/{camera.name}_image"
        assert (
            remapped[f"{camera.topic}/compressed"] == f"/elsewhere/{camera.name}_image/compressed"
        )
    plain = nodes_of(bringup_share, file, arguments)
    assert all(old == new for old, new in plain["policy"].remappings)


@each_variant
def test_its_arguments_are_shown_with_what_they_are_for(bringup_share, file, arguments, name):
    path = bringup_share / "launch" / f"{file}.launch.xml"
    shown = shown_arguments(path)
    found = {argument.name: argument for argument in declared_arguments(path)}
    assert {"checkpoint", "thresholds", "confirmed_limits", "namespace", *arguments} <= set(found)
    for argument in found.values():
        assert argument.description
        assert argument.name in shown
        assert argument.default is not None or argument.name == "robot"


def test_the_robot_computers_domain(bringup_share, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "5")
    plain = nodes_of(bringup_share, "agibot", {})
    given = nodes_of(bringup_share, "agibot", {"domain": "232"})
    assert plain["controller"].environment["ROS_DOMAIN_ID"] == "5"
    assert given["policy"].environment["ROS_DOMAIN_ID"] == "232"


@each_vendor
def test_a_vendor_that_is_not_installed_is_named(bringup_share, file):
    with pytest.raises(LaunchError, match=r"package '.*' is not installed"):
        nodes_of(bringup_share, file, {"vendor": "true"})


@each_vendor
def test_a_vendors_launch_file_needs_ros2_launch(bringup_share, file):
    package, name = VENDORS[file]
    install(bringup_share, package, (f"launch/{name}",))
    install(bringup_share, "franka_fr3_moveit_config")
    with pytest.raises(LaunchError, match=f"{name}' is no XML launch file; it needs `ros2 launch`"):
        nodes_of(bringup_share, file, {"vendor": "true"})


@pytest.mark.parametrize(
    ("file", "parameters"),
    [
        ("openarm", "openarm_jtc.yaml"),
        ("ur5e", "ur5e_jtc.yaml"),
        ("wxai", "wxai_jtc.yaml"),
        ("dobot", "dobot_driver.yaml"),
    ],
)
def test_a_vendors_nodes_get_what_streaming_needs_and_ours_do_not(bringup_share, file, parameters):
    """The vendor's Python launch file is replaced by an XML one that starts a node."""
    package, name = VENDORS[file]
    folder = install(bringup_share, package) / "launch"
    folder.mkdir(parents=True)
    (folder / f"{name}.xml").write_text('<launch><node pkg="v" exec="v" name="vendor"/></launch>')
    text = (bringup_share / "launch" / f"{file}.launch.xml").read_text()
    path = bringup_share / "copy.launch.xml"
    path.write_text(text.replace(name, f"{name}.xml"))
    nodes = {node.name: node for node in read(path, {"vendor": "true"})}
    (found,) = nodes["vendor"].parameters
    assert isinstance(found, Path)
    assert found.name == parameters
    assert all(key.startswith("/**/") for key in yaml.safe_load(found.read_text()))
    assert parameters not in [getattr(p, "name", "") for p in nodes["controller"].parameters]


def test_the_arm_controller_of_the_franka_is_spawned(bringup_share):
    package, name = VENDORS["franka"]
    install(bringup_share, "franka_fr3_moveit_config")
    folder = install(bringup_share, package) / "launch"
    folder.mkdir(parents=True)
    (folder / f"{name}.xml").write_text("<launch/>")
    text = (bringup_share / "launch/franka.launch.xml").read_text()
    path = bringup_share / "copy.launch.xml"
    path.write_text(text.replace(name, f"{name}.xml"))
    nodes = {node.name: node for node in read(path, {"vendor": "true"})}
    arguments = nodes["spawn_fr3_arm_controller"].arguments
    assert arguments[:2] == ("fr3_arm_controller", "--param-file")
    assert Path(arguments[2]).is_file()
