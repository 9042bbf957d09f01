"""The console script `controller`."""

from a1_controllers.node import ControllerNode
from a1_ros.executor import run_node


def main() -> None:
    """Run the controller node until it is told to end."""
    run_node(ControllerNode)


if __name__ == "__main__":
    main()
