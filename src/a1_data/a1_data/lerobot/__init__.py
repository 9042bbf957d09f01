"""LeRobot v3.0 data sets: the format itself, read and written without LeRobot.

Source of the format: huggingface/lerobot@v0.6.1, src/lerobot/datasets (Apache-2.0).
"""
