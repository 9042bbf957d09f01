"""The page's node: what it serves, to whom, and that it only looks."""

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing

import pytest
from a1_msgs.srv import SetInstruction
from staged_run import SUBSTEPS, staged
from std_srvs.srv import SetBool, Trigger
from views_rig import Viewer
from waiting import wait_for

from a1_core.errors import A1Error
from a1_ros.times import NS_PER_S, node_now_ns


def ask(address: str, *, headers=None, data=None):
    request = urllib.request.Request(address, headers=headers or {}, data=data)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def viewer(make_page, stage):
    page = make_page()
    assert wait_for(lambda: stage.heard_by("/a1/exit_state"))
    with closing(Viewer(page.address)) as looking:
        assert wait_for(lambda: looking.news)
        yield page, looking


def tell(page, stage, seconds=3.0) -> list:
    run = staged(node_now_ns(page) - round(seconds * NS_PER_S), seconds)
    for one in run:
        stage.say(one)
    return run


def test_what_is_published_arrives_at_the_viewer(viewer, stage):
    page, looking = viewer
    assert wait_for(lambda: stage.heard_by("/a1/thumbnails"))
    run = tell(page, stage, 2.4)
    states = [one.msg for one in run if one.topic == "/a1/exit_state"]
    assert wait_for(lambda: len(looking.ticks) == len(states))
    assert [t["exit_layer"] for t in looking.ticks.values()] == [s.exit_layer for s in states]
    assert wait_for(lambda: "picture" in looking.news and "controller" in looking.news)
    assert looking.news["picture"]["cameras"] == ["front", "wrist"]
    assert looking.news["controller"]["mode"] in ("TRACKING", "STOPPED")
    assert looking.news["thresholds"]["certified"] is True
    assert wait_for(lambda: looking.news["instruction"] == SUBSTEPS[-1])
    assert looking.hello == {"title": "Franka", "token": ""}


def test_who_comes_late_gets_what_was(viewer, stage):
    page, looking = viewer
    tell(page, stage)
    assert wait_for(lambda: looking.ticks)
    with closing(Viewer(page.address)) as late:
        assert wait_for(lambda: late.ticks.keys() == looking.ticks.keys())


def test_what_comes_often_is_listened_to_only_while_somebody_looks(make_page, stage):
    page = make_page()
    assert wait_for(lambda: stage.heard_by("/a1/exit_state"))
    assert stage.heard_by("/a1/controller_state") == 0
    assert stage.heard_by("/a1/thumbnails") == 0
    looking = Viewer(page.address)
    assert wait_for(lambda: stage.heard_by("/a1/thumbnails"))
    assert wait_for(lambda: stage.heard_by("/a1/controller_state"))
    looking.close()
    assert wait_for(lambda: not stage.heard_by("/a1/thumbnails"))


def test_it_is_served_on_this_machine_alone(make_page):
    page = make_page()
    port = int(page.address.rstrip("/").rsplit(":", 1)[1])
    assert page.address == f"http://127.0.0.1:{port}/"
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
    for other in {host for host in others if not host.startswith("127.") and ":" not in host}:
        with socket.socket() as probe:
            assert probe.connect_ex((other, port)) != 0


def test_a_page_of_another_name_is_refused(make_page):
    page = make_page()
    assert ask(page.address, headers={"Host": "elsewhere.example"})[0] == 403
    assert ask(f"{page.address}news", headers={"Host": "elsewhere.example:80"})[0] == 403
    assert ask(page.address.replace("127.0.0.1", "localhost"))[0] == 200


def test_everything_it_needs_comes_from_itself(make_page):
    page = make_page()
    status, text = ask(page.address)
    assert status == 200
    for name in ("page.css", "page.js", "charts.js", "uplot/uPlot.iife.min.js"):
        status, content = ask(f"{page.address}assets/{name}")
        assert status == 200
        assert "https://" not in content.replace("https://github.com/leeoniya", "")
    assert "//" not in text.replace("http://www.w3.org", "").replace("/assets/", "")
    with urllib.request.urlopen(page.address, timeout=10) as answer:
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_read_only_has_no_orders(make_page):
    page = make_page()
    assert ask(f"{page.address}act/stop", data=b"")[0] in (404, 405)


def test_orders_need_the_pages_own_token_and_are_carried_out(make_page, ros):
    robot = ros.node("robot")
    heard = []

    def note(name):
        def answer(request, response):
            heard.append((name, getattr(request, "data", getattr(request, "instruction", None))))
            response.success = True
            return response

        return answer

    robot.create_service(Trigger, "a1/stop", note("stop"))
    robot.create_service(SetBool, "a1/arm", note("arm"))
    robot.create_service(SetInstruction, "a1/set_instruction", note("instruction"))
    page = make_page(controls=True)
    with closing(Viewer(page.address)) as looking:
        assert wait_for(lambda: looking.hello.get("token"))
        token = looking.hello["token"]
    stop = f"{page.address}act/stop"
    assert ask(stop, data=b"")[0] == 403
    assert ask(stop, data=b"", headers={"X-A1-Token": "guessed"})[0] == 403
    assert heard == []

    def order(name: str, argument: str = "") -> dict:
        headers = {"X-A1-Token": token}
        status, text = ask(f"{page.address}act/{name}", data=argument.encode(), headers=headers)
        assert status == 200
        return json.loads(text)

    assert wait_for(lambda: order("stop")["done"])
    assert wait_for(lambda: order("disarm")["done"])
    assert wait_for(lambda: order("instruction", "touch the red cube")["done"])
    assert {("stop", None), ("arm", False), ("instruction", "touch the red cube")} == set(heard)
    assert "nobody offers" in order("reset")["message"]
    assert "is no order" in order("dance")["message"]


def test_a_port_that_is_taken_is_named_with_the_mend(make_page):
    page = make_page()
    port = int(page.address.rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(A1Error, match=rf"port {port}: .*give another port"):
        make_page(port=port)


@pytest.mark.parametrize("program", ["page", "foxglove"])
def test_a_program_whose_port_is_taken_ends_with_one_line(program):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", f"a1_views.{program}", "--ros-args", "-p", f"port:={port}"],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1
    assert f"port {port}: " in done.stderr
    assert "Traceback" not in done.stderr
