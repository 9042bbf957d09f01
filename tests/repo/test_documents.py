"""What the documents promise is there: commands, files, links, folders."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
BLOCK = re.compile(r"```(?:bash|sh|console)\n(.*?)```", re.DOTALL)
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)

each_document = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


OPTION = re.compile(r"(?<!\S)--([a-z][a-z-]*)")
ARGUMENT = re.compile(r"(?<!\S)(\w+):=")


def commands(path: Path) -> list[str]:
    """Commands in blocks, without comments; one that goes on in the next line is one."""
    text = "\n".join(BLOCK.findall(path.read_text(encoding="utf-8"))).replace("\\\n", " ")
    return [line.split("#")[0].strip() for line in text.splitlines()]


def targets() -> set[str]:
    names = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    return names | {f"bench-{path.stem}" for path in ROOT.glob("bench/[a-z]*.py")}


def sources_of(package: str) -> str:
    """All Python of a package and of those of ours that it depends on."""
    manifest = (ROOT / "src" / package / "package.xml").read_text()
    packages = {package, *re.findall(r"depend>(a1_\w+)<", manifest)}
    files = [file for name in packages for file in (ROOT / "src" / name).rglob("*.py")]
    return "".join(file.read_text() for file in files)


@each_document
def test_links_lead_somewhere(path):
    links = [link for link in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


@each_document
def test_make_targets_exist(path):
    named = [word for c in commands(path) for word in re.findall(r"\bmake ((?:[a-z-]+ ?)+)", c)]
    assert {target for words in named for target in words.split()} - targets() == set()


@each_document
def test_launch_files_and_executables_exist(path):
    for command in commands(path):
        if match := re.search(r"(?:\./a1|ros2) launch (?:a1_bringup )?([\w.]+)", command):
            assert (ROOT / "launch" / match.group(1)).is_file(), command
        if match := re.search(r"(?:\./a1|ros2) run (a1_\w+) (\w+)", command):
            setup = (ROOT / "src" / match.group(1) / "setup.py").read_text()
            assert re.search(rf'"{match.group(2)} ?= ', setup), command


@each_document
def test_options_and_launch_arguments_exist(path):
    inherited = (ROOT / "launch/a1.launch.xml").read_text()
    for command in commands(path):
        if match := re.search(r"(?:\./a1|ros2) launch (?:a1_bringup )?([\w.]+)", command):
            declared = (ROOT / "launch" / match.group(1)).read_text()
            if "/launch/a1.launch.xml" in declared:
                declared += inherited
            for name in ARGUMENT.findall(command):
                assert f'<arg name="{name}"' in declared, command
        if match := re.search(r"(?:\./a1|ros2) run (a1_\w+) \w+", command):
            known = sources_of(match.group(1))
            for name in OPTION.findall(command):
                assert f'"--{name}"' in known, command


def test_the_tree_in_the_readme_is_true():
    blocks = FENCED.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    trees = [block for block in blocks if "src/a1_core" in block]
    assert trees, "the README shows the tree, one path a line from the root"
    named = [line.split()[0] for line in trees[0].splitlines() if line.strip()]
    assert [name for name in named if not (ROOT / name).exists()] == []
    packages = {f"src/{p.parent.name}" for p in ROOT.glob("src/*/package.xml")}
    assert packages <= {name.rstrip("/") for name in named}
