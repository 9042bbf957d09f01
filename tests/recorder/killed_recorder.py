"""A recorder in a process of its own, to be killed: `killed_recorder.py SPEC FOLDER`."""

import sys
from pathlib import Path

import rclpy
from rclpy.parameter import Parameter
from recorder_rig import SPEC_TOPICS

from a1_recorder.node import RecorderNode
from a1_ros.executor import make_executor


def main(spec_file: str, folder: str) -> None:
    rclpy.init()
    values = {"robot": spec_file, "folder": folder, "reserve_mb": 0}
    node = RecorderNode(
        parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
        use_global_arguments=False,
    )
    node.trigger_configure()
    node.trigger_activate()
    executor = make_executor()
    executor.add_node(node)
    while not all(s.received for s in node._session.streams if s.topic.name in SPEC_TOPICS):
        executor.spin_once(timeout_sec=0.1)
    node._begin("touch the red cube", "script")
    Path(folder, "recording").touch()
    executor.spin()


main(*sys.argv[1:])
