"""A user's mistake gives a short error and exit code 2; a bug keeps its traceback."""

import pytest

from car_damage.errors import UserError, exit_code


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (None, 0, ""),
        (UserError("no folder data/raw: make it"), 2, "error: no folder data/raw: make it\n"),
        (UserError("no \x1b[2Jcar.jpg"), 2, "error: no \\x1b[2Jcar.jpg\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
)
def test_a_script_ends_with_an_exit_code_and_at_most_one_line(error, code, said, capsys):
    def main() -> None:
        if error:
            raise error

    assert exit_code(main) == code
    assert capsys.readouterr() == ("", said)


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        exit_code(lambda: 1 / 0)
