"""A person drives the arm: joystick, keyboard or a leader arm in, chunks of actions out."""
