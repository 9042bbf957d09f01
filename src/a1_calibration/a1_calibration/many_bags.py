"""Groups of bags over the machines of a Ray cluster, which sees their files under the same paths.

What a group gives does not depend on where it is computed (see `collect`), so the result is that of
one process. Ray is an optional dependency: it is imported where an address is given.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from a1_calibration.collect import Done, Group, Measured, measure_here
from a1_calibration.recordings import Recording
from a1_calibration.request import Request
from a1_core.deviation import DeviationMeter
from a1_core.errors import A1Error, BagError, CheckpointError
from a1_core.spec import RobotSpec, load_spec
from a1_data.reader import open_bags
from a1_model.checkpoint import LoadedCheckpoint, load_checkpoint

LOCAL = "local"
LOCAL_STORE_BYTES = 200 * 2**20
WAITING_BATCHES = 4
"""Results that a group may have ready before they are fetched."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a worker has to know beside its group: plain values, and paths that it finds."""

    request: Request
    spec: Path
    spec_digest: str
    checkpoint_digest: str
    metric: str

    @classmethod
    def of(cls, request: Request, spec: RobotSpec, checkpoint_digest: str, metric: str) -> Work:
        return cls(
            request=replace(request, checkpoint=request.checkpoint.resolve()),
            spec=spec.path.resolve(),
            spec_digest=spec.digest,
            checkpoint_digest=checkpoint_digest,
            metric=metric,
        )


def open_checkpoint(request: Request, spec: RobotSpec) -> LoadedCheckpoint:
    """The checkpoint of a request, on the device and with the threads that it asks for."""
    torch.set_num_threads(request.threads)
    return load_checkpoint(request.checkpoint, spec, device=request.device)


def measure_on_ray(
    work: Work, groups: Sequence[Group], done: Done
) -> Generator[Measured, None, None]:
    """Computes on a cluster what is not done; batches come as they are ready.

    Raises A1Error when Ray is not installed or no cluster answers, and what a worker raises.
    """
    ray = _ray()
    _connect(ray, work.request.ray)
    try:
        gpus = 1.0 if work.request.device.startswith("cuda") else 0.0
        task = ray.remote(_measure_group).options(
            num_returns="streaming",
            num_cpus=work.request.threads,
            num_gpus=gpus,
            max_retries=0,  # what a group has given already must not come twice
            _generator_backpressure_num_objects=WAITING_BATCHES,
        )
        running = [task.remote(work, *_told(group, done)) for group in groups]
        while running:
            (ready, *_), _ = ray.wait(running, num_returns=1)
            try:
                yield _own(ray.get(next(ready)))
            except StopIteration:
                running.remove(ready)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, A1Error):
                    raise error.cause from None
                raise
            except ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[0]
                raise A1Error(
                    f"ray '{work.request.ray}': a worker was lost ({reason}); start again, what "
                    "was computed is kept"
                ) from error
    finally:
        ray.shutdown()


def _own(measured: Measured) -> Measured:
    """With arrays of its own: those of the cluster's store would fill that."""
    return replace(measured, block={name: array.copy() for name, array in measured.block.items()})


def _told(
    group: Group, done: Done
) -> tuple[dict[int, tuple[str, str, str]], dict[int, Sequence[int]], list[int]]:
    """A group and what is done of it, as plain values: name, path and digest of every bag."""
    bags = {
        number: (recording.name, str(recording.bag.path.resolve()), recording.bag.digest)
        for number, recording in group.items()
    }
    stamps = {number: done.stamps[number] for number in group if number in done.stamps}
    return bags, stamps, [number for number in group if number in done.accounts]


def _measure_group(
    work: Work,
    bags: Mapping[int, tuple[str, str, str]],
    stamps: Mapping[int, Sequence[int]],
    finished: list[int],
) -> Generator[Measured, None, None]:
    """Runs in a worker."""
    spec, checkpoint, meter = _opened(work)
    group = {
        number: _recording(work, spec, *bag)
        for number, bag in bags.items()
        if number not in finished
    }
    request = work.request
    done = Done(stamps=stamps)
    yield from measure_here(checkpoint.policy, meter, work.metric, [group], request.batch, done)


@lru_cache(maxsize=1)
def _opened(work: Work) -> tuple[RobotSpec, LoadedCheckpoint, DeviationMeter]:
    """Once a worker process, however many groups it computes."""
    request = work.request
    spec = load_spec(work.spec)
    checkpoint = open_checkpoint(request, spec)
    if (spec.digest, checkpoint.digest) != (work.spec_digest, work.checkpoint_digest):
        raise CheckpointError(
            f"{work.spec} or {request.checkpoint}: not the one that calibration was started with; "
            "let every machine of the cluster see the same files"
        )
    return spec, checkpoint, DeviationMeter(spec, request.executed_s, request.unit)


def _recording(work: Work, spec: RobotSpec, name: str, path: str, digest: str) -> Recording:
    (bag,) = open_bags(path, spec, work.request.read)
    if bag.digest != digest:
        raise BagError(
            f"{path}: not the bag that calibration was started with; let every machine of the "
            "cluster see the same files"
        )
    return Recording(name=name, bag=bag, held_out=None)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise A1Error(
            "ray is not installed: `pip install ray` into this Python, or compute without (no "
            "--ray, parameter ray empty)"
        ) from None
    return ray


def _connect(ray: Any, address: str) -> None:
    options: dict[str, Any] = {"log_to_driver": False}
    if address == LOCAL:
        options |= {
            "include_dashboard": False,
            "object_store_memory": LOCAL_STORE_BYTES,
            "_node_ip_address": "127.0.0.1",
        }
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise A1Error(
            f"ray '{address}': no cluster answers there ({error}); start one with `ray start "
            f"--head`, or give {LOCAL}"
        ) from error
