"""Every environment variable Gatehouse knows, read once. `.env.example` documents each of them.

Values come from the process's environment first, then from a `.env` file beside this module.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from dotenv import dotenv_values

import redis_url

ROOT = Path(__file__).resolve().parent

#: Where data lies unless STATE_DIR names another folder.
DEFAULT_STATE_DIR = ROOT / "var"
#: Where earlier versions kept it: in the folder of the code.
OLD_STATE_DIR = ROOT / "state"
#: The folders of STATE_DIR, in the order in which `make up` moves them from the old place: the journal first.
DATA_FOLDERS = ("journal", "agents", "mailbox", "secrets", "run")
#: Names the folders that are being moved; a move that was cut off leaves it behind.
UNFINISHED_MOVE = DEFAULT_STATE_DIR / ".data-takeover"

#: The kernel refuses longer Unix socket paths (108 bytes with the closing zero).
MAX_SOCKET_PATH = 107
#: Where the socket lies if its path below STATE_DIR is longer than that: a folder of this user alone.
SHORT_PLACE = Path("/tmp")  # noqa: S108 - check_socket_folder looks who made the folder
#: An IPv4 or IPv6 address, or a host's name; longer labels cannot be looked up.
_HOST = re.compile(r"[0-9A-Fa-f:.%]*:[0-9A-Za-z:.%]*|[0-9A-Za-z_-]{1,63}(\.[0-9A-Za-z_-]{1,63})*\.?")
MAX_PORT = 5
#: Seconds. An attempt that waits longer for one answer has lost its lease by then.
MAX_TIMEOUT = 3600
#: Days; a hundred years. Redis and its scripts count in milliseconds.
MAX_LEDGER = 36_525


class SettingsError(ValueError):
    """Raised when an environment variable holds something that cannot be used; says which and what to write."""


@dataclass(frozen=True)
class Settings:
    """The configuration of one process; durations are in seconds."""

    redis_url: str
    broker_url: str
    embedded: bool  #: no REDIS_URL was given, so `make up` starts a server of its own
    state_dir: Path
    content_dir: Path
    public_dir: Path
    log_format: str
    log_level: str
    web_host: str
    web_port: int
    public_url: str  #: where others reach the web process; no slash at its end
    flower_port: int
    desk_password: str
    publish_to: tuple[str, ...]
    task_modules: tuple[str, ...]
    http_timeout: float
    ledger_days: int
    groq_url: str
    groq_api_key: str
    groq_model: str
    minimax_url: str
    minimax_api_key: str
    minimax_model: str
    mastodon_url: str
    mastodon_token: str
    threads_url: str
    threads_user_id: str
    threads_token: str
    webhook_secrets: Mapping[str, tuple[str, ...]]  #: source, in lower case → its secrets, any of which may sign

    @property
    def agents_dir(self) -> Path:
        return self.state_dir / "agents"

    @property
    def journal_dir(self) -> Path:
        return self.state_dir / "journal"

    @property
    def secrets_dir(self) -> Path:
        """What this installation made up for itself, such as what signs the addresses of calls."""
        return self.state_dir / "secrets"

    @property
    def run_dir(self) -> Path:
        """What lives only while the system runs: lock files and the embedded server's data."""
        return self.state_dir / "run"

    @property
    def web_url(self) -> str:
        return _web_url(self.web_host, self.web_port)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must never appear in a log, a state file or Redis."""
        passwords = [unquote(urlsplit(url).password or "") for url in (self.redis_url, self.broker_url)]
        signing = [secret for secrets in self.webhook_secrets.values() for secret in secrets]
        tokens = {self.groq_api_key, self.minimax_api_key, self.mastodon_token, self.threads_token}
        every = {self.desk_password, *tokens, *passwords, *signing}
        return tuple(sorted(every - {""}, key=len, reverse=True))


def read(environ: Mapping[str, str]) -> Settings:
    """Build the settings from `environ`; an empty value counts as not given."""
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    state_dir = _folder(given, "STATE_DIR", DEFAULT_STATE_DIR.name)
    embedded = "REDIS_URL" not in given
    web_host, web_port = _host(given, "WEB_HOST", "127.0.0.1"), _port(given, "WEB_PORT", 8000)
    server = given.get("REDIS_URL") or f"unix://{quote(str(embedded_socket(state_dir)))}"
    return Settings(
        redis_url=_redis_url("REDIS_URL", server),
        broker_url=_redis_url("BROKER_URL", given.get("BROKER_URL", server)),
        embedded=embedded,
        state_dir=state_dir,
        content_dir=_folder(given, "CONTENT_DIR", "content"),
        public_dir=_folder(given, "PUBLIC_DIR", "public"),
        log_format=_choice(given, "LOG_FORMAT", "json", ("json", "console")),
        log_level=_choice(given, "LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
        web_host=web_host,
        web_port=web_port,
        public_url=_http_url(given, "PUBLIC_URL", _web_url(web_host, web_port)),
        flower_port=_port(given, "FLOWER_PORT", 5555),
        desk_password=_password(given, "DESK_PASSWORD"),
        publish_to=_names(given, "PUBLISH_TO", "feed"),
        task_modules=_modules(given, "TASK_MODULES"),
        http_timeout=_positive(given, "HTTP_TIMEOUT", 20, MAX_TIMEOUT),
        ledger_days=math.ceil(_positive(given, "LEDGER_DAYS", 90, MAX_LEDGER)),
        groq_url=_http_url(given, "GROQ_URL", "https://api.groq.com/openai/v1"),
        groq_api_key=given.get("GROQ_API_KEY", ""),
        groq_model=given.get("GROQ_MODEL", "llama-3.3-70b-versatile"),
        minimax_url=_http_url(given, "MINIMAX_URL", "https://api.minimax.io/v1"),
        minimax_api_key=given.get("MINIMAX_API_KEY", ""),
        minimax_model=given.get("MINIMAX_MODEL", "MiniMax-M2"),
        mastodon_url=_http_url(given, "MASTODON_URL", "https://mastodon.social"),
        mastodon_token=given.get("MASTODON_TOKEN", ""),
        threads_url=_http_url(given, "THREADS_URL", "https://graph.threads.net/v1.0"),
        threads_user_id=given.get("THREADS_USER_ID", "me"),
        threads_token=given.get("THREADS_TOKEN", ""),
        webhook_secrets=_webhook_secrets(given),
    )


@cache
def current() -> Settings:
    """Return this process's settings.

    Raises:
        SettingsError: also if the embedded server's folder may be somebody else's, or if `make up` has to move the
            data of an earlier version first.
    """
    found = read(environment())
    check_data_moved(found)
    if found.embedded:
        check_socket_folder(embedded_socket(found.state_dir))
    return found


def environment() -> dict[str, str]:
    """The environment with `.env` beneath it, as child processes should see it."""
    try:
        from_file = {name: value for name, value in dotenv_values(ROOT / ".env").items() if value is not None}
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{ROOT / '.env'} cannot be read: {why}; write it as lines of NAME=VALUE") from None
    return {**from_file, **os.environ}


def embedded_socket(state_dir: Path) -> Path:
    """Where the embedded server of `state_dir` listens; the same answer in every process."""
    beside = state_dir / "run" / "redis.sock"
    if len(os.fsencode(beside)) <= MAX_SOCKET_PATH:
        return beside
    digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]
    # Not tempfile's folder: TMPDIR differs between terminals, and all must find the same socket.
    return SHORT_PLACE / f"gatehouse-{os.getuid()}-{digest}" / "redis.sock"


def check_data_moved(chosen: Settings) -> None:
    """Raise SettingsError if data of an earlier version has to be moved first: no process may begin an empty journal."""
    left = _data_not_moved() if chosen.state_dir == DEFAULT_STATE_DIR else []
    if left:
        raise SettingsError(
            f"{OLD_STATE_DIR} still holds this installation's data ({', '.join(left)}), which belongs in "
            f"{DEFAULT_STATE_DIR} now; stop what runs and run `make up`, which moves it, or move these folders yourself"
        )


def _data_not_moved() -> list[str]:
    old = [name for name in DATA_FOLDERS if holds_data(OLD_STATE_DIR / name)]
    if UNFINISHED_MOVE.exists():
        return old
    return [name for name in old if not holds_data(DEFAULT_STATE_DIR / name)]


def holds_data(folder: Path) -> bool:
    """Return whether `folder` holds anything but code and empty folders, at any depth; False if there is no folder.

    Raises:
        SettingsError: if it cannot be read.
    """
    try:
        for _, folders, files in os.walk(folder, onerror=_raise_unless_missing):
            folders[:] = [name for name in folders if not is_code(name)]
            if any(not is_code(name) for name in files):
                return True
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be read ({error.strerror}); let this user read it") from None
    return False


def is_code(name: str) -> bool:
    """Return whether a file or folder of this name belongs to a Python package, and is not data."""
    return name.endswith((".py", ".pyi", ".pyc", ".lua", ".lua.inc")) or name in {"__pycache__", "py.typed"}


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def check_socket_folder(socket: Path) -> None:
    """Raise SettingsError if anybody else could have put a server of their own there; others are shut out of our own.

    A folder below /tmp is made at once, before somebody else makes one of that name, which can be guessed.
    """
    folder, mine = socket.parent, os.geteuid()
    try:
        if folder.parent == SHORT_PLACE:
            with suppress(FileExistsError):
                folder.mkdir(0o700)
        about = folder.lstat()
    except FileNotFoundError:
        return  # below STATE_DIR: nobody made it yet
    except OSError as error:
        raise SettingsError(f"{folder} cannot be used ({error.strerror}); choose a shorter STATE_DIR") from error
    if not stat.S_ISDIR(about.st_mode) or (about.st_uid != mine and (mine != 0 or folder.parent == SHORT_PLACE)):
        raise SettingsError(
            f"{folder} is not a folder of yours, so the Redis server in it may be anybody's; "
            "remove it, or choose another STATE_DIR (a shorter one needs no folder below /tmp)"
        )
    if stat.S_IMODE(about.st_mode) & 0o077:
        folder.chmod(0o700)


def _web_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _folder(given: Mapping[str, str], name: str, default: str) -> Path:
    try:
        folder = (ROOT / given.get(name, default)).resolve()
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"{name} cannot be used as a folder: {why}; write the path of one") from None
    if not nearest.is_dir():
        raise SettingsError(f"{name}={str(folder)!r}: {nearest} is a file; write the path of a folder")
    return folder


def _redis_url(name: str, url: str) -> str:
    try:
        return str(redis_url.read(url))
    except redis_url.UnusableUrl as error:
        raise SettingsError(f"{name} {error}") from None


def _http_url(given: Mapping[str, str], name: str, default: str) -> str:
    url = given.get(name, default)
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise SettingsError(f"{name} must be a URL such as {default}")
    return url.rstrip("/")


def _webhook_secrets(given: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    """Every WEBHOOK_SECRET_<SOURCE>; several secrets are separated by spaces."""
    prefix = "WEBHOOK_SECRET_"
    named = {name.removeprefix(prefix).lower(): text for name, text in given.items() if name.startswith(prefix)}
    return {source: tuple(text.split()) for source, text in named.items()}


def _choice(given: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    value = given.get(name, default).lower()
    if value not in choices:
        raise SettingsError(f"{name}={value!r} is not known; write one of: {', '.join(choices)}")
    return value


def _positive(given: Mapping[str, str], name: str, default: float, most: float) -> float:
    try:
        value = float(given.get(name, default))
    except ValueError:
        value = 0
    if not 0 < value <= most:
        raise SettingsError(
            f"{name}={given[name]!r} must be a number above 0, {most:g} at most; the default is {default:g}"
        )
    return value


def _port(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_PORT and 0 < int(text) <= redis_url.HIGHEST_PORT):
        raise SettingsError(f"{name}={text!r} is not a port; write a number from 1 to 65535, the default is {default}")
    return int(text)


def _password(given: Mapping[str, str], name: str) -> str:
    password = given.get(name, "")
    if not password.isascii():
        raise SettingsError(f"{name} must be plain ASCII: browsers and Flower do not agree on how to send the rest")
    return password


def _modules(given: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Names of modules, as `import` takes them."""
    names = _names(given, name, "")
    for module in names:
        if not all(part.isidentifier() for part in module.split(".")):
            stem = Path(module).name.removesuffix(".py") or "odd"
            raise SettingsError(
                f"{name} names {module!r}, which is not the name of a module; write it as import does, such as {stem}, "
                f"several separated by commas, and put its folder on PYTHONPATH"
            )
    return names


def _host(given: Mapping[str, str], name: str, default: str) -> str:
    host = given.get(name, default)
    if not _HOST.fullmatch(host):
        raise SettingsError(f"{name}={host!r} is not an address or a name; write for example 127.0.0.1, 0.0.0.0 or ::1")
    return host


def _names(given: Mapping[str, str], name: str, default: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in given.get(name, default).split(",") if part.strip())
