"""Instruction text to token ids."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor

PAD, UNKNOWN, END = "<pad>", "<unk>", "<end>"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a vision-language model was trained to read around an instruction.

    Attributes:
        before, after: joined with the instruction before it is cut into tokens.
        answer: cut into tokens by itself.
    """

    before: str
    after: str
    answer: str


class InstructionTokenizer:
    """Any `tokenizers` tokenizer that has the tokens <pad> and <end>, or one with a prompt.

    Every text ends with <end>: the last token, which has seen all others, is the same
    whatever the words are. With a prompt, the prompt's end takes its place. Padding is on the
    right.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Prompt | None = None):
        self._tokenizer = tokenizer
        self._prompt = prompt
        self._pad, self._last = 0, list[int]()
        if prompt is not None:
            self._last = self._ids(prompt.answer)
            return
        pad, end = tokenizer.token_to_id(PAD), tokenizer.token_to_id(END)
        if pad is None or end is None:
            raise ValueError(f"tokenizer: has no {PAD} or no {END} token")
        self._pad, self._last = pad, [end]

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
        content = json.loads(text)
        if "prompt" not in content:
            return cls(Tokenizer.from_str(text))
        tokenizer = Tokenizer.from_str(json.dumps(content["tokenizer"]))
        return cls(tokenizer, Prompt(**content["prompt"]))

    def to_json(self) -> str:
        """The tokenizer's own JSON; with a prompt, `{"prompt": ..., "tokenizer": that}`."""
        if self._prompt is None:
            return self._tokenizer.to_str(pretty=True)
        tokenizer = json.loads(self._tokenizer.to_str())
        return json.dumps({"prompt": dataclasses.asdict(self._prompt), "tokenizer": tokenizer})

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[str], length: int | None = None) -> tuple[Tensor, Tensor]:
        """Ids int64 [B, T] and mask bool [B, T]; T is the longest text or `length`."""
        rows = [[*self._text_ids(text), *self._last] for text in texts]
        width = max(map(len, rows)) if length is None else length
        ids_BT = torch.full((len(rows), width), self._pad, dtype=torch.int64)
        for row, ids in zip(ids_BT, rows, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        lengths_B = torch.tensor([len(row) for row in rows])
        return ids_BT, torch.arange(width)[None] < lengths_B[:, None]

    def _text_ids(self, text: str) -> list[int]:
        if self._prompt is None:
            return self._tokenizer.encode(text).ids
        return self._ids(self._prompt.before + text + self._prompt.after)

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids
