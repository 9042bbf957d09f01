"""What a V file keeps, takes up again, and refuses."""

import numpy as np
import pytest

from a1_calibration.v_file import Account, VFile
from a1_core.errors import ThresholdsError


def bound(*names: str) -> dict:
    return {"metric": "l2", "bags": {name: f"digest of {name}" for name in names}}


def begun(path, *names: str) -> None:
    """A file in which every bag has a tick, the last one no account yet."""
    with VFile(path, bound(*names)) as file:
        for number in range(len(names)):
            accounts = [Account(bag=number, used=1, not_used={}, findings=("one",))]
            block = {"bag_N": np.array([number]), "x": np.array([10.0 * number])}
            file.append(block, accounts if number + 1 < len(names) else [])
        file.look("10 mm")


def test_it_is_written_by_one_at_a_time(tmp_path):
    path = tmp_path / "x.v"
    with (
        VFile(path, {"metric": "l2"}),
        pytest.raises(ThresholdsError, match="another calibration is writing it"),
    ):
        VFile(path, {"metric": "l2"})


def test_a_file_of_another_kind_is_left_alone(tmp_path):
    path = tmp_path / "x.v"
    path.write_text("a letter\nto somebody\n")
    with pytest.raises(ThresholdsError, match="holds no discrepancies"):
        VFile(path, {})
    assert path.read_text() == "a letter\nto somebody\n"
    path.write_text("A1 discrepancies 1\n{}\n")
    with pytest.raises(ThresholdsError, match="of another version; name another --v-file"):
        VFile(path, {})


def test_a_damaged_block_ends_what_is_read(tmp_path):
    path = tmp_path / "x.v"
    with VFile(path, {}) as file:
        for k in range(3):
            file.append({"x": np.array([k])}, [])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with VFile(path, {}) as file:
        assert [int(block["x"][0]) for block in file.blocks] == [0, 1]


def test_a_changed_or_missing_bag_is_named(tmp_path):
    path = tmp_path / "x.v"
    VFile(path, {"bags": {"run_1": "aa", "run_2": "bb"}}).close()
    with pytest.raises(ThresholdsError, match=r"bags\['run_2'\] is bb, but cc"):
        VFile(path, {"bags": {"run_1": "aa", "run_2": "cc", "run_3": "dd"}})
    with pytest.raises(ThresholdsError, match=r"bags\['run_1'\] is aa, but None"):
        VFile(path, {"bags": {"run_2": "bb", "run_3": "dd"}})
    VFile(path, {"bags": {}}, fresh=True).close()


def test_with_more_bags_what_is_known_keeps_its_bag(tmp_path):
    path = tmp_path / "x.v"
    begun(path, "a", "c", "d")
    names = ("a", "b", "c", "d", "e")
    with (
        VFile(path, bound(*names)) as file,
        pytest.raises(ThresholdsError, match="another calibration is writing it"),
    ):
        VFile(path, bound(*names))  # the lock went along to the file that was written anew
    for _ in range(2):  # renumbered once, then read as it stands
        with VFile(path, bound(*names)) as file:
            assert [int(block["bag_N"][0]) for block in file.blocks] == [0, 2, 3]
            assert [float(block["x"][0]) for block in file.blocks] == [0.0, 10.0, 20.0]
            assert [told.bag for told in file.accounts] == [0, 2]
            assert file.looks == ["10 mm"]
            assert list(tmp_path.iterdir()) == [path]
    renamed = {f"more/{name}": f"digest of {name}" for name in reversed(names)}
    with VFile(path, {"metric": "l2", "bags": renamed}) as file:
        assert [int(block["bag_N"][0]) for block in file.blocks] == [4, 2, 1]
    with pytest.raises(ThresholdsError, match="metric is l2, but max"):
        VFile(path, {"metric": "max", "bags": renamed})


def test_a_certificate_asked_for_twice_is_one_look(tmp_path):
    path = tmp_path / "x.v"
    begun(path, "a")
    with VFile(path, bound("a")) as file:
        file.look("10 mm")
        file.look("20 mm")
    with VFile(path, bound("a")) as file:
        assert file.looks == ["10 mm", "20 mm"]
