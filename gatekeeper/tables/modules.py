"""Import modules that people write, agents and tables; a mistake becomes one message with its file and line."""

from __future__ import annotations

import importlib
import importlib.util
import sysconfig
import traceback
from pathlib import Path
from types import ModuleType

from gatekeeper.errors import PolicyError
from gatekeeper.redact import clean
from settings import SettingsError

#: Folders of library code; a mistake is in the innermost frame outside them.
_LIBRARIES = (*(sysconfig.get_path(name) for name in ("stdlib", "purelib")), str(Path(__file__).parents[1]))


class BrokenModule(Exception):
    """Raised when a module cannot be imported; the message says where and why."""


class NoModule(BrokenModule):
    """Raised when there is no module of this name."""


def load(name: str) -> ModuleType:
    """Import a module.

    Raises:
        NoModule: there is no module of this name.
        BrokenModule: importing it raised an exception.

    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if f"{name}.".startswith(f"{error.name}."):
            raise NoModule(f"there is no module {name!r} on PYTHONPATH nor in this folder") from None
        raise BrokenModule(_in_one_line(name, error)) from error
    except (Exception, SystemExit) as error:
        raise BrokenModule(_in_one_line(name, error)) from error


def _in_one_line(name: str, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    words = " ".join(str(error).split())
    says_enough = isinstance(error, PolicyError | SettingsError)
    return f"{_place(name, error)}: {clean(words if says_enough else f'{type(error).__name__}: {words}')}"


def _place(name: str, error: BaseException) -> str:
    """Return the innermost line of the traceback that is not in a library."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    if own:
        return f"{own[-1].filename}, line {own[-1].lineno}"
    spec = importlib.util.find_spec(name)
    return str(spec.origin) if spec else name


def _is_own(filename: str) -> bool:
    return not filename.startswith(("<", *_LIBRARIES))  # "<string>": code that a library made, such as a dataclass's
