"""The user's mistakes: one sentence and exit code 2. Bugs keep their traceback and exit code 1."""

import io
import os
import sys
from collections.abc import Callable

from car_damage.wording import printable


class UserError(Exception):
    """Something only the user can put right; the text names the thing and the way out."""


def exit_code(main: Callable[[], None]) -> int:
    """Run a script's `main` and return its exit code: 0, 2 for a `UserError`, 130 for Ctrl-C.

    What it prints appears line by line, also where no terminal shows it.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    try:
        main()
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0
