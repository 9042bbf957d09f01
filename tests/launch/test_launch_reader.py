"""The launch reader carries out what it understands as ros2 launch does, and refuses the rest."""

from pathlib import Path

import pytest

from a1_ros.launch_reader.document import LaunchError
from a1_ros.launch_reader.main import given_values, shown_arguments
from a1_ros.launch_reader.reader import declared_arguments, read


@pytest.fixture
def write(tmp_path):
    def write(body: str, name: str = "x.launch.xml") -> Path:
        path = tmp_path / name
        path.write_text(f"<launch>\n{body}\n</launch>\n")
        return path

    return write


def only(path: Path, **arguments: str):
    (node,) = read(path, arguments)
    return node


def test_a_node_with_everything(write, tmp_path):
    (tmp_path / "p.yaml").write_text("{}")
    path = write("""
        <arg name="who" default="arm"/>
        <node pkg="p" exec="e" name="$(var who)_node" namespace="ns" output="screen"
              args="--a 'b c'">
          <param from="$(dirname)/p.yaml"/>
          <param name="rate" value="0.5"/>
          <param name="on" value="true"/>
          <param name="count" value="3"/>
          <param name="names" value="[a, b]"/>
          <param name="word" value="12" type="str"/>
          <param name="empty" value=""/>
          <remap from="in" to="$(var who)/in"/>
          <env name="E" value="1"/>
        </node>""")
    node = only(path, who="leg")
    assert (node.package, node.executable, node.name, node.namespace) == (
        "p",
        "e",
        "leg_node",
        "ns",
    )
    assert node.arguments == ("--a", "b c")
    assert node.parameters[0] == tmp_path / "p.yaml"
    values = {key: value for p in node.parameters[1:] for key, value in p.items()}
    assert values == {
        "rate": 0.5, "on": True, "count": 3, "names": ["a", "b"], "word": "12", "empty": "",
    }  # fmt: skip
    assert node.remappings == (("in", "leg/in"),)
    assert node.environment == {"E": "1"}


def test_an_absolute_namespace_starts_anew_and_groups_end(write):
    nodes = read(
        write("""
        <group>
          <push_ros_namespace namespace="a"/>
          <set_parameter name="use_sim_time" value="true"/>
          <set_env name="E" value="1"/>
          <node pkg="p" exec="e" namespace="b"/>
          <node pkg="p" exec="e" namespace="/c"/>
        </group>
        <node pkg="p" exec="e"/>"""),
        {},
    )
    assert [node.namespace for node in nodes] == ["a/b", "/c", ""]
    assert [node.parameters for node in nodes] == [({"use_sim_time": True},)] * 2 + [()]
    assert [node.environment for node in nodes] == [{"E": "1"}] * 2 + [{}]


def test_parameter_files_reach_every_node_behind_them(write, tmp_path):
    (tmp_path / "p.yaml").write_text("{}")
    before, inside, after = read(
        write("""
        <node pkg="p" exec="e"/>
        <group>
          <set_parameter name="use_sim_time" value="true"/>
          <set_parameters_from_file filename="$(dirname)/p.yaml"/>
          <set_parameters_from_file if="false" filename="$(dirname)/none.yaml"/>
          <node pkg="p" exec="e"><param name="a" value="1"/></node>
        </group>
        <node pkg="p" exec="e"/>"""),
        {},
    )
    assert inside.parameters == ({"use_sim_time": True}, tmp_path / "p.yaml", {"a": 1})
    assert before.parameters == after.parameters == ()


def test_arguments_are_shown_where_an_include_is_no_xml(write, tmp_path):
    (tmp_path / "vendor.launch.py").write_text("print('no XML')")
    path = write("<include file='$(dirname)/vendor.launch.py'/><arg name='a' default='b'/>")
    assert [argument.name for argument in declared_arguments(path)] == ["a"]


def test_a_group_without_scope_leaks(write):
    body = (
        '<group scoped="{}"><let name="x" value="in"/></group><node pkg="$(var x out)" exec="e"/>'
    )
    assert only(write(body.format("true"))).package == "out"
    assert only(write(body.format("false"))).package == "in"


def test_an_include_gets_its_arguments_and_finds_its_own_folder(write, tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "y.launch.xml").write_text(
        '<launch><arg name="n"/><arg name="m" default="d"/>'
        '<node pkg="$(var n)" exec="$(var m)" name="$(dirname)"/></launch>'
    )
    path = write("""
        <include file="$(dirname)/inner/y.launch.xml"><arg name="n" value="given"/></include>
        <node pkg="after" exec="e" name="$(dirname)"/>""")
    inner, after = read(path, {"m": "passed"})
    assert (inner.package, inner.executable, inner.name) == ("given", "passed", f"{tmp_path}/inner")
    assert after.name == str(tmp_path)
    assert [argument.name for argument in declared_arguments(path)] == ["m"]


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ('if="true"', True),
        ('if="0"', False),
        ('unless="false"', True),
        ('if="$(equals $(var x) one)"', True),
        ("if=\"$(not-equals '$(var x)' '')\"", True),
        ('if="$(not $(equals $(var x) one))"', False),
        ('if="$(equals 1 True)"', True),
        ('if="$(equals 0.30 0.3)"', True),
        ('if="$(and true $(or false 1))"', True),
    ],
)
def test_conditions(write, condition, runs):
    path = write(f'<let name="x" value="one"/><node pkg="p" exec="e" {condition}/>')
    assert bool(read(path, {})) is runs


def test_environment_and_defaults(write, monkeypatch):
    monkeypatch.setenv("A1_TEST", "set")
    path = write("""
        <set_env name="A1_OWN" value="own"/>
        <node pkg="$(env A1_TEST)" exec="$(env A1_NONE fallback)" name="$(env A1_OWN)"/>""")
    node = only(path)
    assert (node.package, node.executable, node.name) == ("set", "fallback", "own")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "<executable cmd='ls'/>",
            r"x\.launch\.xml:2: <executable>: not known; known are arg, let",
        ),
        ("<node pkg='p' exec='e' respawn='true'/>", "<node> attribute 'respawn': not known here"),
        ("<node pkg='p'/>", "<node> attribute 'exec': missing"),
        ("<node pkg='p' exec='e' output='log'/>", "attribute 'output': known is screen or both"),
        ("<node pkg='p' exec='e'><composable/></node>", "<composable>: not known inside <node>"),
        ("<node pkg='p' exec='$(eval 1)'/>", r"attribute 'exec': \$\(eval\) is not known"),
        ("<node pkg='p' exec='$(var nope)'/>", "launch argument 'nope' is not set"),
        ("<node pkg='p' exec='$(env A1_NONE)'/>", "environment variable 'A1_NONE' is not set"),
        ("<node pkg='$(find-pkg-share none)' exec='e'/>", "package 'none' is not installed"),
        ("<node pkg='p' exec='$(var x'/>", "has no closing bracket"),
        ("<node pkg='p' exec='$()'/>", r"a name has to follow \$\("),
        ("<node pkg='p' exec='$(equals a)'/>", "takes 2 values, not 1"),
        (
            "<node pkg='p' exec='e' if='maybe'/>",
            "attribute 'if': 'maybe' is neither true nor false",
        ),
        ("<node pkg='p' exec='e' if='1' unless='1'/>", "stands beside 'unless'"),
        ("<node pkg='p' exec='e'><param name='a' value='x' type='int'/></node>", "'x' is no int"),
        ("<node pkg='p' exec='e'><param from='/none.yaml'/></node>", "'/none.yaml' does not exist"),
        ("<set_parameters_from_file filename='/none.yaml'/>", "'/none.yaml' does not exist"),
        ("<set_parameters_from_file/>", "attribute 'filename': missing"),
        ("<include file='a.launch.py'/>", "is no XML launch file; it needs `ros2 launch`"),
        ("<include file='/none.launch.xml'/>", "'/none.launch.xml' does not exist"),
        ("<arg name='a' description='the a'/>", r"needs a value: a:=\.\.\. \(the a\)"),
        ("<arg name='a' default='c'><choice value='b'/></arg>", "a:=c is none of b"),
        ("<group scoped='maybe'/>", "attribute 'scoped': 'maybe' is neither true nor false"),
        ("stray", "text 'stray' has no meaning here"),
        ("<node", "is not well-formed XML"),
    ],
)
def test_what_is_not_known_is_an_error_that_names_it(write, body, said):
    with pytest.raises(LaunchError, match=said):
        read(write(body), {})


def test_an_argument_that_no_file_declares(write):
    with pytest.raises(LaunchError, match="no argument 'robt'; there are: robot"):
        read(write("<arg name='robot' default='x'/>"), {"robt": "y"})


def test_the_outermost_element_and_the_file_itself(tmp_path):
    path = tmp_path / "y.launch.xml"
    with pytest.raises(LaunchError, match="cannot be read"):
        read(path, {})
    path.write_text("<robot/>")
    with pytest.raises(LaunchError, match="the outermost element is <robot>"):
        read(path, {})


def test_words_of_the_command_line():
    assert given_values(["a:=b:=c", "d:="]) == {"a": "b:=c", "d": ""}
    with pytest.raises(LaunchError, match="'robot=x' is not of the form NAME:=VALUE"):
        given_values(["robot=x"])


def test_arguments_are_shown_with_default_choices_and_description(write):
    path = write(
        "<arg name='a' description='the a'/>"
        "<group><arg name='b' default='c'><choice value='c'/><choice value='d'/></arg></group>"
    )
    shown = shown_arguments(path)
    assert "a  (to be given)\n      the a" in shown
    assert "b  (default 'c', one of c, d)" in shown
