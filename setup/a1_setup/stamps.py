"""A stage is done when the digest of its inputs is the one noted at its last success."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

_IGNORED = {"__pycache__", ".pytest_cache", ".mypy_cache"}


class Stamps:
    """Digests by stage, one small file each in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def holds(self, stage: str, digest: str) -> bool:
        path = self._folder / stage
        return path.is_file() and path.read_text(encoding="utf-8") == digest

    def note(self, stage: str, digest: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / stage).write_text(digest, encoding="utf-8")


def digest_of(*parts: str | Path) -> str:
    """SHA-256 over texts, files and whole folders (names and contents, caches left out)."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(part.encode() + b"\0")
            continue
        for path in _files(part):
            total.update(str(path.relative_to(part.parent)).encode() + b"\0")
            total.update(path.read_bytes() + b"\0")
    return total.hexdigest()


def _files(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and not _IGNORED.intersection(p.parts))
