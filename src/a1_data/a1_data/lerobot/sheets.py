"""Tables that go on from file to file, one row group an episode, as LeRobot writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from a1_data.lerobot.layout import TASKS, next_file

PANDAS = b"pandas"


class Sheets:
    """Parquet files by a template with `chunk_index` and `file_index`.

    Attributes:
        place: (chunk, file) that the next rows go to.
    """

    def __init__(self, folder: Path, template: str, file_mb: int) -> None:
        self._folder = folder
        self._template = template
        self._file_bytes = file_mb << 20
        self._writer: pq.ParquetWriter | None = None
        self.place = (0, 0)

    def turn(self) -> tuple[int, int]:
        """Begin the next file where the present one is full; the place of the rows to come."""
        if self._writer is not None and self._path.stat().st_size >= self._file_bytes:
            self.close()
            self.place = next_file(*self.place)
        return self.place

    def write(self, table: pa.Table) -> None:
        """Append one row group."""
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="snappy")
        self._writer.write_table(table)

    def close(self) -> None:
        """Close the file in hand."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def _path(self) -> Path:
        chunk, file = self.place
        return self._folder / self._template.format(chunk_index=chunk, file_index=file)


def write_tasks(folder: Path, tasks: Mapping[str, int]) -> None:
    """meta/tasks.parquet: numbers of tasks under the tasks as index, as pandas writes it."""
    table = pa.table(
        {"task_index": pa.array(tasks.values(), pa.int64()), "task": pa.array(tasks, pa.string())}
    )
    columns = [_pandas_column("task_index", "int64"), _pandas_column("task", "unicode", "object")]
    described = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": columns,
        "attributes": {},
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.3.3",
    }
    path = folder / TASKS
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({PANDAS: json.dumps(described).encode()}), path)


def _pandas_column(name: str, kind: str, numpy: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "field_name": name,
        "pandas_type": kind,
        "numpy_type": numpy or kind,
        "metadata": None,
    }
