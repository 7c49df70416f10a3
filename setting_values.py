"""Values of environment variables: read and check the text of one variable.

Every reader takes the variable's name, its text and its default, and raises SettingsError for a text that cannot be used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import redis_url as redis_urls

ROOT = Path(__file__).resolve().parent

#: An IPv4 or IPv6 address, or a host name whose labels DNS can hold.
_HOST = re.compile(r"[0-9A-Fa-f:.%]*:[0-9A-Za-z:.%]*|[0-9A-Za-z_-]{1,63}(\.[0-9A-Za-z_-]{1,63})*\.?")
#: Digits of a port.
_MAX_PORT_DIGITS = 5


class SettingsError(ValueError):
    """Raised when an environment variable cannot be used; the message names it and says what to write."""


def text(_name: str, value: str, _default: str) -> str:
    """Return the text as it is."""
    return value


def folder(name: str, value: str, _default: str) -> Path:
    """Return the path of a folder, which need not exist; a relative one is below the checkout."""
    try:
        path = (ROOT / value).resolve()
        nearest = next(each for each in (path, *path.parents) if each.exists())
    except (OSError, RuntimeError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"{name} cannot be used as a folder: {problem}; write the path of one") from None
    if not nearest.is_dir():
        raise SettingsError(f"{name}={str(path)!r}: {nearest} is a file; write the path of a folder")
    return path


def redis_url(name: str, value: str, _default: str) -> str:
    """Return a Redis URL in the one form that every reader understands."""
    try:
        return str(redis_urls.read(value))
    except redis_urls.UnusableUrl as error:
        raise SettingsError(f"{name} {error}") from None


def http_url(name: str, value: str, default: str) -> str:
    """Return an http or https URL without a slash at its end."""
    if urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname:
        raise SettingsError(f"{name} must be a URL such as {default}")
    return value.rstrip("/")


def choice(*choices: str) -> Callable[[str, str, str], str]:
    """Return a reader that accepts one of `choices`, in upper or lower case."""

    def read(name: str, value: str, _default: str) -> str:
        if value.lower() not in choices:
            raise SettingsError(f"{name}={value.lower()!r} is not known; write one of: {', '.join(choices)}")
        return value.lower()

    return read


def positive(maximum: float) -> Callable[[str, str, str], float]:
    """Return a reader of a number above 0 and at most `maximum`."""

    def read(name: str, value: str, default: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = 0
        if not 0 < number <= maximum:
            raise SettingsError(
                f"{name}={value!r} must be a number above 0, {maximum:g} at most; the default is {default}"
            )
        return number

    return read


def whole_days(maximum: int) -> Callable[[str, str, str], int]:
    """Return a reader of a positive number of days, rounded up."""
    read = positive(maximum)
    return lambda name, value, default: math.ceil(read(name, value, default))


def port(name: str, value: str, default: str) -> int:
    """Return a TCP port."""
    is_number = value.isascii() and value.isdecimal() and len(value) <= _MAX_PORT_DIGITS
    if not is_number or not 0 < int(value) <= redis_urls.MAX_PORT:
        raise SettingsError(f"{name}={value!r} is not a port; write a number from 1 to 65535, the default is {default}")
    return int(value)


def host(name: str, value: str, _default: str) -> str:
    """Return an address or a host name to listen on."""
    if not _HOST.fullmatch(value):
        raise SettingsError(
            f"{name}={value!r} is not an address or a name; write for example 127.0.0.1, 0.0.0.0 or ::1"
        )
    return value


def password(name: str, value: str, _default: str) -> str:
    """Return a password that browsers and Flower send in the same way."""
    if not value.isascii():
        raise SettingsError(f"{name} must be plain ASCII: browsers and Flower do not agree on how to send the rest")
    return value


def names(_name: str, value: str, _default: str) -> tuple[str, ...]:
    """Return a list of names, separated by commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def modules(name: str, value: str, default: str) -> tuple[str, ...]:
    """Return a list of modules as `import` names them, separated by commas."""
    found = names(name, value, default)
    for module in found:
        if not all(part.isidentifier() for part in module.split(".")):
            stem = Path(module).name.removesuffix(".py") or "odd"
            raise SettingsError(
                f"{name} names {module!r}, which is not the name of a module; write it as import does, such as {stem}, "
                f"several separated by commas, and put its folder on PYTHONPATH"
            )
    return found
