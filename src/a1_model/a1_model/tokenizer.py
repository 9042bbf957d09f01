"""Instruction text to token ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor

PAD, UNKNOWN, END = "<pad>", "<unk>", "<end>"


class InstructionTokenizer:
    """Any `tokenizers` tokenizer that has the tokens <pad> and <end>.

    Every text ends with <end>: the last token, which has seen all others, is the same
    whatever the words are. Padding is on the right.
    """

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        pad, end = tokenizer.token_to_id(PAD), tokenizer.token_to_id(END)
        if pad is None or end is None:
            raise ValueError(f"tokenizer: has no {PAD} or no {END} token")
        self._pad, self._end = pad, end

    @classmethod
    def from_words(cls, words: Iterable[str]) -> InstructionTokenizer:
        """One token a word; words are sorted, so their order does not matter."""
        known = [PAD, UNKNOWN, END, *sorted({word.lower() for word in words})]
        model = WordLevel({word: i for i, word in enumerate(known)}, unk_token=UNKNOWN)
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = Lowercase()
        tokenizer.pre_tokenizer = Whitespace()
        return cls(tokenizer)

    @classmethod
    def from_json(cls, text: str) -> InstructionTokenizer:
        """The inverse of `to_json`."""
        return cls(Tokenizer.from_str(text))

    def to_json(self) -> str:
        """The tokenizer's own JSON."""
        return self._tokenizer.to_str(pretty=True)

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[str], length: int | None = None) -> tuple[Tensor, Tensor]:
        """Ids int64 [B, T] and mask bool [B, T]; T is the longest text or `length`."""
        rows = [[*self._tokenizer.encode(text).ids, self._end] for text in texts]
        width = max(map(len, rows)) if length is None else length
        ids_BT = torch.full((len(rows), width), self._pad, dtype=torch.int64)
        for row, ids in zip(ids_BT, rows, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        lengths_B = torch.tensor([len(row) for row in rows])
        return ids_BT, torch.arange(width)[None] < lengths_B[:, None]
