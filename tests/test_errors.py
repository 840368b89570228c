"""A user's mistake gets one sentence and exit code 2; a bug keeps its traceback."""

import pytest

from car_damage.errors import UserError, exit_code


def test_success_is_0_and_says_nothing(capsys):
    assert exit_code(lambda: None) == 0
    assert capsys.readouterr() == ("", "")


def test_a_user_s_mistake_is_2_and_one_line_on_stderr(capsys):
    def main() -> None:
        raise UserError("no folder data/raw: make it")

    assert exit_code(main) == 2
    assert capsys.readouterr() == ("", "error: no folder data/raw: make it\n")


def test_ctrl_c_is_130_and_no_traceback(capsys):
    def main() -> None:
        raise KeyboardInterrupt

    assert exit_code(main) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_a_bug_keeps_its_traceback():
    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exit_code(main)
