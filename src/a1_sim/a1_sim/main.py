"""Console script `simulator`."""

from a1_ros.executor import run_node
from a1_sim.node import SimNode


def main() -> None:
    """Run the simulator node until it is interrupted."""
    run_node(SimNode)
