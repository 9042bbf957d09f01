"""The scripted expert as a source of chunks in place of a policy; it looks into the world."""

import uuid

import numpy as np

from a1_core.chunk import ActionChunk, ActionSpace, Source, joint_chunk
from a1_core.spec import RobotSpec
from a1_sim.robot import SimulatedRobot
from a1_world.expert import Expert


class ExpertSource:
    """Makes chunks of the expert's rows in the policy's own action space."""

    def __init__(self, spec: RobotSpec, robot: SimulatedRobot, expert: Expert) -> None:
        self._spec = spec
        self._robot = robot
        self._expert = expert
        self._session = ""
        self.seq = 0
        self.new_session()

    def new_session(self) -> None:
        """Begin anew, as a policy does that was restarted."""
        self._session = str(uuid.uuid4())
        self.seq = 0

    def chunk(self) -> ActionChunk:
        """The rows that the expert wants from the present state on."""
        spec, policy = self._spec, self._spec.policy
        rows_HD = self._expert.rows(policy.horizon, policy.period_s)
        actions_HD = np.array(rows_HD, np.float64)
        if policy.action_space is ActionSpace.JOINT_DELTA:
            actions_HD[:, :-1] -= self._robot.world.joint_positions
        self.seq += 1
        return joint_chunk(
            spec,
            stamp_ns=self._robot.now_ns,
            session_id=self._session,
            seq=self.seq,
            source=Source.SCRIPT,
            action_space=policy.action_space,
            actions_HD=actions_HD,
        )
