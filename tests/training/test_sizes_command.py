"""The command tells what the page says, and of any checkpoint."""

import re

from a1_model.sizes import PRESETS, parameters_by_part
from a1_training.sizes import main


def numbers(said, name):
    """Of the row of that name."""
    (row,) = (line for line in said.splitlines() if re.match(rf"\W*{name}\W", line))
    return [float(number) for number in re.findall(r"\d+\.\d+", row)]


def test_the_sizes_of_the_page_beside_the_papers_figures(capsys):
    assert main([]) == 0
    said = capsys.readouterr().out
    weights = [sum(parameters_by_part(config).values()) / 1e6 for config in PRESETS.values()]
    assert numbers(said, "all") == [round(weight, 3) for weight in weights]
    assert numbers(said, "block") == [0.1038, 12.8723, 165.8407, 323.61]


def test_a_checkpoint_is_counted_as_it_is(root, capsys):
    assert main([str(root / "checkpoints/tiny"), "--prefix", "90"]) == 0
    said = capsys.readouterr().out
    assert "90 tokens" in said and 0.5 < numbers(said, "all")[0] < 10


def test_no_checkpoint(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")]) == 1
    assert "sizes: " in capsys.readouterr().out
