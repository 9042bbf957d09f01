"""Pages and bridges over DDS, on a domain of this process; a staged run to show."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "screenshots"))

from browser import NAMES, find_browser, running_browser
from ros_rig import Ros

# What needs a browser is collected where there is one; setup installs one where CI runs.
collect_ignore = [] if find_browser() else ["test_page_pictures.py", "test_report_pictures.py"]


def pytest_report_header() -> str:
    return f"browser: {find_browser() or 'none of ' + ', '.join(NAMES) + ': no pictures'}"


@pytest.fixture
def ros():
    running = Ros()
    yield running
    running.shutdown()


@pytest.fixture(scope="module")
def browser():
    with running_browser() as running:
        yield running


@pytest.fixture
def stage(ros):
    """A node that says what A1's nodes say."""
    from staged_run import Stage

    return Stage(ros.node("stager"))


@pytest.fixture
def make_page(ros):
    """`make_page(**parameters)`: a page that is served, on a free port."""
    from rclpy.parameter import Parameter

    from a1_views.page import PageNode

    def make(**parameters) -> PageNode:
        values = {"port": 0, "title": "Franka", **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        return ros.add(PageNode(parameter_overrides=overrides, use_global_arguments=False))

    return make


@pytest.fixture(scope="session")
def bag(tmp_path_factory):
    """A staged run of six seconds, recorded."""
    from staged_run import write_bag

    path = tmp_path_factory.mktemp("bags") / "franka_staged"
    told = {"robot": "franka", "outcome": "success", "instruction": "put it in the bowl"}
    write_bag(path, 6.0, custom=told)
    return path


@pytest.fixture(scope="session")
def reports(bag, tmp_path_factory):
    """one.html of the staged run, and two.html of it beside a shorter one."""
    from staged_run import write_bag

    from a1_views.report import write_report

    folder = tmp_path_factory.mktemp("reports")
    other = tmp_path_factory.mktemp("bags") / "franka_other"
    write_bag(other, 4.0)
    write_report(folder / "one.html", [bag])
    write_report(folder / "two.html", [bag, other], film=False)
    return folder
