"""The demonstration says where its page is, and opens it where somebody can see it."""

import io
import socket
import webbrowser

import pytest
from rich.console import Console

from a1_ros.launch_reader.reader import read
from a1_sim.demo import free_port, parse, show_page


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(webbrowser, "open", found.append)
    return found


@pytest.fixture
def served():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def shown(port: int, environment: dict[str, str]) -> tuple[bool, str]:
    console = Console(file=io.StringIO(), width=200)
    done = show_page(port, console, environment, patience_s=0.0)
    return done, console.file.getvalue()


def test_without_a_display_it_prints_the_address_and_opens_nothing(served, opened):
    done, text = shown(served, {})
    assert done
    assert f"http://127.0.0.1:{served}/" in text
    assert opened == []


@pytest.mark.parametrize("display", ["DISPLAY", "WAYLAND_DISPLAY"])
def test_with_a_display_it_opens_the_page(served, opened, display):
    assert shown(served, {display: ":0"})[0]
    assert opened == [f"http://127.0.0.1:{served}/"]


def test_a_page_that_did_not_come_up_is_no_address(opened):
    done, text = shown(free_port(), {"DISPLAY": ":0"})
    assert not done
    assert "system.log says why" in text
    assert opened == []


def test_it_can_be_left_out():
    assert parse(["--no-page"]).no_page
    assert not parse([]).no_page


def test_the_loop_starts_with_its_page_and_the_page_reads_only(bringup_share):
    arguments = {"page": "true", "page_port": "8123"}
    nodes = {n.name: n for n in read(bringup_share / "launch" / "sim.launch.xml", arguments)}
    given = {
        k: v for part in nodes["page"].parameters if isinstance(part, dict) for k, v in part.items()
    }
    assert given["port"] == 8123
    assert given["title"] == "franka"
    assert given["controls"] is False
    assert given["use_sim_time"] is True
    assert "page" not in {n.name for n in read(bringup_share / "launch" / "sim.launch.xml", {})}


def test_the_page_comes_alone_or_with_foxglove(bringup_share):
    path = bringup_share / "launch" / "page.launch.xml"
    assert [n.name for n in read(path, {})] == ["page"]
    assert [n.name for n in read(path, {"foxglove": "true"})] == ["page", "foxglove"]
