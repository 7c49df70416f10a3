"""Run a function on a stranger's text in a process of its own, with a limit on its time and its memory.

Parsers of feeds and of Markdown stand on regular expressions and on loops that some inputs make quadratic. A thread does
not help: a regular expression holds the interpreter's lock for its whole run, and the heartbeat of every attempt in the
process stops with it. A process can be stopped, has a lock of its own, and gets none of this installation's secrets. The
child imports this module and that of the function, so neither imports the gatekeeper, which takes half a second.
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

#: Seconds of processor time; an honest feed of 2 MB takes about two.
CPU_SECONDS = 10.0
#: Seconds on the clock, for a machine on which others take the processor.
WALL_SECONDS = 30.0
#: Bytes of address space; the parser of a feed takes some ten times the feed's size.
MAX_MEMORY = 512 * 1024 * 1024
#: Bytes of JSON that may come back.
MAX_RESULT = 8 * 1024 * 1024

_ROOT = Path(__file__).resolve().parents[2]
_TOO_COSTLY = 3
_FAILED = 4


class LimitExceeded(ValueError):
    """Raised when a text takes more time or memory than any honest text of its size."""


class FunctionFailed(ValueError):
    """Raised when the function itself raised; says what."""


def call(
    function: Callable[..., Any], text: str | bytes, *, cpu: float | None = None, wall: float | None = None
) -> Any:
    """Return `function(text)`, computed in a child process; its result must be JSON.

    Args:
        function: A function of a module of this project, found there by its name.
        text: Its only argument.
        cpu: Seconds of processor time it may take; CPU_SECONDS if it is not given.
        wall: Seconds it may take in all; WALL_SECONDS if it is not given.

    Raises:
        RenderError: it reached a limit.
        Failed: it raised an exception.

    """
    from gatekeeper.run import sockets  # noqa: PLC0415 - the child must not import the gatekeeper, and Celery with it

    kind, data = ("text", text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else ("bytes", text)
    seconds, longest = max(1, math.ceil(cpu or CPU_SECONDS)), wall or WALL_SECONDS
    command = [sys.executable, "-m", __name__, function.__module__, function.__qualname__, kind, str(seconds)]
    with (
        sockets.sends_nothing(),
        subprocess.Popen(  # noqa: S603 - our own interpreter and names of our own functions
            command,
            cwd=_ROOT,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as child,
    ):
        try:
            answer, _ = child.communicate(data, timeout=longest)
        except subprocess.TimeoutExpired:
            raise LimitExceeded(f"takes more than {longest:g} seconds") from None
        finally:
            child.kill()  # harmless once it ended; SIGKILL cannot be ignored
    if child.returncode == 0:
        return json.loads(answer)
    if child.returncode == _FAILED:
        raise FunctionFailed(answer.decode("utf-8", "replace"))
    raise LimitExceeded(
        f"takes more than {seconds} seconds of processor time, or {MAX_MEMORY // 1024 // 1024} MB of memory"
    )


def _environment() -> dict[str, str]:
    """Return the environment that an interpreter needs, without any secret."""
    kept = ("PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONIOENCODING": "utf-8"}


def _main(module: str, name: str, kind: str, seconds: int) -> int:
    """The child's side: answers its exit code."""
    function = getattr(importlib.import_module(module), name)
    _limit(seconds)
    data = sys.stdin.buffer.read()
    try:
        value = function(data.decode("utf-8", "surrogatepass") if kind == "text" else data)
        answer = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except (MemoryError, RecursionError):
        return _TOO_COSTLY
    except Exception as error:  # noqa: BLE001 - told to the parent, which raises it
        sys.stdout.buffer.write(f"{type(error).__name__}: {error}"[:500].encode("utf-8", "replace"))
        return _FAILED
    if len(answer) > MAX_RESULT:
        return _TOO_COSTLY
    sys.stdout.buffer.write(answer)
    return 0


def _limit(seconds: int) -> None:
    """The time of this process counts from now: what the imports took is not the text's fault."""
    used = math.ceil(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, used + seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
