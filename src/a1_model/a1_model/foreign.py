"""Checkpoints of others: read without running their code, accounted for tensor by tensor.

A conversion is exact or refused: every tensor of theirs is used, or left out for a reason that
is printed; every tensor of ours is made from theirs.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from a1_core.errors import CheckpointError
from a1_core.normaliser import Normaliser
from a1_core.spec import RobotSpec
from a1_model.checkpoint import write_checkpoint
from a1_model.checkpoint_folder import directory_digest
from a1_model.config import ModelConfig
from a1_model.sizes import network_outline
from a1_model.tokenizer import InstructionTokenizer
from a1_model.weights import (
    SHARD_BYTES,
    WeightFiles,
    is_finite,
    told_misfits,
    weight_file_names,
)

_WRAPPER = "_fsdp_wrapped_module."
_NESTED = ("model_state_dict", "model")


@dataclass(frozen=True)
class Rule:
    """How one tensor of ours is made.

    Attributes:
        sources: names and shapes of theirs.
        make: of these tensors; by default the only one as it is.
    """

    sources: tuple[tuple[str, tuple[int, ...]], ...]
    make: Callable[..., Tensor] = lambda tensor: tensor


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole conversion.

    Attributes:
        rules: by the name of our tensor.
        left_out: regular expressions of their names, and why nothing is lost.
    """

    rules: Mapping[str, Rule]
    left_out: Mapping[str, str]

    def reason(self, name: str) -> str | None:
        """Why their tensor `name` is left out, if it is."""
        for pattern, reason in self.left_out.items():
            if re.fullmatch(pattern, name):
                return reason
        return None


@dataclass(frozen=True, kw_only=True)
class ForeignWeights:
    """Their tensors, mapped from `files`."""

    directory: Path
    files: list[str]
    tensors: Mapping[str, Tensor]

    @classmethod
    def safetensors(cls, directory: Path) -> ForeignWeights:
        """Of one file, or of shards and an index."""
        files = weight_file_names(directory)
        tensors = dict(WeightFiles.find(directory).tensors())
        return cls(directory=directory, files=files, tensors=tensors)

    @classmethod
    def pickled(cls, directory: Path, file: str) -> ForeignWeights:
        """Of a PyTorch file; nothing but tensors and plain containers is unpickled."""
        path = directory / file
        try:
            content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:
            first_line = (str(error).splitlines() or ["not readable"])[0]
            raise CheckpointError(
                f"{path}: {first_line}; expected a file of torch.save that holds tensors only"
            ) from error
        for key in _NESTED:
            if isinstance(content, dict) and isinstance(content.get(key), dict):
                content = content[key]
        if not isinstance(content, dict) or not all(
            isinstance(value, Tensor) for value in content.values()
        ):
            raise CheckpointError(f"{path}: expected a dictionary of tensors by name")
        tensors = {name.replace(_WRAPPER, ""): value for name, value in content.items()}
        return cls(directory=directory, files=[file], tensors=tensors)

    @property
    def dtype(self) -> torch.dtype:
        """The type of all tensors; float32, which loses nothing, if there are several."""
        kinds = {tensor.dtype for tensor in self.tensors.values()}
        return kinds.pop() if len(kinds) == 1 else torch.float32

    def check(self, plan: Plan) -> None:
        """Raises CheckpointError unless the plan accounts for every tensor and fits its shape."""
        wanted = {name: shape for rule in plan.rules.values() for name, shape in rule.sources}
        missing = [f"{name} {shape}" for name, shape in wanted.items() if name not in self.tensors]
        unknown = [
            f"{name} {tuple(tensor.shape)}"
            for name, tensor in self.tensors.items()
            if name not in wanted and plan.reason(name) is None
        ]
        wrong = [
            f"{name}: found {_kind(self.tensors[name])}, expected {shape} floating"
            for name, shape in wanted.items()
            if name in self.tensors
            and (
                tuple(self.tensors[name].shape) != shape
                or not self.tensors[name].is_floating_point()
            )
        ]
        misfits = told_misfits(missing, unknown, wrong)
        if misfits:
            raise CheckpointError(
                f"{self.directory / self.files[0]}: {misfits}; this is not the layout "
                "that its configuration describes"
            )


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """A checkpoint ready to be written; nothing large has been read yet."""

    kind: str
    weights: ForeignWeights
    plan: Plan
    config: ModelConfig
    tokenizer: InstructionTokenizer
    normaliser: Normaliser

    @property
    def left_out(self) -> dict[str, str]:
        """Their tensors that ours has no use for, with the reason."""
        used = {name for rule in self.plan.rules.values() for name, _ in rule.sources}
        reasons = {name: self.plan.reason(name) for name in set(self.weights.tensors) - used}
        return {name: reason for name, reason in sorted(reasons.items()) if reason is not None}

    def write(
        self,
        directory: Path,
        spec: RobotSpec,
        *,
        dtype: torch.dtype | None = None,
        shard_bytes: int = SHARD_BYTES,
    ) -> str:
        """Writes our checkpoint and returns its digest; see `write_checkpoint`.

        Args:
            dtype: to store; None: as in the source.
        """
        self.weights.check(self.plan)
        dtype = dtype or self.weights.dtype
        expected = network_outline(self.config).state_dict()
        assert set(expected) == set(self.plan.rules), sorted(set(expected) ^ set(self.plan.rules))
        return write_checkpoint(
            directory,
            config=self.config,
            weights=_Made(self.weights, self.plan, expected, dtype),
            outline={name: value.to(dtype) for name, value in expected.items()},
            tokenizer=self.tokenizer,
            normaliser=self.normaliser,
            spec=spec,
            metadata={
                "converted_from": self.kind,
                "source_sha256": directory_digest(self.weights.directory, self.weights.files),
                "left_out": sorted(set(self.left_out.values())),
            },
            shard_bytes=shard_bytes,
        )


class _Made(Mapping[str, Tensor]):
    """Our tensors, each made when it is asked for."""

    def __init__(
        self,
        weights: ForeignWeights,
        plan: Plan,
        expected: Mapping[str, Tensor],
        dtype: torch.dtype,
    ):
        self._weights, self._plan, self._expected, self._dtype = weights, plan, expected, dtype

    def __getitem__(self, name: str) -> Tensor:
        rule = self._plan.rules[name]
        made = rule.make(*(self._weights.tensors[source] for source, _ in rule.sources))
        assert made.shape == self._expected[name].shape, (name, made.shape)
        if not is_finite(made):
            sources = ", ".join(source for source, _ in rule.sources)
            raise CheckpointError(
                f"{self._weights.directory}: {sources}: has values that are not finite; copy the "
                "files again"
            )
        return made.to(self._dtype).contiguous()

    def __iter__(self) -> Iterator[str]:
        return iter(self._plan.rules)

    def __len__(self) -> int:
        return len(self._plan.rules)


class Fields:
    """Their configuration: read strictly where it matters, with the file in every error."""

    def __init__(self, path: Path, content: Any, where: str = ""):
        if not isinstance(content, Mapping):
            raise CheckpointError(
                f"{path}: {where.rstrip('.') or 'content'}: expected keys and values"
            )
        self._path, self._content, self._where = path, content, where

    def section(self, name: str) -> Fields:
        """A nested mapping."""
        return Fields(self._path, self.value(name), f"{self._where}{name}.")

    def value(self, name: str, *default: Any) -> Any:
        """A value; `default`, if given, is what their code assumes when the key is missing."""
        if name in self._content:
            return self._content[name]
        if default:
            return default[0]
        raise CheckpointError(f"{self._path}: {self._where}{name}: missing; cannot convert")

    def number(self, name: str) -> int:
        """A positive whole number."""
        value = self.value(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.refusal(name, value, "it has to be a positive whole number")
        return value

    def require(self, name: str, allowed: tuple[Any, ...], why: str, *default: Any) -> Any:
        """A value that has to be one of `allowed`, because of `why`."""
        value = self.value(name, *default)
        # 1 == True in Python, and a YAML list is no tuple.
        if not any(value == good and type(value) is type(good) for good in allowed):
            raise self.refusal(name, value, why)
        return value

    def refusal(self, name: str, value: Any, why: str) -> CheckpointError:
        """The error that says why a conversion would not be exact."""
        return CheckpointError(
            f"{self._path}: {self._where}{name}: {value!r}; {why}, so that the conversion would "
            "not be exact"
        )


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Sizes that contradict each other are the source's mistake, and `path` says them."""
    try:
        yield
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}; cannot convert") from error


def rows(start: int, stop: int) -> Callable[[Tensor], Tensor]:
    """A part of a fused tensor."""
    return lambda tensor: tensor[start:stop]


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
