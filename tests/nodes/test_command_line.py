"""How commands end."""

import io

import pytest
from rich.console import Console

from a1_core.errors import BagError
from a1_ros.command_line import ends_in_one_line


def ended_by(what: BaseException) -> tuple[object, str]:
    """Exit status and what was printed of a command whose work raises `what`."""
    out = io.StringIO()

    def command() -> None:
        with ends_in_one_line("mine", Console(file=out, width=40), left="nothing was written"):
            raise what

    with pytest.raises(SystemExit) as ended:
        command()
    return ended.value.code, out.getvalue()


@pytest.mark.parametrize(
    ("what", "status", "told"),
    [
        (BagError("bags/[old]: holds no bag; " + "x" * 40), 1, "mine: bags/[old]: holds no bag;"),
        (PermissionError(13, "Permission denied", "out"), 1, "Permission denied"),
        (KeyboardInterrupt(), 130, "mine: interrupted; nothing was written"),
        (SystemExit(3), 3, ""),
    ],
)
def test_it_is_one_line_and_a_status(what, status, told):
    code, printed = ended_by(what)
    assert code == status
    assert told in printed
    assert printed.count("\n") == bool(told)


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), ends_in_one_line("mine", Console(file=io.StringIO())):
        raise ZeroDivisionError
