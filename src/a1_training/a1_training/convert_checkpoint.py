"""Turns a published checkpoint into one of ours: exactly, or not at all.

From molmo: a directory of allenai/Molmo-7B-D-0924 as Hugging Face has it. The result sees and
reads but has no action head; training starts from it.

From a1: a directory of the public A1 code (model.pt, config.yaml, and dataset_statistics.json
unless --normalisation none). The result acts as the public code does.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from a1_core.errors import A1Error
from a1_core.spec import RobotSpec
from a1_data.share import find_spec
from a1_model.a1_layout import CAMERA_PLACES, FEATURES, A1Choices, convert_a1
from a1_model.a1_statistics import NORMALISATIONS
from a1_model.foreign import Conversion
from a1_model.molmo_layout import convert_molmo
from a1_model.sizes import parameters_by_part
from a1_training.arguments import above_zero, whole

_TYPES = {"keep": None, "float32": torch.float32, "bfloat16": torch.bfloat16}


def main(argv: Sequence[str] | None = None) -> int:
    """Console entry; see --help."""
    arguments = _parser().parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        spec = find_spec(arguments.robot)
        conversion = _conversion(arguments, spec)
        digest = conversion.write(
            arguments.destination,
            spec,
            dtype=_TYPES[arguments.dtype],
            shard_bytes=round(arguments.shard_gb * 1e9),
        )
    except (A1Error, OSError) as error:
        console.print(f"convert_checkpoint: {error}", markup=False)
        return 1
    for part, count in parameters_by_part(conversion.config).items():
        if count:
            console.print(f"{part}: {count:,} weights")
    for reason, count in Counter(conversion.left_out.values()).items():
        console.print(f"left out: {count} tensors ({reason})", markup=False)
    console.print(f"{arguments.destination}: {digest[:12]}")
    return 0


def _conversion(arguments: argparse.Namespace, spec: RobotSpec) -> Conversion:
    if arguments.kind == "molmo":
        return convert_molmo(
            arguments.source,
            spec,
            tokenizer_file=arguments.tokenizer,
            crops=arguments.crops,
        )
    choices = A1Choices(
        noise_time=arguments.noise_time,
        features=arguments.features,
        cameras=arguments.cameras,
        normalisation=arguments.normalisation,
        statistics=arguments.statistics,
        tokenizer_file=arguments.tokenizer,
        exit_interval=arguments.exit_interval,
    )
    return convert_a1(arguments.source, spec, choices)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, metavar="SRC")
    parser.add_argument("destination", type=Path, metavar="DST")
    parser.add_argument("--from", dest="kind", choices=("molmo", "a1"), required=True)
    parser.add_argument("--robot", required=True, help="name of the robot spec, or its path")
    parser.add_argument("--tokenizer", type=Path, help="Qwen2's tokenizer.json; default: in SRC")
    parser.add_argument("--dtype", choices=_TYPES, default="keep", help="of the stored weights")
    parser.add_argument("--shard-gb", type=above_zero, default=2.0, help="largest weight file")
    molmo = parser.add_argument_group("from molmo")
    molmo.add_argument("--crops", type=int, choices=(1, 2), default=1, help="times an image shows")
    a1 = parser.add_argument_group("from a1")
    a1.add_argument(
        "--noise-time", type=int, choices=(0, 1), default=1, help="flow time that means noise"
    )
    a1.add_argument(
        "--features",
        choices=FEATURES,
        default="before",
        help="MLP head: its exit at a block reads the hidden state before or after that block",
    )
    a1.add_argument(
        "--cameras",
        choices=CAMERA_PLACES,
        help="each camera at its own tokens, or all at the first one's",
    )
    a1.add_argument("--normalisation", choices=NORMALISATIONS, default="q99")
    a1.add_argument("--statistics", help="data set in dataset_statistics.json")
    a1.add_argument("--exit-interval", type=whole(1), default=2, help="blocks between two exits")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
