"""Console script `teleop`."""

from a1_recorder.teleop.node import TeleopNode
from a1_ros.executor import run_node


def main() -> None:
    """Spin the node until it is interrupted; the arm comes to rest by itself."""
    run_node(TeleopNode)


if __name__ == "__main__":
    main()
