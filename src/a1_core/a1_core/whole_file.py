"""Files that are whole whenever somebody reads them, also after a kill in the middle of writing."""

from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write beside the place, then rename: a reader finds the old file or the new one.

    Folders are made as needed; text is UTF-8. Raises OSError where the file cannot be written; the
    old one is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
    unfinished.replace(path)
