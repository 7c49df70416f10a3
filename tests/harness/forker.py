"""A process that starts Python programs as forks of itself, without the second that importing the libraries costs each.

`tests/harness/forks.py` speaks to it. Only libraries are imported before a fork, so a fork reads the code of the product
and its settings as a new interpreter would. It ends when its stdin does.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

#: What every command of the product imports. One that is missing costs each fork its import, and nothing else.
LIBRARIES = (
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.app.utils",
    "celery.backends.redis",
    "celery.bin.amqp",
    "celery.bin.base",
    "celery.bin.beat",
    "celery.bin.call",
    "celery.bin.control",
    "celery.bin.events",
    "celery.bin.graph",
    "celery.bin.list",
    "celery.bin.logtool",
    "celery.bin.migrate",
    "celery.bin.multi",
    "celery.bin.purge",
    "celery.bin.result",
    "celery.bin.shell",
    "celery.bin.upgrade",
    "celery.bin.worker",
    "celery.loaders.app",
    "click_didyoumean",
    "click_plugins",
    "click_repl",
    "cronsim",
    "dateutil.parser",
    "dotenv",
    "feedparser",
    "flower.command",
    "frontmatter",
    "jinja2",
    "kombu.transport.redis",
    "markdown_it",
    "opentelemetry.sdk.trace",
    "packaging.version",
    "psutil",
    "pydantic.functional_validators",
    "pydantic.main",
    "pydantic.networks",
    "pydantic.type_adapter",
    "pydantic.types",
    "redis.client",
    "requests",
    "starlette.applications",
    "starlette.templating",
    "structlog",
    "structlog.dev",
    "yaml",
)
#: Bytes of one request.
MAX_REQUEST = 128 * 1024
#: Of a fork: input, output and errors are its own; it closes all others.
_FIRST_FOREIGN = 3


class Forker:
    """Accepts requests at a listening socket, and answers each with the pid of a fork, and later with how it ended."""

    def __init__(self, door: socket.socket) -> None:
        self._running: dict[int, socket.socket] = {}
        self._door = door
        self._bell, ringing = os.pipe()
        os.set_blocking(ringing, False)
        signal.set_wakeup_fd(ringing)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Serve until stdin ends."""
        while True:
            ready, _, _ = select.select([self._door, self._bell, sys.stdin], [], [])
            if self._bell in ready:
                os.read(self._bell, 1024)
                self._tell_ends()
            if self._door in ready:
                self._start(self._door.accept()[0])
            if sys.stdin in ready:
                return

    def _start(self, asked: socket.socket) -> None:
        text, descriptors, _, _ = socket.recv_fds(asked, MAX_REQUEST, 3)
        pid = os.fork()
        if pid == 0:
            _become(json.loads(text), asked, *descriptors)
        for each in descriptors:
            os.close(each)
        self._running[pid] = asked

    def _tell_ends(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with self._running.pop(pid) as asked, suppress(OSError):  # whoever asked may be gone
                asked.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: Mapping[str, Any], asked: socket.socket, *streams: int) -> NoReturn:
    """Run a program in this fork as `python ARGS` does, and end it."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if request["new_session"]:
            os.setsid()
        asked.send(str(os.getpid()).encode())  # from now on it can be killed with its session
        for number, own in enumerate(streams):
            os.dup2(own, number)
        os.closerange(_FIRST_FOREIGN, os.sysconf("SC_OPEN_MAX"))
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        time.tzset()
        _run(request["args"])
        code = 0
    except SystemExit as ending:
        code = _exit_code(ending.code)
    except BaseException:  # noqa: BLE001 - as the interpreter does with what nothing catches
        traceback.print_exc()
    finally:
        _end(code)


def _run(args: list[str]) -> None:
    option, what, *rest = args
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    begin = str(Path.cwd()) if option == "-m" else ""
    sys.path[:] = [begin, *filter(None, own), *sys.path]
    sys.argv = [option, *rest]
    if option == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    exec(compile(what, "<string>", "exec"), vars(main))


# The two functions below stand in deploy/preload.py too. A module of the product that is imported here would be in every
# fork, also in one that runs a changed copy of the product, and a mistake in it would hide in the tests of it.


def _exit_code(value: object) -> int:
    """Return the exit code of a program that passed this to `sys.exit`."""
    if value is None or isinstance(value, int):
        return int(value or 0) & 0xFF
    sys.stderr.write(f"{value}\n")
    return 1


def _end(code: int) -> NoReturn:
    """End this fork as an interpreter ends: wait for its threads, run its exit functions, and return to nobody."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def main() -> None:
    """Import the libraries, and serve."""
    sys.path.remove(str(Path(__file__).resolve().parent))
    for name in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the collector would write to the pages of every object, and so copy them in each fork
    Forker(socket.socket(fileno=int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
