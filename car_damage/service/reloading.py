"""A reload (SIGHUP) replaces workers only after another process has tried what they will do."""

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
LONGEST_ANSWER = 4096  # bytes, which a pipe always has room for
Server = Any  # gunicorn's Arbiter, which is changed here as its types do not allow

_tried: list[str] = []  # the version of the reload that is under way


class RefusedError(Exception):
    """The reload must not go on; the text is a clause that says why."""


def version_to_serve(models: Path) -> str | None:
    """The version for workers: the one that a reload has just tried, or else the current one."""
    return _tried.pop() if _tried else model_store.current(models)


def guard(server: Server) -> None:
    """Have gunicorn's first process try each reload before any worker goes."""
    read_configuration, reload = server.app.reload, server.reload

    def read_or_refuse() -> None:
        said = io.StringIO()
        try:
            with redirect_stderr(said):
                read_configuration()
        except SystemExit as error:  # gunicorn would end the whole service
            server.app.cfg = server.cfg
            raise RefusedError(_last_line(said.getvalue())) from error

    def reload_if_it_works() -> None:
        try:
            _tried[:] = [_try_apart(server)]
            reload()
        except (RefusedError, OSError) as error:  # as without memory for another process
            server.log.error("the reload was refused and the old workers go on: %s", error)
        finally:
            _tried.clear()

    server.app.reload, server.reload = read_or_refuse, reload_if_it_works


def _last_line(text: str) -> str:
    """What a configuration that cannot be read had to say, without its traceback."""
    lines = text.strip().splitlines() or ["it ended without a word"]
    return "the configuration cannot be read: " + lines[-1].removeprefix("error: ")


def _try_apart(server: Server) -> str:
    """Try a reload in a process of its own; return its version. Raises `RefusedError`."""
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
    with suppress(ChildProcessError):  # gunicorn was quicker to ask how it ended
        status = os.waitpid(pid, 0)[1]
    if said.startswith("+"):
        return said[1:]
    raise RefusedError(said[1:] or _how_it_ended(status))


def _wait(server: Server, answer: int, pid: int) -> None:
    """Wait until the process has answered or ended, and do gunicorn's work meanwhile."""
    signals: list[int] = []
    try:
        while not select.select([answer], [], [], 0)[0]:
            signals += server.wait_for_signals(timeout=0.2)
            if STOPS.intersection(signals):
                os.kill(pid, signal.SIGKILL)
                raise RefusedError("the service stops")
            if not select.select([answer], [], [], 0)[0]:
                server.reap_workers()
                server.murder_workers()
                server.manage_workers()
    finally:
        for each in signals:
            server.SIG_QUEUE.put_nowait(each)


def _answer(end: int, work: Callable[[], str]) -> NoReturn:
    """End this process after it has said what came of its work: + and a text, or - and why not."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(TIME_LIMIT)  # the system ends it then, wherever it hangs
    try:
        said = "+" + work()
    except (UserError, RefusedError) as error:
        said = f"-{error}"
    except BaseException as error:
        said = f"-{type(error).__name__}: {error}"
    os.write(end, said.encode("utf-8", "replace")[:LONGEST_ANSWER])
    os._exit(0)  # without what the first process does at its end


def _try(server: Server) -> str:
    """Do what a reload and then a worker will do, up to the first answer; return the version."""
    for listener in server.LISTENERS:
        listener.close()
    version = model_store.current(paths.MODELS)
    server.app.reload()
    server.setup(server.app)
    loaded = predictor.load(paths.MODELS, version, settings.chosen().graph_threads)
    classify(loaded, Job(io.BytesIO(BLANK)))
    return loaded.record.version


def _how_it_ended(status: int) -> str:
    """Why there is no answer, from the process's exit status."""
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return f"the model did not answer a photo within {TIME_LIMIT} seconds"
    how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "an error"
    return f"the process that tried the model was ended by {how}"
