"""Trains a policy on stored samples or data sets by a named recipe; resumes where it was killed.

On one machine with several GPUs: torchrun --nproc-per-node N -m a1_training.train ...
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from a1_core.errors import A1Error
from a1_core.normaliser import Normaliser
from a1_core.spec import RobotSpec
from a1_core.whole_file import write_whole
from a1_data.lerobot.columns import Naming
from a1_data.lerobot.dataset import Dataset
from a1_data.lerobot.layout import INFO
from a1_data.lerobot.naming_options import add_naming, naming_of
from a1_data.share import find_spec
from a1_model.checkpoint import (
    CheckpointDescription,
    grow_network,
    read_without_weights,
    write_checkpoint,
)
from a1_model.checkpoint_folder import check_place, plain_json
from a1_model.config import CameraTokens, ModelConfig, small, tiny
from a1_model.fast_tokens import FastTokenizer
from a1_model.network import A1Network
from a1_model.tokenizer import InstructionTokenizer
from a1_training.arguments import named_folder, whole
from a1_training.fitting import check_sources, check_start, kept_normaliser
from a1_training.lerobot_samples import LoadSettings, store_samples
from a1_training.provenance import provenance, source_account
from a1_training.recipe import Recipe, Stage
from a1_training.recipes import RECIPES, recipe_by_name
from a1_training.reporting import RunLog
from a1_training.samples import Augmentation, BatchSampler, fit_normaliser
from a1_training.trainer import Trainer
from a1_training.workers import Workers
from a1_world.shards import Shards, open_shards

SIZES = {"tiny": tiny, "small": small}
RUN_FILE = "run.json"
FAST_FILE = "action_tokens.json"
# Chunks that action tokens are learned from: more change nothing.
FAST_CHUNKS = 20_000
INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for.

    Attributes:
        recipe: see `recipes`.
        data: directories of stored samples, or LeRobot data sets, by source name (see
            `balance.SourceName`).
        spec: of the robot.
        start: checkpoint to go on from; None: random weights of `size`.
        work: folder of the run's state and logs. out: the checkpoint.
        save_every: optimiser steps.
        naming: what the data sets call otherwise than the robot's spec.
    """

    recipe: Recipe
    data: Mapping[str, Path]
    spec: RobotSpec
    start: Path | None
    size: str
    work: Path
    out: Path
    save_every: int = 250
    naming: Naming = field(default_factory=Naming)

    def stored(self, name: str) -> Path:
        """Where the samples of a source lie; those of a data set are made in the work folder."""
        data = self.data[name]
        return self.work / "samples" / name.replace(":", "@") if is_dataset(data) else data


def train(request: Request, workers: Workers, console: Console) -> str | None:
    """Everything that is not done yet; the digest of the checkpoint, on the first process."""
    recipe, spec = request.recipe, request.spec
    check_place(request.out)
    start = None if request.start is None else read_without_weights(request.start)
    if start is not None:
        check_start(start, spec)
    if workers.first:
        for name, path in request.data.items():
            _store(request, name, path, start, console)
    workers.wait()
    stored = {name: request.stored(name) for name in request.data}
    sources = {name: open_shards(path) for name, path in stored.items()}
    check_sources(sources, spec)
    if recipe.images_per_step < workers.ranks:
        raise A1Error(
            f"--images-per-step: {recipe.images_per_step} for {workers.ranks} processes; give each "
            "at least one"
        )
    if workers.first:
        request.work.mkdir(parents=True, exist_ok=True)
        _check_same(request, start)
    workers.wait()
    normaliser = _normaliser(request, start, sources)
    fast = _fast_tokens(request, sources, normaliser)
    torch.manual_seed(recipe.seed)
    network, tokenizer = _network(request, start, sources, fast)
    trainer = Trainer(network, recipe, fast=fast, workers=workers)
    augmentation = Augmentation(
        brightness=recipe.brightness, state_mask_probability=recipe.state_mask_probability
    )
    sampler = BatchSampler(
        sources, tokenizer, normaliser, augmentation, recipe.seed, recipe.row_decay
    )
    state, done = request.work / "state.pt", {"stage": 0, "step": 0}
    if state.exists():
        done = trainer.load(state, sampler)
    log = RunLog(request.work, console, trainer.steps_done, quiet=not workers.first)
    if trainer.steps_done:
        log.say(f"resuming at stage {done['stage']}, step {done['step']}")
    for index, stage in enumerate(recipe.stages):
        if index < done["stage"]:
            continue

        def save(step: int, index: int = index, stage: Stage = stage) -> None:
            at = (index + 1, 0) if step == stage.steps else (index, step)
            trainer.save(state, {"stage": at[0], "step": at[1]}, sampler)

        first = done["step"] if index == done["stage"] else 0
        log.followed(trainer, stage, sampler, first, save, request.save_every)
    log.close()
    weights = trainer.weights()
    if not workers.first:
        return None
    accounts = {name: source_account([stored[name]], sources[name]) for name in sources}
    return write_checkpoint(
        request.out,
        config=network.config,
        weights=weights,
        tokenizer=tokenizer,
        normaliser=normaliser,
        spec=spec,
        metadata={
            "steps": trainer.steps_done,
            **provenance(
                recipe,
                sources=accounts,
                workers=workers,
                started_from=None if start is None else start.digest,
            ),
        },
        beside={} if fast is None else {FAST_FILE: fast.to_json().encode()},
    )


def is_dataset(path: Path) -> bool:
    """Whether the folder is a LeRobot data set."""
    return (path / INFO).is_file()


def _store(
    request: Request,
    name: str,
    path: Path,
    start: CheckpointDescription | None,
    console: Console,
) -> None:
    """Decode a data set once; what is left out of it is told, nothing left is an error."""
    if not is_dataset(path):
        return
    config = SIZES[request.size](vocab_size=1) if start is None else start.config
    # A network with a connector pads pictures itself, and learns where the padding is.
    size = config.vision.image_size if config.vision.connector is None else None
    settings = LoadSettings(image_size=size, naming=request.naming)
    count, dropped = store_samples(Dataset(path), request.spec, request.stored(name), settings)
    for reason, times in dropped.counts.items():
        told = f"{name}: left out {times} ({reason}), the first: {dropped.details[reason]}"
        console.print(told, markup=False)
    if not count:
        reasons = ", ".join(f"{reason} {times}" for reason, times in dropped.counts.items())
        raise A1Error(f"--data {name}: no sample of {path} can be used ({reasons or 'no frames'})")


def _normaliser(
    request: Request, start: CheckpointDescription | None, sources: Mapping[str, Shards]
) -> Normaliser:
    """Of the checkpoint to go on from where the recipe keeps it, else fitted to the data."""
    if not request.recipe.keep_normaliser:
        return fit_normaliser(request.spec.action_names, *sources.values())
    if start is None:
        raise A1Error("--start is missing: the recipe keeps the normaliser of a checkpoint")
    return kept_normaliser(start, request.spec)


def _fast_tokens(
    request: Request, sources: Mapping[str, Shards], normaliser: Normaliser
) -> FastTokenizer | None:
    """Of the checkpoint to go on from, or learned from the data."""
    recipe = request.recipe
    if not recipe.fast_vocab:
        return None
    if request.start is not None and (request.start / FAST_FILE).exists():
        return FastTokenizer.from_json((request.start / FAST_FILE).read_text())
    chunks = np.concatenate([s.actions_NHD[s.action_valid_N] for s in sources.values()])
    rng = np.random.default_rng(recipe.seed)
    chosen = rng.permutation(len(chunks))[:FAST_CHUNKS]
    return FastTokenizer.fit(normaliser.encode_actions(chunks[chosen]), vocab=recipe.fast_vocab)


def _network(
    request: Request,
    start: CheckpointDescription | None,
    sources: Mapping[str, Shards],
    fast: FastTokenizer | None,
) -> tuple[A1Network, InstructionTokenizer]:
    """To train, and its tokenizer."""
    changes: dict[str, Any] = {"insulate": request.recipe.insulate}
    if fast is not None:
        changes["fast_vocab"] = fast.vocab
    if start is not None:
        config = _with_parts(start.config, request.recipe, changes)
        return grow_network(start.directory, config), start.tokenizer
    words = {
        word for s in sources.values() for text in set(s.instructions) for word in text.split()
    }
    tokenizer = InstructionTokenizer.from_words(words)
    spec = request.spec
    config = SIZES[request.size](vocab_size=len(tokenizer))
    grids = [camera.grid for camera in config.cameras]
    cameras = tuple(
        CameraTokens(name=camera.name, grid=grids[min(place, len(grids) - 1)])
        for place, camera in enumerate(spec.cameras)
    )
    horizon = spec.policy.horizon
    changes |= {
        "cameras": cameras,
        "horizon": horizon,
        "dim": spec.dim,
        "mlp_queries": math.gcd(config.mlp_queries, horizon),
    }
    return A1Network(_with_parts(config, request.recipe, changes)), tokenizer


def _with_parts(config: ModelConfig, recipe: Recipe, changes: dict[str, Any]) -> ModelConfig:
    """The configuration with the readouts that the recipe's losses need; a head that acts."""
    needed = {"match": "point"}
    parts = {needed.get(name, name) for name in recipe.losses}
    heads = [name for name in (config.head, "fm", "mlp") if name in parts]
    return dataclasses.replace(
        config,
        parts=(*config.parts, *sorted(parts - set(config.parts))),
        head=heads[0] if heads else config.head,
        signal=config.signal if heads[:1] == [config.head] else None,
        **changes,
    )


def _check_same(request: Request, start: CheckpointDescription | None) -> None:
    """A work folder belongs to one recipe and one data set."""
    path = request.work / RUN_FILE
    run = {
        "recipe": dataclasses.asdict(request.recipe),
        "data": {name: str(Path(where).resolve()) for name, where in request.data.items()},
        "naming": dataclasses.asdict(request.naming),
        "robot_spec": request.spec.digest,
        "start": None if start is None else start.digest,
        "size": request.size,
    }
    run = json.loads(json.dumps(run))
    if not path.exists():
        write_whole(path, plain_json(run))
        return
    before = json.loads(path.read_text())
    different = [key for key in run if before.get(key) != run[key]]
    if different:
        raise A1Error(
            f"{path}: the run in this folder has another {', '.join(different)}; go on with the "
            "same, or choose another --work"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Console entry; see --help."""
    arguments = _parser().parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    torch.set_num_threads(arguments.threads)
    try:
        request = _request(arguments)
        with Workers.gathered(sharded=arguments.shard) as workers:
            digest = train(request, workers, console)
    except (OSError, ValueError, FloatingPointError) as error:
        console.print(f"train: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("train: interrupted; start it again to go on from the last state saved")
        return INTERRUPTED
    if digest is not None:
        console.print(f"{request.out}: {digest[:12]}")
    return 0


def _request(arguments: argparse.Namespace) -> Request:
    recipe = recipe_by_name(arguments.recipe)
    if arguments.head:
        recipe = _for_head(recipe, arguments.head)
    if arguments.steps is not None:
        stages = tuple(dataclasses.replace(s, steps=arguments.steps) for s in recipe.stages)
        recipe = dataclasses.replace(recipe, stages=stages)
    changes = {
        name: value
        for name in ("seed", "images_per_step", "images_per_pass", "precision")
        if (value := getattr(arguments, name)) is not None
    }
    data = dict(named_folder(text) for text in arguments.data)
    if len(data) != len(arguments.data):
        raise A1Error(f"--data: two sources have the same name in {arguments.data}; rename one")
    return Request(
        recipe=dataclasses.replace(recipe, **changes),
        data=data,
        spec=find_spec(arguments.robot),
        start=arguments.start,
        size=arguments.size,
        work=arguments.work,
        out=arguments.out,
        save_every=arguments.save_every,
        naming=naming_of(arguments),
    )


def _for_head(recipe: Recipe, head: str) -> Recipe:
    """The recipe with the weight of its action losses on one head."""

    def changed(stage: Stage) -> Stage:
        weights = {k: v for k, v in stage.loss_weights.items() if k not in ("fm", "mlp")}
        return dataclasses.replace(stage, loss_weights={head: 1.0} | weights)

    return dataclasses.replace(recipe, stages=tuple(changed(stage) for stage in recipe.stages))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", required=True, help=", ".join(RECIPES))
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="NAME=DIR",
        help="stored samples or LeRobot data sets; NAME is DATASET or DATASET:ROBOT, between which "
        "sampling is balanced",
    )
    parser.add_argument("--robot", required=True, help="name of the robot spec, or its path")
    parser.add_argument("--start", type=Path, metavar="DIR", help="checkpoint to go on from")
    parser.add_argument("--size", choices=SIZES, default="tiny", help="without --start")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="state and logs")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoint")
    parser.add_argument(
        "--shard",
        action="store_true",
        help="under torchrun: each process keeps a share of the weights, not all of them",
    )
    parser.add_argument("--threads", type=whole(1), default=1, help="of torch, a process")
    parser.add_argument("--save-every", type=whole(1), default=250, help="optimiser steps")
    add_naming(parser.add_argument_group("what LeRobot data sets call otherwise than the robot"))
    changes = parser.add_argument_group("instead of what the recipe says")
    changes.add_argument("--head", choices=("fm", "mlp"), help="only this head learns actions")
    changes.add_argument("--steps", type=whole(0), help="of every stage")
    changes.add_argument("--seed", type=whole(0))
    changes.add_argument("--images-per-step", type=whole(1))
    changes.add_argument("--images-per-pass", type=whole(1))
    changes.add_argument("--precision", choices=("float32", "bfloat16"))
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
