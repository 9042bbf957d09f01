"""The simulator never reaches a real arm: discovery stays on this machine, commands stay ours."""

import os
import time
from collections.abc import Iterable, Mapping

from rclpy.node import Node

from a1_core.errors import A1Error

POLL_S = 0.05
EARS = "_ears"
"""How the names of nodes end that hear everything and send nothing: those of the recorder."""
UNNAMED = "_NODE_NAME_UNKNOWN_"  # rcl, for an endpoint whose node was not discovered yet


def refuse_foreign_endpoints(
    node: Node,
    topics: Iterable[str],
    *,
    allowed: Iterable[str] = (),
    settle_s: float = 1.0,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Refuse to go on where a command could reach something that is not ours.

    `topics` are the command topics; `allowed` the names (without namespace) of the nodes that may
    be on them besides `node` itself; whoever only listens (EARS) may as well. Discovery takes a
    moment: the topics are watched for `settle_s` seconds; 0 looks once. Raises A1Error when
    discovery reaches beyond this machine or when a foreign endpoint, publisher or subscriber, is
    on one of the topics.
    """
    _require_local_discovery(environment)
    known = {node.get_name(), *allowed}
    names = [node.resolve_topic_name(topic) for topic in topics]
    until_s = time.monotonic() + settle_s
    while True:
        last = time.monotonic() >= until_s
        for topic in names:
            # Who was just discovered may have no name yet; who has none in the end is foreign.
            _check_topic(node, topic, known if last else {*known, UNNAMED})
        if last:
            return
        time.sleep(POLL_S)


def _require_local_discovery(environment: Mapping[str, str]) -> None:
    reach = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    if reach not in ("LOCALHOST", "OFF"):
        raise A1Error(
            f"ROS_AUTOMATIC_DISCOVERY_RANGE is {reach}: the simulator could reach a real robot; "
            "set it to LOCALHOST before you start the nodes"
        )
    peers = environment.get("ROS_STATIC_PEERS", "")
    if peers:
        raise A1Error(
            f"ROS_STATIC_PEERS is '{peers}': the simulator could reach a real robot there; "
            "unset it before you start the nodes"
        )


def _check_topic(node: Node, topic: str, known: set[str]) -> None:
    endpoints = {
        "publisher": node.get_publishers_info_by_topic(topic),
        "subscriber": node.get_subscriptions_info_by_topic(topic),
    }
    for kind, infos in endpoints.items():
        for info in infos:
            listens = kind == "subscriber" and info.node_name.endswith(EARS)
            if info.node_name not in known and not listens:
                who = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
                raise A1Error(
                    f"{topic}: a foreign {kind} ({who}) is on this command topic; end that node, "
                    "or give the simulation a ROS_DOMAIN_ID of its own"
                )
