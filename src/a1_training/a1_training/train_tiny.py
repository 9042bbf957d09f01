"""`make train-tiny`: from a seed to the shipped checkpoint; resumes where it was killed."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from rich.console import Console

from a1_core.normaliser import Normaliser
from a1_core.policy import ExitSetting
from a1_core.spec import RobotSpec, load_spec
from a1_model.checkpoint import load_checkpoint, save_checkpoint
from a1_model.config import tiny
from a1_model.network import A1Network
from a1_model.tokenizer import InstructionTokenizer
from a1_training.grounding import measure_grounding
from a1_training.provenance import provenance, source_account
from a1_training.recipe import DaggerRound, Recipe, Stage, tiny_recipe
from a1_training.reporting import RunLog
from a1_training.samples import Augmentation, BatchSampler, fit_normaliser
from a1_training.trainer import Trainer
from a1_world import generate
from a1_world.sample import Sample
from a1_world.shards import Shards, open_shards, write_shards
from a1_world.tasks import vocabulary

# Layouts of the sources must not meet: each source and round has seeds of its own, all below
# the first evaluation seed (1,000,000).
SEED_SCENES, SEED_HELD_OUT, SEED_DEMONSTRATIONS, SEED_DAGGER = 0, 200_000, 300_000, 600_000

LOOKS = 512
"""Held-out images on which grounding is measured after a stage."""

Job: TypeAlias = tuple[Path, Callable[..., Iterator[Sample]], int, int]
"""One part of a source: its folder, generator, how many, and the seed."""


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Where a run keeps its things: data and state in `work`, the result in `checkpoint`."""

    work: Path
    checkpoint: Path
    spec: Path

    def data(self, source: str) -> Path:
        return self.work / "data" / source


class TinyRun:
    """One run of a recipe: data, stages, DAgger rounds, in the order of the recipe.

    Args:
        paths: of the work folder, the checkpoint and the robot spec.
        recipe: what to do.
        workers: processes that generate data.
        console: for progress.
    """

    def __init__(self, paths: Paths, recipe: Recipe, workers: int, console: Console):
        self._paths = paths
        self._recipe = recipe
        self._workers = workers
        self._console = console
        self._spec: RobotSpec = load_spec(paths.spec)
        self._accounts: dict[str, dict[str, Any]] = {}
        torch.manual_seed(recipe.seed)
        self._tokenizer = InstructionTokenizer.from_words(vocabulary())
        config = tiny(vocab_size=len(self._tokenizer), signal="probe")
        self._trainer = Trainer(A1Network(config), recipe)

    def run(self) -> None:
        """Everything that is not done yet; the checkpoint is written after every stage."""
        recipe = self._recipe
        sources = {
            "scenes": self._generate("scenes", generate.scene_samples, recipe.scenes, SEED_SCENES),
            "held_out": self._generate(
                "held_out", generate.scene_samples, recipe.scenes // 20, SEED_HELD_OUT
            ),
            "demonstrations": self._generate(
                "demonstrations",
                generate.demonstration_samples,
                recipe.demonstration_episodes,
                SEED_DEMONSTRATIONS,
                noise=recipe.noise,
                chained=recipe.chained,
            ),
        }
        self._normaliser: Normaliser = fit_normaliser(
            self._spec.action_names, sources["demonstrations"]
        )
        self._looks = min(LOOKS, sources["held_out"].num_images)
        sampler = self._sampler(sources)
        done = self._resume(sampler)
        self._log = RunLog(self._paths.work, self._console, self._trainer.steps_done)
        for index, stage in enumerate(recipe.stages):
            self._train(index, stage, sampler, done)
        for index, dagger in enumerate(recipe.dagger, start=len(recipe.stages)):
            if index >= _unfinished(done):
                sources |= {"dagger": self._relabel(index, dagger)}
                state = sampler.rng.bit_generator.state
                sampler = self._sampler(sources)
                sampler.rng.bit_generator.state = state
            self._train(index, dagger.stage, sampler, done)

    def _sampler(self, sources: dict[str, Shards]) -> BatchSampler:
        augmentation = Augmentation(
            brightness=self._recipe.brightness,
            state_mask_probability=self._recipe.state_mask_probability,
        )
        return BatchSampler(
            sources,
            self._tokenizer,
            self._normaliser,
            augmentation,
            self._recipe.seed,
            self._recipe.row_decay,
        )

    def _resume(self, sampler: BatchSampler) -> dict[str, int]:
        state = self._paths.work / "state.pt"
        if not state.exists():
            return {"stage": 0, "step": 0}
        done = self._trainer.load(state, sampler)
        self._console.print(f"resuming at stage {done['stage']}, step {done['step']}")
        return done

    def _generate(
        self, source: str, generator: Callable, count: int, seed: int, **arguments: object
    ) -> Shards:
        """Fills the folder of `source` in parallel parts; parts that are complete stay."""
        share = -(-count // self._workers)
        jobs = [
            (self._paths.data(source) / f"part{part}", generator, share, seed + part * share)
            for part in range(self._workers)
        ]
        began = time.monotonic()
        if self._workers == 1:
            _fill(*jobs[0], arguments)
        else:
            self._fill_all(jobs, arguments)
        folders = [job[0] for job in jobs]
        shards = open_shards(folders)
        self._accounts[source] = source_account(folders, shards)
        self._console.print(f"{source}: {len(shards)} samples ({time.monotonic() - began:.0f} s)")
        return shards

    def _fill_all(self, jobs: list[Job], arguments: dict[str, Any]) -> None:
        # spawn: a forked child would inherit the parent's torch threads and OpenGL context.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            self._workers, context, initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            for job in [pool.submit(_fill, *job, arguments) for job in jobs]:
                job.result()

    def _relabel(self, index: int, dagger: DaggerRound) -> Shards:
        """All DAgger rounds up to this one, the newest driven by the checkpoint just trained."""
        self._generate(
            f"dagger/{index}",
            _dagger_samples,
            dagger.episodes,
            SEED_DAGGER + index * 50_000,
            checkpoint=self._paths.checkpoint,
            spec=self._paths.spec,
            beta=dagger.beta,
            kinds=dagger.kinds,
            exits=dagger.exits,
            latency_s=dagger.latency_s,
            chained=self._recipe.chained,
        )
        folders = sorted(self._paths.data("dagger").glob("*/part*"))
        shards = open_shards(folders)
        self._accounts["dagger"] = source_account(folders, shards)
        return shards

    def _train(self, index: int, stage: Stage, sampler: BatchSampler, done: dict) -> None:
        if index < _unfinished(done):
            return
        first = {index: done["step"], index + 1: stage.steps}.get(done["stage"], 0)

        def save(step: int) -> None:
            at = (index + 1, 0) if step == stage.steps else (index, step)
            state = {"stage": at[0], "step": at[1]}
            self._trainer.save(self._paths.work / "state.pt", state, sampler)

        self._log.followed(self._trainer, stage, sampler, first, save)
        grounding = measure_grounding(self._trainer.average, sampler, "held_out", self._looks)
        for name, hits_K in grounding.hits.items():
            hits = " ".join(f"{hit:.2f}" for hit in hits_K)
            self._console.print(f"{stage.name}: pointing at the {name} object, by exit: {hits}")
        self._log.row({"stage": stage.name, "grounding": grounding.hits})
        self._write_checkpoint(stage.name)

    def _write_checkpoint(self, stage: str) -> None:
        save_checkpoint(
            self._paths.checkpoint,
            network=self._trainer.average,
            tokenizer=self._tokenizer,
            normaliser=self._normaliser,
            spec=self._spec,
            metadata={
                "stage": stage,
                "steps": self._trainer.steps_done,
                **provenance(
                    self._recipe,
                    sources=self._accounts,
                    workers=self._trainer.workers,
                    started_from=None,
                ),
            },
        )


def _unfinished(done: Mapping[str, int]) -> int:
    """First stage of which something may be missing.

    That is the one before when none of the next one's steps are done: a kill between the state and
    the checkpoint leaves that unwritten.
    """
    return done["stage"] - (done["step"] == 0)


def _fill(directory: Path, generator: Callable, count: int, seed: int, arguments: dict) -> None:
    """One process's part of a source."""
    write_shards(
        generator(count, seed, **arguments),
        directory,
        manifest={"generator": generator.__name__, "count": count, "seed": seed}
        | {name: str(value) for name, value in arguments.items()},
    )


def _dagger_samples(
    episodes: int,
    seed: int,
    *,
    checkpoint: Path,
    spec: Path,
    beta: float,
    kinds: tuple[str, ...],
    exits: tuple[int, ...],
    latency_s: tuple[float, float],
    chained: float,
) -> Iterator[Sample]:
    robot = load_spec(spec)
    loaded = load_checkpoint(checkpoint, robot)
    blocks = exits or loaded.config.exits[1:]
    settings = [ExitSetting(mode="fixed", fixed_exit=block) for block in blocks]
    yield from generate.dagger_samples(
        loaded.policy,
        episodes,
        seed,
        beta=beta,
        spec=robot,
        settings=settings,
        kinds=kinds,
        chained=chained,
        latency_s=latency_s,
    )


def main() -> None:
    """Console entry; see --help."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("out/train/tiny"))
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/tiny"))
    parser.add_argument("--spec", type=Path, default=Path("config/robots/franka.yaml"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of torch while training")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    paths = Paths(work=arguments.work, checkpoint=arguments.checkpoint, spec=arguments.spec)
    TinyRun(paths, tiny_recipe(), arguments.workers, Console()).run()


if __name__ == "__main__":
    main()
