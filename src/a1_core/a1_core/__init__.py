"""Everything between sensors and robot commands that needs neither ROS nor torch nor a clock."""
