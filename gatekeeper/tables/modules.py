"""Import what people wrote, an agent or a table: a mistake in it is one line with its file and line number."""

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

#: Where the code of others is: a frame in there is not where the mistake was made.
_OTHERS = (*(sysconfig.get_path(name) for name in ("stdlib", "purelib")), str(Path(__file__).parents[1]))


class BrokenModule(Exception):
    """Raised when a module cannot be imported; says where and why."""


class NoModule(BrokenModule):
    """Raised when there is no module of that name."""


def load(name: str) -> ModuleType:
    """Import a module; raises BrokenModule whatever is wrong in it, NoModule if it is not there."""
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
    """The innermost line that is not a library's."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    if own:
        return f"{own[-1].filename}, line {own[-1].lineno}"
    spec = importlib.util.find_spec(name)
    return str(spec.origin) if spec else name


def _is_own(filename: str) -> bool:
    return not filename.startswith(("<", *_OTHERS))  # "<string>": code that a library made, such as a dataclass's
