"""Run a function on untrusted text in a child process with limits on time and memory.

Parsers of feeds and Markdown use regular expressions and loops that take quadratic time for some inputs. A thread does
not help: a regular expression holds the interpreter's lock until it ends, which stops the heartbeat of every attempt in
the process. A child process can be killed, has its own interpreter lock, and receives none of the secrets in the
environment. The child imports this module and the function's, so neither may import the gatekeeper, which takes half a
second.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Seconds of processor time; an ordinary feed of 2 MB takes about two.
CPU_SECONDS = 10.0
#: Seconds of wall-clock time, which is longer because the machine may be busy.
WALL_SECONDS = 30.0
#: Bytes of address space; a feed parser takes about ten times the size of the feed.
MAX_MEMORY = 512 * 1024 * 1024
#: Bytes of JSON in the result.
MAX_RESULT = 8 * 1024 * 1024

_ROOT = Path(__file__).resolve().parents[2]
#: Exit codes of the child.
_LIMIT_EXCEEDED, _FAILED = 3, 4


class LimitExceeded(ValueError):
    """Raised when the function takes more time or memory than allowed."""


class FunctionFailed(ValueError):
    """Raised when the function raises; the message is its exception's type and text."""


def call(
    function: Callable[..., Any], text: str | bytes, *more: str, cpu: float | None = None, wall: float | None = None
) -> Any:
    """Return `function(text, *more)`, computed in a child process.

    Args:
        function: A module-level function of this project whose result can be written as JSON.
        text: Its first argument.
        more: Its other arguments: short texts without secrets, because the list of processes shows them.
        cpu: Processor time it may take, in seconds; CPU_SECONDS by default.
        wall: Wall-clock time it may take, in seconds; WALL_SECONDS by default.

    Raises:
        LimitExceeded: it took more time or memory than allowed, or its result is larger than MAX_RESULT.
        FunctionFailed: it raised an exception.

    """
    kind, data = ("text", text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else ("bytes", text)
    cpu_limit = max(1, math.ceil(cpu or CPU_SECONDS))
    arguments = [function.__module__, function.__qualname__, kind, str(cpu_limit), *more]
    code, output = _run(arguments, data, wall or WALL_SECONDS)
    if code == 0:
        return json.loads(output)
    if code == _FAILED:
        raise FunctionFailed(output.decode("utf-8", "replace"))
    megabytes = MAX_MEMORY // 1024 // 1024
    raise LimitExceeded(f"takes more than {cpu_limit} seconds of processor time, or {megabytes} MB of memory")


def _run(arguments: list[str], data: bytes, seconds: float) -> tuple[int, bytes]:
    """Run this module as a program on `data`; return its exit code and output, or raise LimitExceeded."""
    from gatekeeper.run import sockets  # noqa: PLC0415 - the child must not import the gatekeeper, and Celery with it

    with (
        sockets.sends_nothing(),
        subprocess.Popen(  # noqa: S603 - our own interpreter and names of our own functions
            [sys.executable, "-m", __name__, *arguments],
            cwd=_ROOT,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as child,
    ):
        try:
            output, _ = child.communicate(data, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise LimitExceeded(f"takes more than {seconds:g} seconds") from None
        finally:
            child.kill()  # no effect on a child that has ended
    return child.returncode, output


def _environment() -> dict[str, str]:
    """Return the environment that an interpreter needs, without any secret."""
    needed = ("PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in needed if name in os.environ} | {"PYTHONIOENCODING": "utf-8"}


def _main(module: str, name: str, kind: str, seconds: int, *more: str) -> int:
    """Run the function in the child, write its result to stdout, and return the exit code."""
    function = getattr(importlib.import_module(module), name)
    function = getattr(function, "__wrapped__", function)  # a decorator would start another child
    _limit(seconds)
    data = sys.stdin.buffer.read()
    try:
        value = function(data.decode("utf-8", "surrogatepass") if kind == "text" else data, *more)
        result = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except (MemoryError, RecursionError):
        return _LIMIT_EXCEEDED
    except Exception as error:  # noqa: BLE001 - the parent raises it
        sys.stdout.buffer.write(f"{type(error).__name__}: {error}"[:500].encode("utf-8", "replace"))
        return _FAILED
    if len(result) > MAX_RESULT:
        return _LIMIT_EXCEEDED
    sys.stdout.buffer.write(result)
    return 0


def _limit(seconds: int) -> None:
    """Limit this process; the processor time that its imports took does not count."""
    used = math.ceil(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, used + seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), *sys.argv[5:]))
