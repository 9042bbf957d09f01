"""Console script `recorder`."""

from a1_recorder.node import RecorderNode
from a1_ros.executor import run_node


def main() -> None:
    """Spin the recorder until it is interrupted; an episode in hand is finished first."""
    run_node(RecorderNode)


if __name__ == "__main__":
    main()
