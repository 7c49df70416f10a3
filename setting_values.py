"""Values of environment variables: read and check the text of one variable.

Every reader takes the variable's name, its text and its default, and raises SettingsError for a text that cannot be used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import api_token
from api_token import ApiToken
from server_urls import broker_url as broker_urls
from server_urls import postgres_url
from server_urls import redis_url as redis_urls
from server_urls import smtp_url as smtp_urls

ROOT = Path(__file__).resolve().parent

#: An IPv4 or IPv6 address, or a host name whose labels DNS can hold.
_HOST = re.compile(r"[0-9A-Fa-f:.%]*:[0-9A-Za-z:.%]*|[0-9A-Za-z_-]{1,63}(\.[0-9A-Za-z_-]{1,63})*\.?")
#: What a person may call a host: it is part of file names and of the names of owners.
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
#: Digits of a port.
_MAX_PORT_DIGITS = 5


class SettingsError(ValueError):
    """Raised when an environment variable cannot be used; the message names it and says what to write."""


def host_name(name: str, value: str, _default: str) -> str:
    """Return what a person calls this host, or "" for the machine's own name."""
    if value and not _HOST_NAME.fullmatch(value):
        raise SettingsError(
            f"{name}={value[:80]!r} is not the name of a host; write up to 63 letters, digits, - and _, such as web1"
        )
    return value


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


def broker_url(name: str, value: str, _default: str) -> str:
    """Return the URL of a broker in the one form that every reader understands."""
    try:
        return str(broker_urls.read(value))
    except broker_urls.UnusableUrl as error:
        raise SettingsError(f"{name} {error}") from None


def broker_api_url(name: str, value: str, _default: str) -> str:
    """Return the address of RabbitMQ's management API as Flower takes it, or an empty text."""
    if not value:
        return ""
    address = http_url(name, value, "http://USER:PASSWORD@127.0.0.1:15672")
    return f"{address.removesuffix('/api')}/api/"


def journal_url(name: str, value: str, _default: str) -> str:
    """Return the URL of a PostgreSQL database, or an empty text."""
    try:
        return postgres_url.read(value) if value else ""
    except postgres_url.UnusableDatabaseUrl as error:
        raise SettingsError(f"{name} {error}") from None


def http_url(name: str, value: str, default: str) -> str:
    """Return an http or https URL without a slash at its end."""
    if urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname:
        raise SettingsError(f"{name} must be a URL such as {default}")
    return value.rstrip("/")


def smtp_url(name: str, value: str, _default: str) -> str:
    """Return the URL of a mail server, or an empty text."""
    try:
        if value:
            smtp_urls.read(value)
    except smtp_urls.UnusableMailUrl as error:
        raise SettingsError(f"{name} {error}") from None
    return value


def addresses(name: str, value: str, _default: str) -> tuple[str, ...]:
    """Return a list of mail addresses, separated by spaces or commas; each counts once."""
    found = tuple(dict.fromkeys(value.replace(",", " ").split()))
    for address in found:
        if not smtp_urls.is_address(address):
            raise SettingsError(f"{name} names {address[:80]!r}, which is not a mail address; write name@example.org")
    return found


def collector_url(name: str, value: str, _default: str) -> str:
    """Return the address of a collector of traces, or "" for none."""
    return http_url(name, value, "http://127.0.0.1:4318") if value else ""


def choice(*choices: str) -> Callable[[str, str, str], str]:
    """Return a reader that accepts one of `choices`, in upper or lower case."""

    def read(name: str, value: str, _default: str) -> str:
        if value.lower() not in choices:
            raise SettingsError(f"{name}={value.lower()!r} is not known; write one of: {', '.join(choices)}")
        return value.lower()

    return read


#: How far an agent may go: it only says what it would send, it asks before it sends, or it sends.
MODES = ("observe", "ask", "act")
mode = choice(*MODES)


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


#: Seconds by the letter that ends a duration.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)")
#: The beginning of an address of apprise.
_ALERT_SCHEME = re.compile(r"[a-z][a-z0-9.+-]*://.", re.IGNORECASE)


def duration(name: str, value: str, default: str) -> float:
    """Return the seconds of a duration such as `30m`."""
    number, unit = value[:-1], value[-1:].lower()
    if (
        not (number.isascii() and number.isdecimal() and len(number) <= _MAX_PORT_DIGITS and unit in _UNITS)
        or int(number) == 0
    ):
        raise SettingsError(f"{name}={value!r} is not a duration such as 90s, {default}, 2h or 1d")
    return float(int(number) * _UNITS[unit])


def hours_of_day(name: str, value: str, _default: str) -> tuple[int, int] | None:
    """Return the begin and the end of a part of each day, in minutes after midnight; None for an empty text."""
    found = _CLOCK.fullmatch(value)
    if value and found is None:
        raise SettingsError(f"{name}={value!r} is not a part of the day such as 22:00-07:00")
    if found is None:
        return None
    begin_hour, begin, end_hour, end = map(int, found.groups())
    if (begin_hour, begin) == (end_hour, end):
        raise SettingsError(f"{name}={value!r} begins when it ends; write for example 22:00-07:00, or nothing")
    return begin_hour * 60 + begin, end_hour * 60 + end


def alert_urls(name: str, value: str, _default: str) -> tuple[str, ...]:
    """Return addresses of apprise, which spaces separate; an error names an address by its place, because it is a secret."""
    found = tuple(value.split())
    for place, address in enumerate(found, 1):
        if not _ALERT_SCHEME.match(address):
            raise SettingsError(
                f"{name}: address {place} does not begin with a service such as mailto:// or ntfy://; "
                f"docs/alerts.md has examples"
            )
    return found


def password(name: str, value: str, _default: str) -> str:
    """Return a password that browsers and Flower send in the same way."""
    if not value.isascii():
        raise SettingsError(f"{name} must be plain ASCII: browsers and Flower do not agree on how to send the rest")
    return value


def api_tokens(name: str, value: str, _default: str) -> tuple[ApiToken, ...]:
    """Return the tokens of programs, separated by spaces."""
    try:
        return api_token.read(value)
    except api_token.UnusableTokens as error:
        raise SettingsError(f"{name} {error}") from None


def names(_name: str, value: str, _default: str) -> tuple[str, ...]:
    """Return a list of names, separated by commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def agent_queues(name: str, value: str, _default: str) -> dict[str, str]:
    """Return the queue of each agent, from AGENT:QUEUE pairs that spaces or commas separate."""
    found: dict[str, str] = {}
    for pair in value.replace(",", " ").split():
        agent, _, queue = pair.partition(":")
        if not agent or not queue or agent in found:
            raise SettingsError(
                f"{name} has {pair[:80]!r}; write each agent once, as AGENT:QUEUE such as writer:models"
            )
        found[agent] = queue
    return found


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
