"""How an evaluation asks the policy node for a depth, and what each fixed depth costs."""

from collections.abc import Iterable

from a1_sim.operator_node import Operator
from a1_sim.records import EpisodePlan

# Long enough for a chunk or two, whose cost is all that is looked at.
PROBE = EpisodePlan(task="touch", kind="touch", seed=0, timeout_s=0.4)


def set_mode(operator: Operator, mode: str, block: int = 0) -> None:
    """Full, adaptive, or fixed at a block."""
    if mode == "fixed":
        operator.set_policy(fixed_exit=block)
    operator.set_policy(mode=mode)


def exit_prices(operator: Operator, exits: Iterable[int]) -> dict[int, float]:
    """What a fixed exit costs (share of full depth's FLOPs), by block; each is tried once."""
    prices = {}
    for block in exits:
        set_mode(operator, "fixed", block)
        prices[block] = operator.run(PROBE).mean("flops_fraction")
    return prices
