"""Every robot's loop over DDS: scripted policy, controller, stand-in on the robot's topics.

Those whose spec names a MuJoCo model have physics and cameras.
"""

from pathlib import Path

import numpy as np
import pytest
from a1_msgs.msg import ChunkVerdict, ControllerState

from a1_sim.stand_in_physics import PhysicalJoints

FOLDER = Path(__file__).parents[2] / "config/robots"
# Spoken to without ROS: test_libfranka.
ELSEWHERE = {"franka_libfranka"}
ROBOTS = sorted({path.stem for path in FOLDER.glob("*.yaml")} - ELSEWHERE)


@pytest.mark.parametrize("name", ROBOTS)
def test_the_robot_follows_a_scripted_policy(rig_of, wait_for, name):
    rig = rig_of(name, physics=True)
    spec, script, stand_in = rig.spec, rig.script, rig.stand_in
    rig.arm()
    script.begin()
    arm = len(spec.joint_names)

    def span() -> np.ndarray:
        return np.ptp(np.array(script.measured[5:] or [np.zeros(spec.dim)]), axis=0)

    wanted = np.concatenate([0.8 * np.abs(script.swing_J), [0.5] * len(spec.grippers)])

    def done() -> bool:
        return bool((span() >= wanted).all())

    assert wait_for(done, 30.0), (span(), script.codes, script.refusals)
    assert set(script.codes) == {ChunkVerdict.ACCEPTED}, script.refusals
    assert script.mode in (ControllerState.TRACKING, ControllerState.HOLD), script.reason
    script.end()
    rig.arm(on=False)
    assert isinstance(stand_in.joints, PhysicalJoints) == (spec.model is not None)
    still = 1e-9 if spec.model is None else 1e-2
    assert wait_for(lambda: np.abs(stand_in.joints.qd_D[:arm]).max() < still)
    assert [stream.refused for stream in stand_in.streams] == [0] * len(stand_in.streams)
    for stream in stand_in.streams:
        assert stream.taken > 30
