"""A policy whose rows are poses: the spec says so, and its chunks say how they are to be read."""

import pytest
import yaml
from policy_rig import FRANKA, write_quick_spec

from a1_core.chunk import ActionSpace, RotationKind
from a1_core.limits import SafetyGate
from a1_core.spec import load_spec
from a1_ros.messages import msg_to_chunk
from a1_world.inverse_kinematics import InverseKinematics


@pytest.fixture
def spec_file(tmp_path):
    """The Franka, driven by poses: eight columns, as many as it has joints and grippers."""
    policy = yaml.safe_load(FRANKA.read_text())["policy"]
    policy |= {"action_space": "ee_pose", "rotation": "quaternion_xyzw"}
    return write_quick_spec(tmp_path / "quick.yaml", policy=policy)


def test_the_spec_says_the_action_space_of_the_chunks(running, wait_for, spec_file):
    _node, robot, _policy = running
    assert wait_for(lambda: robot.chunks)
    chunk = msg_to_chunk(robot.chunks[0])
    assert chunk.action_space is ActionSpace.EE_POSE
    assert chunk.rotation is RotationKind.QUATERNION_XYZW
    assert (chunk.base_frame, chunk.tip_frame) == ("fr3_link0", "fr3_hand_tcp")
    assert chunk.names == ("x", "y", "z", "qx", "qy", "qz", "qw", "gripper")
    spec = load_spec(spec_file)
    gate = SafetyGate(spec, spec.kinematics, pose_solver=InverseKinematics(spec))
    assert gate.check_header(chunk).accepted
