"""The simulated trajectory controller does what Jazzy's does, rule by rule."""

import numpy as np
import pytest

from a1_sim.jtc import TrajectoryController
from a1_sim.trajectory import JtcParameters, Point, Trajectory, refusal

MS = 1_000_000
JOINTS = ("a", "b")
NONE = np.zeros(0)


def point(time_ms: int, q: list[float], qd=None, qdd=None, effort=None) -> Point:
    return Point(
        time_ns=time_ms * MS,
        positions=np.array(q, np.float64),
        velocities=NONE if qd is None else np.array(qd, np.float64),
        accelerations=NONE if qdd is None else np.array(qdd, np.float64),
        effort=NONE if effort is None else np.array(effort, np.float64),
    )


def trajectory(*points: Point, stamp_ms: int = 0, names: tuple[str, ...] = JOINTS) -> Trajectory:
    return Trajectory(stamp_ns=stamp_ms * MS, joint_names=names, points=points)


def controller(**parameters) -> TrajectoryController:
    parameters.setdefault("interpolate_from_desired_state", True)
    jtc = TrajectoryController(JtcParameters(joints=JOINTS, **parameters), MS)
    jtc.activate(np.zeros(2))
    return jtc


def play(jtc: TrajectoryController, until_ms: int, start_ms: int = 1000, measured=(0.0, 0.0)):
    """Desired motion at every update from start to until, the last included."""
    q = np.array(measured)
    return {t: jtc.update(t * MS, q, np.zeros(2)).desired for t in range(start_ms, until_ms + 1, 4)}


GOOD = point(100, [1.0, 2.0])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (trajectory(GOOD, names=("a",)), "don't match the controller joints"),
        (trajectory(GOOD, names=("a", "x")), "Incoming joint x"),
        (trajectory(), "Empty trajectory"),
        (trajectory(point(100, [1.0])), "positions (1) at point #0"),
        (trajectory(point(100, [1.0, 2.0], [0.0])), "velocities (1)"),
        (trajectory(point(100, [1.0, 2.0], qdd=[0.0])), "accelerations (1)"),
        (trajectory(point(100, [1.0, 2.0], effort=[1.0, 1.0])), "effort"),
        (trajectory(GOOD, GOOD), "not strictly increasing"),
        (trajectory(point(100, [1.0, 2.0], [0.0, 0.1])), "joint b is not zero"),
        (trajectory(GOOD, stamp_ms=800), "ends in the past"),
    ],
)
def test_refuses(message: Trajectory, reason: str) -> None:
    jtc = controller()
    answer = jtc.offer(message, 1000 * MS)
    assert answer is not None and reason in answer
    assert (jtc.accepted, jtc.refused) == (0, 1)


def test_empty_message_is_no_stop() -> None:
    parameters = JtcParameters(joints=JOINTS, allow_partial_joints_goal=True)
    empty = Trajectory(stamp_ns=0, joint_names=(), points=())
    assert refusal(empty, parameters, 0) == "Empty joint names on incoming trajectory."


def test_end_exactly_now_is_taken() -> None:
    assert controller().offer(trajectory(GOOD, stamp_ms=900), 1000 * MS) is None


def test_velocity_at_the_end_can_be_allowed() -> None:
    jtc = controller(allow_nonzero_velocity_at_trajectory_end=True)
    assert jtc.offer(trajectory(point(100, [1.0, 2.0], [0.5, 0.5])), 0) is None


def test_stamp_zero_starts_at_the_next_update_and_positions_are_linear() -> None:
    jtc = controller()
    assert jtc.offer(trajectory(point(100, [1.0, 2.0])), 1000 * MS) is None
    motion = play(jtc, 1200, start_ms=1000)
    np.testing.assert_allclose(motion[1048].positions, [0.48, 0.96])
    np.testing.assert_allclose(motion[1048].velocities, [10.0, 20.0])
    np.testing.assert_allclose(motion[1200].positions, [1.0, 2.0])
    np.testing.assert_allclose(motion[1200].velocities, 0.0)


def test_stamped_message_that_came_late_is_joined_in_the_middle() -> None:
    jtc = controller(interpolate_from_desired_state=False)
    jtc.offer(trajectory(point(0, [0.0, 0.0]), point(100, [1.0, 1.0]), stamp_ms=960), 1000 * MS)
    motion = play(jtc, 1000)
    np.testing.assert_allclose(motion[1000].positions, [0.4, 0.4])


def test_cubic_and_quintic_reproduce_polynomials_of_their_degree() -> None:
    t = np.array([0.0, 0.2])
    cubic = np.polynomial.Polynomial([0.1, 0.3, -2.0, 4.0])
    quintic = np.polynomial.Polynomial([0.1, 0.3, -2.0, 4.0, 9.0, -30.0])
    for curve, with_acceleration in ((cubic, False), (quintic, True)):
        jtc = controller(allow_nonzero_velocity_at_trajectory_end=True)
        points = [
            point(
                int(s * 1000),
                [curve(s)] * 2,
                [curve.deriv()(s)] * 2,
                [curve.deriv(2)(s)] * 2 if with_acceleration else None,
            )
            for s in t
        ]
        jtc.offer(trajectory(*points, stamp_ms=1000), 1000 * MS)
        motion = play(jtc, 1196)
        for ms, now in motion.items():
            s = (ms - 1000) / 1000
            np.testing.assert_allclose(now.positions, curve(s), atol=1e-9)
            np.testing.assert_allclose(now.velocities, curve.deriv()(s), atol=1e-9)
            np.testing.assert_allclose(now.accelerations, curve.deriv(2)(s), atol=1e-7)


def test_a_new_message_replaces_and_does_not_splice() -> None:
    jtc = controller()
    jtc.offer(trajectory(point(100, [1.0, 1.0]), point(200, [5.0, 5.0]), stamp_ms=1000), 1000 * MS)
    play(jtc, 1048)
    # It begins 100 ms from now: a splice would follow the old path until then.
    jtc.offer(trajectory(point(200, [0.0, 0.0]), stamp_ms=1052), 1052 * MS)
    motion = play(jtc, 1300, start_ms=1052)
    peak = max(now.positions[0] for now in motion.values())
    assert peak < 0.56
    np.testing.assert_allclose(motion[1300].positions, 0.0)


def test_starts_from_the_command_or_from_the_measurement() -> None:
    for desired, start in ((True, 0.0), (False, -0.3)):
        jtc = controller(interpolate_from_desired_state=desired)
        play(jtc, 1000, measured=(-0.3, -0.3))
        jtc.offer(trajectory(point(100, [1.0, 1.0])), 1004 * MS)
        first = play(jtc, 1004, start_ms=1004, measured=(-0.3, -0.3))[1004]
        assert abs(first.positions[0] - start) < 0.06


def test_streamed_windows_follow_the_path_without_steps() -> None:
    """Windows of a sine, each with its braking end, replaced every 20 ms.

    The command leaves the path by no more than what it runs ahead in one control period.
    """
    jtc = controller()
    w = 2.0 * np.pi * 0.5
    commands = []
    for ms in range(1000, 2000, 4):
        if ms % 20 == 0:
            points = []
            for ahead in range(20, 300, 20):
                s = (ms + ahead - 1000) / 1000
                q, qd, qdd = np.sin(w * s), w * np.cos(w * s), -(w**2) * np.sin(w * s)
                points.append(point(ahead, [q] * 2, [qd] * 2, [qdd] * 2))
            points.append(point(600, [points[-1].positions[0]] * 2, [0.0] * 2, [0.0] * 2))
            assert jtc.offer(trajectory(*points, stamp_ms=ms), ms * MS) is None
        commands.append(jtc.update(ms * MS, np.zeros(2), np.zeros(2)).command.positions[0])
    # The start is from rest; afterwards the command is the path, one period ahead.
    times = np.arange(1000, 2000, 4) / 1000 - 1.0 + 0.001
    error = np.abs(np.array(commands) - np.sin(w * times))[25:]
    assert np.max(error) < 1.05 * w * 0.001


def test_joints_are_mapped_by_name_and_missing_ones_hold() -> None:
    jtc = controller()
    jtc.offer(trajectory(point(40, [2.0, 1.0]), names=("b", "a")), 0)
    np.testing.assert_allclose(play(jtc, 1060)[1060].positions, [1.0, 2.0])
    jtc = controller(allow_partial_joints_goal=True)
    jtc.activate(np.array([0.5, 0.7]))
    assert jtc.offer(trajectory(point(40, [2.0]), names=("b",)), 0) is None
    np.testing.assert_allclose(play(jtc, 1060)[1060].positions, [0.5, 2.0])


def test_silence_ends_at_the_last_point_and_a_timeout_holds_the_measurement() -> None:
    jtc = controller(cmd_timeout_s=0.1)
    jtc.offer(trajectory(point(40, [1.0, 1.0])), 0)
    np.testing.assert_allclose(play(jtc, 1100)[1100].positions, 1.0)
    motion = play(jtc, 1300, start_ms=1104, measured=(0.9, 0.9))
    np.testing.assert_allclose(motion[1300].positions, 0.9)


def test_activation_forgets_the_trajectory() -> None:
    jtc = controller()
    jtc.offer(trajectory(point(400, [1.0, 1.0])), 0)
    play(jtc, 1100)
    jtc.activate(np.array([0.2, 0.3]))
    motion = play(jtc, 1200, start_ms=1104)[1200]
    np.testing.assert_allclose(motion.positions, [0.2, 0.3])
    np.testing.assert_allclose(motion.velocities, 0.0, atol=1e-6)
