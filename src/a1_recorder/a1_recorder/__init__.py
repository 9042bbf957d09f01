"""Teleoperation and rollouts to bags, one an episode, that `a1_data` reads."""
