"""Discrepancies on disk while they are computed, and afterwards: a kill loses one batch at most.

Format: a line of text, a line of JSON (what the content is bound to), then blocks, each its length
and CRC-32 (little endian, 8 and 4 bytes) and that many bytes of npz. Blocks are only ever added; a
last one that is cut off is dropped. With more bags than before the file is written anew, whole.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import ThresholdsError

NAME = b"A1 discrepancies "
MAGIC = NAME + b"2\n"
BAGS = "bags"
_PREFIX = struct.Struct("<QI")

Block = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Account:
    """What became of a bag that was read to its end; plain values."""

    bag: int
    used: int
    not_used: Mapping[str, int]
    findings: tuple[str, ...]


class VFile:
    """One file, open and locked; blocks that are in it, and more to come.

    Args:
        path: made anew where there is none.
        binding: what the content belongs to, as plain JSON values; under "bags" the digest of each
            by its name, in the order of their numbers. There may be more bags than when the file
            was begun, anywhere among the others, and names may change: the digests tell.
        fresh: forget what is there.

    Attributes:
        looks: what certificates were asked for of what is in it, each once.

    Raises ThresholdsError when the file is for something else, naming the first field; when it is
    no such file; or when another process writes it.
    """

    def __init__(self, path: Path, binding: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.path = path
        self.blocks: list[Block] = []
        self.accounts: list[Account] = []
        self.looks: list[str] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("r+b" if path.exists() else "w+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise ThresholdsError(
                f"{path}: another calibration is writing it; wait, or name another --v-file"
            ) from None
        try:
            self._begin(json.loads(json.dumps(binding)), fresh)
        except ThresholdsError:
            self._file.close()
            raise

    def _begin(self, binding: Mapping[str, Any], fresh: bool) -> None:
        header = MAGIC + json.dumps(binding).encode() + b"\n"
        first = self._file.readline()
        second = self._file.readline()
        whole = first == MAGIC and second.endswith(b"\n")
        if fresh or not first or (MAGIC.startswith(first) and not whole):
            self._file.seek(0)
            self._file.truncate()
            self._file.write(header)
            self._settle()
            return
        if first != MAGIC:
            what = "is of another version" if first.startswith(NAME) else "holds no discrepancies"
            raise ThresholdsError(f"{self.path}: {what}; name another --v-file, or give --fresh")
        found = json.loads(second)
        theirs, ours = (bound.get(BAGS, {}) for bound in (found, binding))
        numbers = {digest: number for number, digest in enumerate(ours.values())}
        if set(theirs.values()) <= set(numbers):
            same = theirs
        else:  # of those that the file knows, one is missing or has changed: it is to be named
            same = {name: digest for name, digest in ours.items() if name in theirs}
        check_binding(self.path, {BAGS: {}, **found}, {**binding, BAGS: same})
        self._read_blocks()
        if list(theirs.items()) != list(ours.items()):
            number_B = [numbers[digest] for digest in theirs.values()]
            self._renumber(header, np.array(number_B, np.int64))

    def _renumber(self, header: bytes, number_B: NDArray[np.int64]) -> None:
        """Write anew what was read, bag b being `number_B[b]` now; the lock goes with it."""
        accounts = [replace(told, bag=int(number_B[told.bag])) for told in self.accounts]
        blocks = [block | {"bag_N": number_B[block["bag_N"]]} for block in self.blocks]
        looks, path = self.looks, self.path.with_name(f".{self.path.name}.unfinished")
        before, self._file = self._file, path.open("w+b")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.blocks, self.accounts, self.looks = [], [], []
        self._file.write(header)
        for block in blocks:
            self.append(block, [])
        self._write({}, accounts, looks)
        path.replace(self.path)
        before.close()

    def _read_blocks(self) -> None:
        end = self._file.tell()
        size = os.fstat(self._file.fileno()).st_size
        while end + _PREFIX.size <= size:
            length, checksum = _PREFIX.unpack(self._file.read(_PREFIX.size))
            if end + _PREFIX.size + length > size:
                break
            data = self._file.read(length)
            if zlib.crc32(data) != checksum:
                break
            self._take(data)
            end = self._file.tell()
        self._file.seek(end)
        self._file.truncate()

    def _take(self, data: bytes) -> None:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            block = {name: arrays[name] for name in arrays.files}
        for account in json.loads(block.pop("accounts").tobytes()):
            self.accounts.append(Account(**{**account, "findings": tuple(account["findings"])}))
        self.looks += json.loads(block.pop("looks").tobytes())
        if block:
            self.blocks.append(block)

    def append(self, block: Block, accounts: list[Account]) -> None:
        """Add arrays of one batch, and accounts of the bags that ended with it."""
        self._write(block, accounts, [])

    def look(self, asked: str) -> None:
        """Remember that a certificate was asked for."""
        if asked not in self.looks:
            self._write({}, [], [asked])

    def _write(self, block: Block, accounts: list[Account], looks: list[str]) -> None:
        told = [vars(account) for account in accounts]
        arrays: dict[str, Any] = {**block, "accounts": _text(told), "looks": _text(looks)}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        data = buffer.getvalue()
        self._file.write(_PREFIX.pack(len(data), zlib.crc32(data)) + data)
        self._settle()
        if block:
            self.blocks.append(block)
        self.accounts += accounts
        self.looks += looks

    def close(self) -> None:
        """Close and unlock."""
        self._file.close()

    def __enter__(self) -> VFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settle(self) -> None:
        self._file.flush()  # safe from a kill; a power cut may cost what the system holds back


def _text(values: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(values).encode(), np.uint8)


def check_binding(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ThresholdsError naming the first field in which a file is for something else."""
    for key in (*wanted, *(key for key in found if key not in wanted)):
        ours, theirs = wanted.get(key), found.get(key)
        if ours == theirs:
            continue
        if isinstance(ours, dict) and isinstance(theirs, dict):
            key, ours, theirs = next(
                (f"{key}['{name}']", ours.get(name), theirs.get(name))
                for name in sorted({*ours, *theirs})
                if ours.get(name) != theirs.get(name)
            )
        raise ThresholdsError(
            f"{path}: {key} is {theirs}, but {ours} is asked for; --fresh computes it anew, "
            "--v-file keeps it and names another"
        )
