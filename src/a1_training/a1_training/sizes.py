"""What a network weighs and what its stages cost; no weights are made or read.

Of the sizes that docs/sizes.md tells of, beside the paper's figures, or of checkpoints.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from a1_core.errors import A1Error
from a1_model.checkpoint import read_without_weights
from a1_model.config import ModelConfig
from a1_model.sizes import PAPER_GFLOPS, PRESETS, flops_by_stage, parameters_by_part
from a1_training.arguments import whole


def main(argv: Sequence[str] | None = None) -> int:
    """Console entry; see --help."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoints", nargs="*", type=Path, metavar="DIR")
    parser.add_argument(
        "--prefix", type=whole(1), default=352, help="tokens of images and instruction"
    )
    arguments = parser.parse_args(argv)
    console = Console()
    try:
        configs = {str(path): read_without_weights(path).config for path in arguments.checkpoints}
    except A1Error as error:
        console.print(f"sizes: {error}", markup=False, highlight=False)
        return 1
    console.print(_weights(configs or PRESETS), _costs(configs or PRESETS, arguments.prefix))
    return 0


def _weights(configs: Mapping[str, ModelConfig]) -> Table:
    table = Table("part", *configs, title="weights, in millions")
    counted = [parameters_by_part(config) for config in configs.values()]
    for part in dict.fromkeys(part for counts in counted for part in counts):
        table.add_row(part, *(f"{counts.get(part, 0) / 1e6:.3f}" for counts in counted))
    table.add_row("all", *(f"{sum(counts.values()) / 1e6:.3f}" for counts in counted))
    return table


def _costs(configs: Mapping[str, ModelConfig], prefix: int) -> Table:
    title = f"GFLOPs by stage, {prefix} tokens, 2 a multiply-add"
    table = Table("stage", *configs, "the paper", title=title)
    counted = [flops_by_stage(config, prefix) for config in configs.values()]
    for stage, theirs in PAPER_GFLOPS.items():
        ours = [f"{flops[stage] / 1e9:.4f}" if stage in flops else "-" for flops in counted]
        table.add_row(stage, *ours, str(theirs))
    return table


if __name__ == "__main__":
    raise SystemExit(main())
