"""Files that are replaced as a whole."""

import pytest

from a1_core.whole_file import write_whole


def test_text_and_bytes_are_written_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new folder" / "report.md"
    write_whole(path, "10 µm\n")
    assert path.read_bytes() == "10 µm\n".encode()
    write_whole(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "thresholds.yaml"
    write_whole(path, "old")
    monkeypatch.setattr(type(path), "replace", lambda self, target: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_whole(path, "new")
    assert path.read_text() == "old"


def test_a_folder_that_is_a_file_is_an_error_of_the_system(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        write_whole(tmp_path / "file" / "report.md", "")
