"""Domains of one's own: no two processes get the same, and none where somebody is already."""

import os
import socket
import subprocess
import sys

import pytest
import rclpy
from own_sockets import own_ports_in

from a1_core.errors import A1Error
from a1_ros.domain import (
    CLAIMABLE,
    FIRST_PORT,
    PORTS,
    claim,
    own_domain,
    sockets_in,
)

# Beyond what Linux gives out, and where no process of ours goes by itself.
UNUSED = (230, 231)
CLAIM = (
    "import os, sys; os.getpid = lambda: 7; from a1_ros.domain import own_domain\n"
    "print(own_domain(), flush=True); sys.stdin.read()"
)


@pytest.fixture
def claimants():
    """Processes that claim a domain, and would all take the same by their process id."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", CLAIM], **pipes) for _ in range(3)]
    yield processes
    for process in processes:
        process.communicate()


def test_processes_that_would_take_the_same_domain_get_different_ones(claimants):
    domains = [int(process.stdout.readline()) for process in claimants]
    assert len({*domains, own_domain()}) == len(domains) + 1


def test_this_process_has_one_domain_and_the_tests_are_in_it():
    assert own_domain() == own_domain() == int(os.environ["ROS_DOMAIN_ID"])
    assert 83 not in CLAIMABLE


def test_a_domain_with_a_participant_in_it_is_passed_over():
    port = FIRST_PORT + PORTS * UNUSED[0] + 10
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as left_over:
        left_over.bind(("127.0.0.1", port))
        assert [found for found, _ in sockets_in(UNUSED[0])] == [port]
        assert claim(UNUSED) == UNUSED[1]
        with pytest.raises(A1Error, match="no ROS domain from 230 to 231 is free"):
            claim(UNUSED)


def test_a_context_that_is_not_shut_down_is_seen():
    domain = int(os.environ["ROS_DOMAIN_ID"])
    before = own_ports_in(domain)
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("left", context=context)
    assert len(own_ports_in(domain)) > len(before)
    node.destroy_node()
    del node
    context.try_shutdown()
    assert own_ports_in(domain) == before
