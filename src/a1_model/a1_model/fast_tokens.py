"""Chunks as short sentences of action tokens (FAST, Pertsch et al., 2025): DCT, rounding, BPE.

A chunk's dimensions are each turned into cosines over its rows, scaled and rounded; the numbers
stand in the order of their frequency, lowest first, and byte-pair encoding joins what often comes
together. The tokens are a target to learn from; no policy acts by them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch import Tensor

from a1_core.errors import A1Error

END = "<end>"
# A whole number is written as one character of this block on: assigned, and never normalised.
_FIRST = 0x4E00
_MOST = 0x4000


@dataclass(frozen=True, kw_only=True)
class FastTokenizer:
    """To be made by `fit` or `from_json`.

    Attributes:
        tokenizer: BPE over one character a number; its token 0 ends every sentence.
        horizon, dim: H, D of the chunks.
        scale: cosine coefficients are multiplied by it before they are rounded.
        low, high: the whole numbers it knows; others become the nearest of them.
    """

    tokenizer: Tokenizer
    horizon: int
    dim: int
    scale: float
    low: int
    high: int

    @classmethod
    def fit(
        cls, actions_NHD: NDArray[np.floating], *, vocab: int = 512, scale: float = 10.0
    ) -> FastTokenizer:
        """Learns from normalised chunks which numbers there are and which come together.

        Raises:
            A1Error: there is no chunk, one is not finite, or `vocab` does not hold all numbers.
        """
        actions_NHD = np.asarray(actions_NHD, np.float64)
        if actions_NHD.ndim != 3 or not len(actions_NHD) or not np.isfinite(actions_NHD).all():
            raise A1Error(
                f"action tokens: chunks of shape {actions_NHD.shape}; give at least one [H, D], "
                "all finite"
            )
        numbers_NM = _numbers(actions_NHD, scale)
        low, high = int(numbers_NM.min()), int(numbers_NM.max())
        count = high - low + 1
        if count + 1 > min(vocab, _MOST):
            raise A1Error(
                f"action tokens: vocab is {vocab}, but at scale {scale} there are {count} numbers "
                f"({low} to {high}) and an end; raise vocab, lower scale, or look for outliers"
            )
        tokenizer = Tokenizer(BPE())
        trainer = BpeTrainer(
            vocab_size=vocab,
            special_tokens=[END],
            initial_alphabet=[chr(_FIRST + number) for number in range(count)],
            show_progress=False,
        )
        tokenizer.train_from_iterator(_sentences(numbers_NM - low), trainer)
        horizon, dim = actions_NHD.shape[1:]
        return cls(tokenizer=tokenizer, horizon=horizon, dim=dim, scale=scale, low=low, high=high)

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return self.tokenizer.get_vocab_size()

    def encode(self, actions_NHD: NDArray[np.floating]) -> tuple[Tensor, Tensor]:
        """Normalised chunks -> ids int64 [N, A] and mask bool [N, A]; A is the longest sentence."""
        numbers_NM = _numbers(actions_NHD, self.scale).clip(self.low, self.high) - self.low
        rows = [[*row.ids, 0] for row in self.tokenizer.encode_batch(_sentences(numbers_NM))]
        lengths_N = torch.tensor([len(row) for row in rows])
        width = int(lengths_N.max())
        ids_NA = torch.zeros(len(rows), width, dtype=torch.int64)
        for ids, row in zip(ids_NA, rows, strict=True):
            ids[: len(row)] = torch.tensor(row)
        return ids_NA, torch.arange(width) < lengths_N[:, None]

    def decode(self, ids: list[int]) -> NDArray[np.float64]:
        """The chunk [H, D] that a sentence says; what is missing is 0, what is too much is cut."""
        names = [self.tokenizer.id_to_token(token) or "" for token in ids[: _end(ids)]]
        said = np.array([ord(letter) - _FIRST + self.low for letter in "".join(names)])
        numbers_M = np.zeros(self.horizon * self.dim)
        count = min(len(said), len(numbers_M))
        numbers_M[:count] = said[:count]
        cosines_HD = numbers_M.reshape(self.horizon, self.dim) / self.scale
        return fft.idct(cosines_HD, axis=0, norm="ortho")

    def to_json(self) -> str:
        """Everything `from_json` needs."""
        sizes = {name: getattr(self, name) for name in ("horizon", "dim", "scale", "low", "high")}
        return json.dumps(sizes | {"tokenizer": json.loads(self.tokenizer.to_str())})

    @classmethod
    def from_json(cls, text: str) -> FastTokenizer:
        """The inverse of `to_json`.

        Raises:
            A1Error: it is no such text.
        """
        try:
            content = json.loads(text)
            tokenizer = Tokenizer.from_str(json.dumps(content.pop("tokenizer")))
            return cls(tokenizer=tokenizer, **content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise A1Error(f"action tokens: cannot be read ({error}); copy them again") from error


def _numbers(actions_NHD: NDArray[np.floating], scale: float) -> NDArray[np.int64]:
    """Rounded cosine coefficients [N, H * D], frequency by frequency."""
    cosines_NHD = fft.dct(np.asarray(actions_NHD, np.float64), axis=1, norm="ortho")
    return np.rint(scale * cosines_NHD).astype(np.int64).reshape(len(cosines_NHD), -1)


def _sentences(numbers_NM: NDArray[np.int64]) -> list[str]:
    return ["".join(chr(_FIRST + number) for number in row) for row in numbers_NM.tolist()]


def _end(ids: list[int]) -> int:
    return ids.index(0) if 0 in ids else len(ids)
