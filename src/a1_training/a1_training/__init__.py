"""Training of A1 policies: data, recipes, the loop, in-process evaluation. No ROS."""
