"""The simulated robot on the robot's own topics, the demonstration and the evaluation."""
