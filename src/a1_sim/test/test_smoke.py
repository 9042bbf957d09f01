"""The package imports and its barrier opens."""

from a1_sim.lockstep import Barrier


def test_a_barrier_without_anyone_to_wait_for_is_open() -> None:
    barrier = Barrier(())
    barrier.close(20_000_000, camera_tick=True)
    assert barrier.open
