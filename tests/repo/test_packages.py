"""package.xml, import contracts and imports say the same."""

import ast
import re
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sorted(p.parent.name for p in ROOT.glob("src/*/setup.py"))
DEPENDS = ("depend", "exec_depend", "build_depend")
# Keys of rosdep for Python modules that Debian and Ubuntu package well enough.
ROSDEP = {
    "aiohttp": "python3-aiohttp",
    "cv2": "python3-opencv",
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "pyqtgraph": "python3-pyqtgraph",
    "rich": "python3-rich",
    "scipy": "python3-scipy",
    "yaml": "python3-yaml",
}
# What setup/optional.txt pins; imported where it is asked for.
OPTIONAL = {"ray"}
# What setup/python.txt locks; the distributions' versions would not do.
LOCKED = {
    "PySide6": "PySide6_Essentials",
    "apsw": "apsw",
    "av": "av",
    "fast_simplification": "fast-simplification",
    "foxglove": "foxglove-sdk",
    "lz4": "lz4",
    "mcap": "mcap",
    "mink": "mink",
    "mujoco": "mujoco",
    "pyarrow": "pyarrow",
    "pylibfranka": "pylibfranka",
    "rosbags": "rosbags",
    "ruckig": "ruckig",
    "safetensors": "safetensors",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "transformers": "transformers",
    "trimesh": "trimesh",
    "zstandard": "zstandard",
}
# Found by a name in a parameter, not by an import.
BY_NAME = {
    "a1_recorder": {"a1_world"},
    "a1_rqt": {"a1_views"},
}
# Programs that one package offers and a neighbour holds: entry points, no imports.
OFFERED = {"a1_rqt": {"report": "a1_views.report:main"}}


def manifest(package: str) -> ElementTree.Element:
    return ElementTree.parse(ROOT / "src" / package / "package.xml").getroot()


def declared(package: str) -> set[str]:
    return {e.text for kind in DEPENDS for e in manifest(package).iter(kind) if e.text}


def imported(package: str) -> set[str]:
    """Top-level modules that a package's own code imports, itself and Python's left out."""
    found: set[str] = set()
    for path in (ROOT / "src" / package / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {package}


def contracts() -> dict:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["tool"]["importlinter"]


@pytest.mark.parametrize("package", PYTHON)
def test_package_xml_declares_what_is_imported_and_no_more(package):
    wanted = {ROSDEP.get(name, name) for name in imported(package) - set(LOCKED) - OPTIONAL}
    assert declared(package) == wanted | BY_NAME.get(package, set())


@pytest.mark.parametrize("package", PYTHON)
def test_what_rosdep_cannot_bring_is_locked(package):
    lines = (ROOT / "setup" / "constraints.txt").read_text().splitlines()
    locked = {line.split("==")[0] for line in lines}
    assert {LOCKED[module] for module in imported(package) & set(LOCKED)} <= locked


def test_what_is_optional_is_pinned_and_nothing_else():
    lines = (ROOT / "setup" / "optional.txt").read_text().splitlines()
    pins = {line.split("==")[0] for line in lines if line and not line.startswith("#")}
    assert pins == OPTIONAL
    assert set().union(*map(imported, PYTHON)) >= OPTIONAL


@pytest.mark.parametrize("package", PYTHON)
def test_depends_go_down_the_floors(package):
    floors = [
        {name.strip() for name in layer.split("|")}
        for layer in contracts()["contracts"][0]["layers"]
    ]
    number = next(i for i, floor in enumerate(floors) if package in floor)
    below = set().union(*floors[number + 1 :], {"a1_msgs"})
    neighbours = {target.split(".")[0] for target in OFFERED.get(package, {}).values()}
    ours = {name for name in declared(package) if name.startswith("a1_")}
    assert ours - neighbours <= below


@pytest.mark.parametrize("package", PYTHON)
def test_a_program_is_offered_by_the_package_that_holds_it(package):
    setup = (ROOT / "src" / package / "setup.py").read_text(encoding="utf-8")
    programs = dict(re.findall(r'"(\w+) = (a1_\w+\.[\w.]+:\w+)"', setup))
    foreign = {n: target for n, target in programs.items() if target.split(".")[0] != package}
    assert foreign == OFFERED.get(package, {})


def test_every_package_is_under_the_import_contracts():
    assert sorted(contracts()["root_packages"]) == PYTHON


@pytest.mark.parametrize("package", sorted(p.parent.name for p in ROOT.glob("src/*/package.xml")))
def test_package_xml_and_setup_py_agree(package):
    root = manifest(package)
    assert root.findtext("name") == package
    assert root.findtext("version") == "0.1.0"
    assert root.findtext("license") == "Apache-2.0"
    assert root.find("maintainer").text == "A1 for ROS 2 developers"
    folder = ROOT / "src" / package
    if (folder / "setup.py").exists():
        assert root.find("export").findtext("build_type") == "ament_python"
        assert (folder / "resource" / package).is_file()
        assert f"$base/lib/{package}" in (folder / "setup.cfg").read_text()
    assert list((folder / "test").glob("test_smoke.*"))
