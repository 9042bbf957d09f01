"""Episodes of an evaluation on disk, one JSON line each, so that a run can be taken up again."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from a1_core.errors import A1Error
from a1_sim.records import EpisodeRecord


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One row of the table: what is asked, how deep the policy goes, and which clock."""

    task: str
    setting: str
    clock: str
    fixed_exit: int = 0  # block of setting `fixed`


class Ledger:
    """All episodes that were run with one checkpoint and one thresholds file."""

    def __init__(self, path: Path, binding: str, *, fresh: bool = False) -> None:
        """Open `path`; `binding` says what the episodes belong to. `fresh` starts anew.

        Raises A1Error when the file belongs to something else or is no ledger.
        """
        self._path = path
        self._binding = binding
        self._episodes: dict[Cell, dict[int, EpisodeRecord]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            path.unlink(missing_ok=True)
        if path.exists():
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                self._take(number, line)

    def _take(self, number: int, line: str) -> None:
        try:
            values = json.loads(line)
            binding, cell = values["binding"], Cell(**values["cell"])
            record = EpisodeRecord.from_json(values["episode"])
        except (ValueError, KeyError, TypeError) as error:
            raise A1Error(
                f"{self._path}, line {number}: not an episode of an evaluation ({error}); "
                "remove the file, or give --fresh"
            ) from None
        if binding != self._binding:
            raise A1Error(
                f"{self._path}: its episodes were run with another checkpoint, thresholds file "
                "or robot spec; give --fresh to start anew, or another --out"
            )
        self._episodes.setdefault(cell, {})[record.seed] = record

    def add(self, cell: Cell, record: EpisodeRecord) -> None:
        """Append one episode."""
        values = {"binding": self._binding, "cell": vars(cell), "episode": record.to_json()}
        with self._path.open("a") as out:
            out.write(json.dumps(values) + "\n")
        self._episodes.setdefault(cell, {})[record.seed] = record

    def has(self, cell: Cell, seed: int) -> bool:
        """Whether that layout was run in that cell."""
        return seed in self._episodes.get(cell, {})

    def cells(self) -> list[Cell]:
        """Cells with at least one episode, in the order they were begun."""
        return list(self._episodes)

    def records(self, cell: Cell) -> dict[int, EpisodeRecord]:
        """Episodes of a cell by seed."""
        return dict(self._episodes.get(cell, {}))


def digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the contents of files and of the files in folders, names included."""
    total = hashlib.sha256()
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            total.update(file.name.encode())
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()
