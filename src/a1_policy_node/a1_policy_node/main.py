"""Console script `policy`."""

from a1_policy_node.node import PolicyNode
from a1_ros.executor import run_node


def main() -> None:
    """Spin the policy node until it is interrupted."""
    run_node(PolicyNode)


if __name__ == "__main__":
    main()
