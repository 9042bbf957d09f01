"""What the controller knows of the robot: measured state, its freshness, the clock."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a1_controllers.settings import ControllerSettings, Now
from a1_controllers.watch import Watch
from a1_core.assembler import Assembler
from a1_core.errors import ObservationRefused
from a1_core.spec import RobotSpec


class Sensing:
    """Joint states of every source, merged as the policy merges them.

    Attributes:
        measured_D: state at the newest message (rad; gripper 0 closed .. 1 open), None before.
        speed: fastest arm joint in the newest message (rad/s); 0 where none is given.
        complaint: what was wrong with the last message that could not be used.
    """

    def __init__(self, spec: RobotSpec, settings: ControllerSettings) -> None:
        self.watch = Watch(spec, settings)
        self.measured_D: NDArray[np.float64] | None = None
        self.speed = 0.0
        self.complaint = ""
        self._spec = spec
        self._assembler = Assembler(spec)

    def push(
        self,
        source: int,
        stamp_ns: int,
        names: Sequence[str],
        positions: ArrayLike,
        velocities: ArrayLike,
        now: Now,
    ) -> None:
        """A message of joint state source `source`; one that cannot be used does not count."""
        try:
            taken = self._assembler.push_state(stamp_ns, names, positions, [source])
        except ObservationRefused as refused:
            self.complaint = refused.detail
            return
        if not taken:
            self.watch.unused(source, stamp_ns)
            return
        self.complaint = ""
        self.watch.state(source, stamp_ns, now)
        speeds = np.abs(np.asarray(velocities, np.float64))
        places = self._spec.state_sources[source].places(names, len(speeds))
        arm = [float(speeds[places[joint]]) for joint in self._spec.joint_names if joint in places]
        self.speed = max(arm, default=self.speed)
        try:
            self.measured_D = self._assembler.state_at(stamp_ns)
        except ObservationRefused:
            return  # another source has not spoken yet; `lost` names it

    def state_at(self, stamp_ns: int) -> NDArray[np.float64]:
        """The state [D] that the policy saw at `stamp_ns`; raises ObservationRefused."""
        return self._assembler.state_at(stamp_ns)

    def forget(self) -> None:
        """After a clock jump: wait for new messages."""
        self._assembler.clear()
        self.watch.forget()
        self.measured_D = None

    def lost(self, now: Now) -> str | None:
        """Which joint state is missing or too old; None when all are fresh."""
        lost = self.watch.lost_state(now)
        if lost is None and self.measured_D is None:
            return "no joint state of every source yet"
        return f"{lost} ({self.complaint})" if lost and self.complaint else lost
