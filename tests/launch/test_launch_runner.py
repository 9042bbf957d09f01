"""Processes run together: labelled output, exit status, and an end that cannot be refused."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import yaml
from waiting import wait_for

from a1_ros.launch_reader.command import Command, command_for, find_executable
from a1_ros.launch_reader.description import NodeRun
from a1_ros.launch_reader.document import LaunchError
from a1_ros.launch_reader.reader import read
from a1_ros.launch_reader.runner import run

GRACE_S = 0.4


def command(label: str, script: str, *, stops_all: bool = False) -> Command:
    return Command(
        label=label,
        argv=(sys.executable, "-S", "-u", "-c", textwrap.dedent(script)),
        environment=dict(os.environ),
        stops_all=stops_all,
    )


def interrupt_once_said(out: io.StringIO, text: str) -> threading.Thread:
    def watch() -> None:
        wait_for(lambda: text in out.getvalue(), 20.0)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_output_carries_the_label_and_all_ending_well_is_success():
    out = io.StringIO()
    code = run(
        [command("a", "print('hello'); print('no newline', end='')"), command("b", "")], out=out
    )
    assert code == 0
    assert "[a] hello\n" in out.getvalue()
    assert "[a] no newline\n" in out.getvalue()
    assert "[b] ended\n" in out.getvalue()


def test_one_that_ends_badly_is_named_and_fails_the_whole():
    out = io.StringIO()
    assert run([command("a", "raise SystemExit(3)"), command("b", "")], out=out) == 1
    assert "[a] ended badly: exit status 3" in out.getvalue()


def test_a_node_that_stops_all_does():
    out = io.StringIO()
    endless = "import time\nprint('up')\nwhile True: time.sleep(0.1)"
    brief = command("a", "import time; time.sleep(0.5)", stops_all=True)
    assert run([brief, command("b", endless)], out=out) == 0
    assert "[a] the others end with it" in out.getvalue()


def test_an_interrupt_reaches_every_process_once_and_is_success():
    out = io.StringIO()
    polite = """
        import signal, sys, time
        count = 0
        def end(*_):
            global count
            count += 1
            time.sleep(0.3)
            print("interrupts", count)
            sys.exit(0)
        signal.signal(signal.SIGINT, end)
        print("up")
        while True:
            time.sleep(0.1)
        """
    watcher = interrupt_once_said(out, "[a] up")
    assert run([command("a", polite)], out=out, grace_s=5.0) == 0
    watcher.join()
    assert "[a] interrupts 1" in out.getvalue()


def test_who_refuses_to_end_is_killed_and_reported():
    out = io.StringIO()
    stubborn = """
        import signal, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("up")
        while True:
            time.sleep(0.1)
        """
    watcher = interrupt_once_said(out, "[a] up")
    assert run([command("a", stubborn)], out=out, grace_s=GRACE_S) == 1
    watcher.join()
    text = out.getvalue()
    assert text.index("sending SIGTERM") < text.index("sending SIGKILL")
    assert "[a] ended badly: killed by SIGKILL" in text


def test_processes_end_when_the_runner_is_killed(tmp_path):
    note = tmp_path / "pid"
    outer = f"""
        import os, sys
        from a1_ros.launch_reader.command import Command
        from a1_ros.launch_reader.runner import run
        script = (
            "import os, time; open({str(note)!r}, 'w').write(str(os.getpid()));"
            " [time.sleep(0.1) for _ in range(600)]"
        )
        run([Command(label="a", argv=(sys.executable, "-S", "-c", script),
                     environment=dict(os.environ), stops_all=False)])
        """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(outer)], stdout=subprocess.DEVNULL
    )
    assert wait_for(lambda: note.exists() and note.read_text(), 20.0)
    status = Path("/proc") / note.read_text() / "status"
    child.kill()
    child.wait()

    def ended() -> bool:
        try:
            return "\nState:\tZ" in status.read_text()
        except OSError:
            return True

    assert wait_for(ended, 20.0)


def node_run(**changes) -> NodeRun:
    values = {
        "package": "p", "executable": "e", "name": "n", "namespace": "a/b",
        "parameters": ({"rate": 0.5, "word": "12"},), "remappings": (("in", "out"),),
        "arguments": ("--flag",), "environment": {"E": "1"}, "stops_all": False, "place": "x:1",
    }  # fmt: skip
    return NodeRun(**{**values, **changes})


def test_a_command_is_what_ros2_launch_would_start(tmp_path, monkeypatch):
    program = tmp_path / "second" / "lib" / "p" / "e"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}/first:{tmp_path}/second")
    made = command_for(node_run(), index=0, folder=tmp_path)
    assert made.argv == (
        str(program), "--flag", "--ros-args", "-r", "__node:=n", "-r", "__ns:=/a/b",
        "--params-file", str(tmp_path / "0_0.yaml"), "-r", "in:=out",
    )  # fmt: skip
    content = yaml.safe_load((tmp_path / "0_0.yaml").read_text())
    assert content == {"/**/n": {"ros__parameters": {"rate": 0.5, "word": "12"}}}
    assert made.environment["E"] == "1"
    with pytest.raises(LaunchError, match="package 'p' has no executable 'other'"):
        find_executable("p", "other", where="a.launch.xml")


def test_a_value_in_the_launch_file_beats_the_parameter_file(tmp_path, monkeypatch):
    program = tmp_path / "lib" / "p" / "e"
    program.parent.mkdir(parents=True)
    program.write_text(
        f"#!{sys.executable}\n"
        "import rclpy, sys\n"
        "rclpy.init(args=sys.argv)\n"
        "node = rclpy.create_node('made_up')\n"
        "names = ('use_sim_time', 'given', 'kept')\n"
        "for name in names:\n"
        "    if not node.has_parameter(name):\n"
        "        node.declare_parameter(name, '')\n"
        "print([node.get_parameter(name).value for name in names])\n"
    )
    program.chmod(0o755)
    (tmp_path / "p.yaml").write_text("/**/n:\n  ros__parameters: {given: file, kept: file}\n")
    path = tmp_path / "x.launch.xml"
    path.write_text(
        "<launch><set_parameter name='use_sim_time' value='true'/>"
        "<node pkg='p' exec='e' name='n' namespace='left'>"
        "<param from='$(dirname)/p.yaml'/><param name='given' value='launch'/></node></launch>"
    )
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path), prepend=os.pathsep)
    out = io.StringIO()
    (node,) = read(path, {})
    assert run([command_for(node, index=0, folder=tmp_path)], out=out) == 0
    assert "[n] [True, 'launch', 'file']" in out.getvalue()
