"""A bag on disk: its data files in order, its metadata, its digest."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any, Literal

import yaml
import zstandard

from a1_core.errors import BagError
from a1_data.findings import Damaged, Findings

METADATA = "metadata.yaml"
STORAGES: Mapping[str, Literal["mcap", "sqlite3"]] = {".mcap": "mcap", ".db3": "sqlite3"}
BLOCK = 1 << 20
_NAME = re.compile(
    r"(?P<stem>.+?)(?:_(?P<number>\d+))?(?P<suffix>\.mcap|\.db3)"
    r"(?P<packed>\.(?:zstd|zst|lz4|gz|bz2|xz))?"
)
_ZSTD = (".zstd", ".zst")
_LEFT_BY_SQLITE = ("-wal", "-journal")


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One data file. `packed`: it is compressed as a whole, with zstd."""

    path: Path
    storage: Literal["mcap", "sqlite3"]
    packed: bool


@dataclass(frozen=True, kw_only=True)
class BagFiles:
    """One bag.

    Attributes:
        path: its folder, or its file where it is a single one.
        files: its data files, in the order in which they were written.
        custom: custom_data of its metadata.yaml; empty without one.
        findings: what is wrong so far.
    """

    path: Path
    files: tuple[DataFile, ...]
    custom: Mapping[str, str]
    findings: Findings

    @property
    def size(self) -> int:
        """Bytes of all data files."""
        return sum(file.path.stat().st_size for file in self.files)

    def digest(self) -> str:
        """SHA-256 (hex) of the data files' bytes one after the other, as `cat FILES | sha256sum`.

        Raises BagError when a file cannot be read.
        """
        total = hashlib.sha256()
        for file in self.files:
            try:
                with file.path.open("rb") as stream:
                    while block := stream.read(BLOCK):
                        total.update(block)
            except OSError as error:
                raise BagError(f"{file.path}: cannot be read: {error.strerror}") from None
        return total.hexdigest()


def find_bags(path: Path) -> list[BagFiles]:
    """All bags at or below a path: a data file, a bag's folder, or folders that hold bags.

    A folder with metadata.yaml is one bag. In a folder without, files that differ only in the
    number at the end of their names (bag_0.mcap, bag_1.mcap) are one bag.

    Raises BagError when there is none, or when a bag's compression cannot be read.
    """
    if path.is_file():
        return [_bag_of(path, [_data_file(path)], Findings(), {})]
    if not path.is_dir():
        raise BagError(f"{path}: no such file or folder; give a bag or a folder of bags")
    bags: list[BagFiles] = []
    for folder, below, names in os.walk(path):
        below.sort()
        bags += _bags_in(Path(folder), sorted(names))
    if not bags:
        wanted = ", ".join(f"*{suffix}" for suffix in STORAGES)
        raise BagError(f"{path}: no bag at or below it; looked for {METADATA} and {wanted}")
    return bags


def _bags_in(folder: Path, names: Sequence[str]) -> list[BagFiles]:
    found = [name for name in names if _NAME.fullmatch(name)]
    if METADATA in names:
        bag = _listed(folder, found)
        return [bag] if bag.files or bag.findings else []
    groups: dict[tuple[str, str], list[str]] = {}
    for name in found:
        match = _NAME.fullmatch(name)
        assert match is not None
        groups.setdefault((match["stem"], match["suffix"]), []).append(name)
    return [_unlisted(folder, group, alone=len(groups) == 1) for group in groups.values()]


def _unlisted(folder: Path, names: Sequence[str], *, alone: bool) -> BagFiles:
    """A bag without metadata.yaml, as a recorder leaves it that was killed."""
    files = [_data_file(folder / name) for name in _in_order(names)]
    path = folder if alone else files[0].path
    findings = Findings()
    findings.add(
        "METADATA_MISSING",
        str(path),
        f"no {METADATA}; {len(files)} data files are read in the order of their numbers",
        f"ros2 bag reindex {folder} writes it anew",
    )
    return _bag_of(path, files, findings, {})


def _listed(folder: Path, found: Sequence[str]) -> BagFiles:
    """A bag as its metadata.yaml lists it."""
    findings = Findings()
    information = _information(folder, findings)
    if not information:
        # Another program's metadata.yaml makes no bag of a folder without data.
        findings = findings if found else Findings()
        files = [_data_file(folder / name) for name in _in_order(found)]
        return _bag_of(folder, files, findings, {})
    _check_compression(folder, information)
    listed = [PurePath(str(name)).name for name in information["relative_file_paths"]]
    files = []
    for name in listed:
        if (folder / name).is_file():
            files.append(_data_file(folder / name))
        else:
            findings.add(
                "FILE_MISSING",
                str(folder / name),
                f"{METADATA} lists it, it is not there",
                "copy the bag again, with all its files; the others are read",
            )
    for name in sorted(set(found) - set(listed)):
        findings.add(
            "FILE_NOT_LISTED",
            str(folder / name),
            f"{METADATA} does not list it, so it is left out",
            f"ros2 bag reindex {folder} if it belongs to the bag",
        )
    custom = information.get("custom_data") or {}
    return _bag_of(folder, files, findings, {str(k): str(v) for k, v in custom.items()})


def _information(folder: Path, findings: Findings) -> Mapping[str, Any]:
    """What metadata.yaml says; empty, with a finding, when it cannot be used."""
    path = folder / METADATA
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        information = content["rosbag2_bagfile_information"]
        if isinstance(information["relative_file_paths"], list):
            return dict(information)
        reason = "relative_file_paths is no list"
    except KeyError as error:
        reason = f"key {error} is missing"
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
        reason = " ".join(str(error).split())
    findings.add(
        "METADATA_MISSING",
        str(path),
        f"cannot be used ({reason}); data files are read in the order of their numbers",
        f"ros2 bag reindex {folder} writes it anew",
    )
    return {}


def _check_compression(folder: Path, information: Mapping[str, Any]) -> None:
    kind = str(information.get("compression_format") or "")
    if kind not in ("", "zstd"):
        raise BagError(
            f"{folder / METADATA}: compression_format '{kind}' cannot be read, only zstd can; "
            "convert it where that compression is installed: ros2 bag convert"
        )


def _bag_of(
    path: Path, files: Sequence[DataFile], findings: Findings, custom: Mapping[str, str]
) -> BagFiles:
    for file in files:
        for left in _LEFT_BY_SQLITE:
            beside = file.path.with_name(file.path.name + left)
            if beside.is_file() and beside.stat().st_size:
                findings.add(
                    "WRITE_AHEAD_LOG",
                    str(beside),
                    "the recorder was killed and left messages here, which are not read",
                    f"take them in, on a copy: sqlite3 {file.path} 'PRAGMA wal_checkpoint'",
                )
    return BagFiles(path=path, files=tuple(files), custom=custom, findings=findings)


def _data_file(path: Path) -> DataFile:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise BagError(f"{path}: no data file of a bag; its name must end in .mcap or .db3")
    packed = match["packed"] or ""
    if packed and packed not in _ZSTD:
        raise BagError(
            f"{path}: compression '{packed[1:]}' cannot be read, only zstd can; unpack the file, "
            "or convert the bag where that compression is installed: ros2 bag convert"
        )
    return DataFile(path=path, storage=STORAGES[match["suffix"]], packed=bool(packed))


def _in_order(names: Sequence[str]) -> list[str]:
    """bag_2 before bag_10."""

    def key(name: str) -> tuple[str, int]:
        match = _NAME.fullmatch(name)
        assert match is not None
        return match["stem"], int(match["number"] or 0)

    return sorted(names, key=key)


@contextmanager
def unpacked(file: DataFile, damaged: Damaged) -> Iterator[Path]:
    """The file as storages read it; a packed one is unpacked to a temporary folder meanwhile.

    Raises BagError when the file cannot be read or that folder is full.
    """
    try:
        file.path.open("rb").close()
    except OSError as error:
        raise BagError(f"{file.path}: cannot be read: {error.strerror}") from None
    if not file.packed:
        yield file.path
        return
    with TemporaryDirectory(prefix="a1_bag_") as folder:
        plain = Path(folder) / file.path.stem
        try:
            with (
                file.path.open("rb") as packed,
                zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as data,
                plain.open("wb") as out,
            ):
                while block := data.read(BLOCK):
                    out.write(block)
        except zstandard.ZstdError as error:
            damaged(f"its zstd compression is damaged ({error})")
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise BagError(
                f"{file.path}: no space in {folder} to unpack it; free some, or set TMPDIR"
            ) from None
        yield plain
