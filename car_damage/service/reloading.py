"""Try a reload (SIGHUP) in a separate process before gunicorn replaces its workers."""

import io
import os
import select
import signal
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from pathlib import Path
from typing import Any, NoReturn

from car_damage import model_store, paths, predictor
from car_damage.errors import UserError
from car_damage.service import settings
from car_damage.service.classify import Job, classify
from car_damage.service.queue import BLANK

TIME_LIMIT = 60  # seconds to load a version and answer a photo
STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
LONGEST_ANSWER = 4096  # bytes; a pipe always has room for them
Server = Any  # gunicorn's Arbiter, whose types do not allow our changes

_tried: list[str] = []  # the version of the current reload


class RefusedError(Exception):
    """The reload must stop; the text is a clause with the reason."""


def version_to_serve(models: Path) -> str | None:
    """Return the version for new workers: the one that a reload has tried, or the current one."""
    return _tried.pop() if _tried else model_store.current(models)


def guard(server: Server) -> None:
    """Make gunicorn's main process try each reload before it replaces workers."""
    read_configuration, reload = server.app.reload, server.reload

    def read_or_refuse() -> None:
        said = io.StringIO()
        try:
            with redirect_stderr(said):
                read_configuration()
        except SystemExit as error:  # otherwise gunicorn ends the whole service
            server.app.cfg = server.cfg
            raise RefusedError(_last_line(said.getvalue())) from error

    def reload_if_it_works() -> None:
        try:
            _tried[:] = [_try_apart(server)]
            reload()
        except (RefusedError, OSError) as error:  # OSError: no memory for another process
            server.log.error("the reload was refused, the old workers keep running: %s", error)
        finally:
            _tried.clear()

    server.app.reload, server.reload = read_or_refuse, reload_if_it_works


def _last_line(text: str) -> str:
    """Return the error of an invalid configuration, without its traceback."""
    lines = text.strip().splitlines() or ["it ended without a message"]
    return "the configuration cannot be read: " + lines[-1].removeprefix("error: ")


def _try_apart(server: Server) -> str:
    """Try a reload in a separate process and return its version. Raises `RefusedError`."""
    answer, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        _answer(end, lambda: _try(server))
    os.close(end)
    try:
        _wait(server, answer, pid)
        said = os.read(answer, LONGEST_ANSWER).decode("utf-8", "replace")
    finally:
        os.close(answer)
    status = 0
    with suppress(ChildProcessError):  # gunicorn has already read its exit status
        status = os.waitpid(pid, 0)[1]
    if said.startswith("+"):
        return said[1:]
    raise RefusedError(said[1:] or _how_it_ended(status))


def _wait(server: Server, answer: int, pid: int) -> None:
    """Wait until the process has answered or ended. Do gunicorn's work in the meantime."""
    signals: list[int] = []
    try:
        while not select.select([answer], [], [], 0)[0]:
            signals += server.wait_for_signals(timeout=0.2)
            if STOPS.intersection(signals):
                os.kill(pid, signal.SIGKILL)
                raise RefusedError("the service is stopping")
            if not select.select([answer], [], [], 0)[0]:
                server.reap_workers()
                server.murder_workers()
                server.manage_workers()
    finally:
        for each in signals:
            server.SIG_QUEUE.put_nowait(each)


def _answer(end: int, work: Callable[[], str]) -> NoReturn:
    """Do the work, write "+" and its text or "-" and the error, and end this process."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(TIME_LIMIT)  # the system then ends this process, even if it hangs
    try:
        said = "+" + work()
    except (UserError, RefusedError) as error:
        said = f"-{error}"
    except BaseException as error:
        said = f"-{type(error).__name__}: {error}"
    os.write(end, said.encode("utf-8", "replace")[:LONGEST_ANSWER])
    os._exit(0)  # skips the main process's exit handlers


def _try(server: Server) -> str:
    """Do the same as a reload and a worker, up to the first answer. Return the version."""
    for listener in server.LISTENERS:
        listener.close()
    version = model_store.current(paths.MODELS)
    server.app.reload()
    server.setup(server.app)
    loaded = predictor.load(paths.MODELS, version, settings.chosen().graph_threads)
    classify(loaded, Job(io.BytesIO(BLANK)))
    return loaded.record.version


def _how_it_ended(status: int) -> str:
    """Return the reason for a missing answer, from the process's exit status."""
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return f"the model did not classify a photo within {TIME_LIMIT} seconds"
    how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "an error"
    return f"the process that tried the model was ended by {how}"
