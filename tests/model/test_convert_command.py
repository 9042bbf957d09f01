"""The command: a robot spec of the project, both sources, one line for a mistake."""

import json
from pathlib import Path

import published as pub
import pytest

from a1_core.spec import load_spec
from a1_model.checkpoint import load_checkpoint
from a1_training.convert_checkpoint import main

FRANKA = Path(__file__).parents[2] / "config/robots/franka.yaml"


@pytest.fixture
def convert(tmp_path):
    def run(kind, *options):
        paths = [str(tmp_path / kind), str(tmp_path / "ours")]
        return main([*paths, "--from", kind, "--robot", str(FRANKA), *options])

    return run


def test_molmo(convert, tmp_path, capsys):
    pub.write_molmo(tmp_path / "molmo", pub.molmo_tensors("model."))
    assert convert("molmo", "--dtype", "bfloat16", "--crops", "2") == 0
    said = capsys.readouterr().out
    assert "backbone: " in said and "left out: 2 tensors (norm and readout of the" in said
    config = json.loads((tmp_path / "ours/config.json").read_text())
    assert config["model"]["vision"]["connector"]["crops"] == 2
    assert [camera["name"] for camera in config["model"]["cameras"]] == ["front", "wrist"]
    assert config["robot"]["names"] == list(load_spec(FRANKA).action_names)


def test_a1(convert, tmp_path, monkeypatch):
    monkeypatch.setattr(pub, "ACTIONS", 32)
    monkeypatch.setattr(pub, "STATES", 32)
    tensors = pub.molmo_tensors("") | pub.flow_tensors()
    data = {"use_wrist_image": True}
    pub.write_a1(tmp_path / "a1", tensors, num_actions_chunk=16, data=data)
    options = ["--normalisation", "none", "--cameras", "own"]
    assert convert("a1", *options, "--exit-interval", "1") == 0
    loaded = load_checkpoint(tmp_path / "ours", load_spec(FRANKA))
    assert loaded.config.exits == (1, 2, 3)
    assert loaded.config.noise_dim == 32 and loaded.config.dim == 8


def test_a_mistake_is_one_line(convert, tmp_path, capsys):
    tensors = pub.molmo_tensors("") | pub.flow_tensors()
    pub.write_a1(tmp_path / "a1", tensors, num_actions_chunk=50)
    assert convert("a1") == 1
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert said.startswith("convert_checkpoint: ") and "num_actions_chunk: 50" in said
    assert not (tmp_path / "ours").exists()


def test_a_source_that_is_not_there(convert, capsys):
    assert convert("molmo") == 1
    assert "config.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value", "mend"),
    [
        ("--exit-interval", "0", "give a whole number of at least 1"),
        ("--shard-gb", "-1", "give a number above 0"),
        ("--shard-gb", "nan", "give a number above 0"),
    ],
)
def test_a_number_that_cannot_be_is_told_with_its_option(convert, capsys, option, value, mend):
    with pytest.raises(SystemExit) as left:
        convert("a1", option, value)
    said = capsys.readouterr().err
    assert left.value.code == 2 and f"argument {option}: {value}: {mend}" in said


def test_a_tokenizer_that_is_none(convert, tmp_path, capsys):
    pub.write_molmo(tmp_path / "molmo", pub.molmo_tensors("model."))
    (tmp_path / "molmo/tokenizer.json").write_text('{"model": {}}')
    assert convert("molmo") == 1
    said = capsys.readouterr().out
    assert "tokenizer.json: model.vocab: missing; give one of `tokenizers`" in said


def test_nothing_is_written_over_what_is_no_checkpoint(convert, tmp_path, capsys):
    pub.write_molmo(tmp_path / "molmo", pub.molmo_tensors("model."))
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/thesis.txt").write_text("years of work")
    assert convert("molmo") == 1
    assert f"{tmp_path / 'ours'}: is there and is no checkpoint" in capsys.readouterr().out
    assert (tmp_path / "ours/thesis.txt").read_text() == "years of work"
    (tmp_path / "ours/thesis.txt").unlink()
    assert convert("molmo") == 0
    assert convert("molmo") == 0  # a checkpoint is replaced
