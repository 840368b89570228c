"""Errors of the user: a short message and exit code 2. Bugs keep their traceback, exit code 1."""

import io
import os
import sys
from collections.abc import Callable

from car_damage.wording import printable


class UserError(Exception):
    """A mistake only the user can fix; the message names the cause and the fix."""


def exit_code(main: Callable[[], None]) -> int:
    """Run a script's `main` and return its exit code: 0, 2 for a `UserError`, 130 for Ctrl-C.

    Output appears line by line, even if it goes to a file or a pipe.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    try:
        main()
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of the output, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0
