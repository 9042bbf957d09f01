"""Discrepancies on disk while they are computed, and afterwards: a kill loses one batch at most.

Format: a line of text, a line of JSON (what the content is bound to), then blocks, each its length
and CRC-32 (little endian, 8 and 4 bytes) and that many bytes of npz. Blocks are only ever added; a
last one that is cut off is dropped.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import ThresholdsError

MAGIC = b"A1 discrepancies 1\n"
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
        binding: what the content belongs to, as plain JSON values.
        fresh: forget what is there.

    Raises ThresholdsError when the file is for something else, naming the first field; when it is
    no such file; or when another process writes it.
    """

    def __init__(self, path: Path, binding: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.path = path
        self.blocks: list[Block] = []
        self.accounts: list[Account] = []
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
        header = MAGIC + json.dumps(binding, sort_keys=True).encode() + b"\n"
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
            raise ThresholdsError(f"{self.path}: holds no discrepancies; name another --v-file")
        check_binding(self.path, json.loads(second), binding)
        self._read_blocks()

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
        if block:
            self.blocks.append(block)

    def append(self, block: Block, accounts: list[Account]) -> None:
        """Add arrays of one batch, and accounts of the bags that ended with it."""
        told = json.dumps([vars(account) for account in accounts]).encode()
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {"accounts": np.frombuffer(told, np.uint8), **block}
        np.savez(buffer, **arrays)
        data = buffer.getvalue()
        self._file.write(_PREFIX.pack(len(data), zlib.crc32(data)) + data)
        self._settle()
        if block:
            self.blocks.append(block)
        self.accounts += accounts

    def close(self) -> None:
        """Close and unlock."""
        self._file.close()

    def __enter__(self) -> VFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settle(self) -> None:
        self._file.flush()  # safe from a kill; a power cut may cost what the system holds back


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
