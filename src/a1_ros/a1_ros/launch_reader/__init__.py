"""Reads and runs the XML launch files of this project on machines without `ros2 launch`."""
