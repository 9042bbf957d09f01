"""Makes the environment and the workspace of A1 for ROS 2; standard library only."""
