"""The commands that messages tell a person to run, written so that they can be pasted into a shell."""

from __future__ import annotations

import shlex
import sys
from functools import cache
from pathlib import Path

from state.terminal import one_line


def gatehouse(*words: str) -> str:
    """Return the command line of a `gatehouse` command, such as `.venv/bin/gatehouse explain 'publish:feed:a post'`.

    Args:
        *words: The command and its arguments, each quoted for a shell where it has to be.

    """
    return _command_line("gatehouse", words)


def celery(*words: str) -> str:
    """Return the command line of a command of Celery for this application; `words` as in `gatehouse`."""
    return _command_line("celery", ("-A", "workers", *words))


def _command_line(name: str, words: tuple[str, ...]) -> str:
    return " ".join([_program(name), *(shlex.quote(one_line(word)) for word in words)])


@cache
def _program(name: str) -> str:
    """Return the path of a program of this environment: relative in the folder that the environment lies in."""
    path = Path(sys.executable).parent / name
    try:
        is_here = Path.cwd() == path.parents[2]
    except (IndexError, OSError):  # the working directory is gone
        is_here = False
    return shlex.quote(str(path.relative_to(path.parents[2]) if is_here else path))
