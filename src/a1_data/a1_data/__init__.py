"""Recorded bags as the observations a live node would have made. No ROS, no torch."""
