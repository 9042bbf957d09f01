"""Grippers over every interface: the vendor's own numbers arrive."""

import numpy as np
import pytest

GRIPPERS = ["openarm", "wxai", "agibot", "agibot_a2", "aloha", "dobot"]


@pytest.mark.parametrize("name", GRIPPERS)
def test_every_gripper_is_told_in_its_own_unit(rig_of, wait_for, name):
    rig = rig_of(name)
    robot, grippers = rig.controller._adapter, rig.stand_in.grippers
    rig.arm()
    units = [0.0, 1.0][: len(grippers)] if len(grippers) == 2 else [0.0]
    robot.grippers(units)
    told = [gripper.command.from_unit(u) for gripper, u in zip(rig.spec.grippers, units)]
    for gripper, number in zip(grippers, told, strict=True):
        assert wait_for(lambda g=gripper, n=number: g.told and g.told[-1] == pytest.approx(n))
    joints = rig.stand_in.joints
    assert wait_for(lambda: np.allclose(joints.q_D[len(rig.spec.joint_names) :], units, atol=1e-4))


def test_arx_carries_the_opening_with_the_arm(rig_of, wait_for):
    rig = rig_of("arx5")
    rig.arm()
    rig.script.begin()
    assert wait_for(lambda: rig.stand_in.joints.q_D[-1] < 0.1)
    rig.script.end()


def test_a_gripper_that_tells_nothing_is_believed_to_be_where_it_was_told(rig_of, wait_for):
    rig = rig_of("dobot")
    rig.arm()
    assert wait_for(lambda: rig.controller._controller.sensing.measured_D is not None)
    assert rig.controller._controller.sensing.measured_D[-1] == 1.0
    rig.script.begin()
    assert wait_for(lambda: rig.controller._controller.sensing.measured_D[-1] == 0.0)
    rig.script.end()
