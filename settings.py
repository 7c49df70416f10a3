"""The settings: every environment variable that Gatehouse knows, read once. `.env.example` documents each of them.

Values come from the process's environment first, then from a `.env` file beside this module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs, quote, unquote, urlsplit

from dotenv import dotenv_values

import setting_values as values
from api_token import ApiToken
from data_dir import DEFAULT_STATE_DIR, check_data_moved, check_journal_place, check_socket_folder, embedded_socket
from setting_values import ROOT, SettingsError

__all__ = ["ROOT", "Settings", "SettingsError", "current", "environment", "read"]

#: Seconds. An attempt that waits longer for one answer has lost its lease by then.
MAX_TIMEOUT = 3600
#: Days; a hundred years. Redis and its scripts count in milliseconds.
MAX_LEDGER = 36_525
#: Characters. A shorter part of an alert channel's address is a name or a number, and would hide words of the log.
MIN_SECRET_PART = 12
#: The prefix of the variables that hold a webhook source's secrets.
WEBHOOK_SECRET = "WEBHOOK_SECRET_"  # noqa: S105 - the name of a variable
#: The prefix of the variables that say how far an agent may go before a person chose that.
AUTONOMY = "AUTONOMY_"

Value = TypeVar("Value")


def setting(read_value: Callable[[str, str, str], Value], default: str) -> Value:
    """Declare a setting, which is read from the environment variable that has the field's name in capitals.

    Args:
        read_value: Reads and checks the variable; takes its name, its text and the default.
        default: The text that stands for a variable that is empty or not set.

    """
    return cast("Value", field(metadata={"read": read_value, "default": default}))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The configuration of one process; durations are in seconds."""

    redis_url: str
    broker_url: str
    embedded: bool  #: REDIS_URL is not set, so `make up` starts a server of its own
    public_url: str  #: where others reach the web process, without a slash at its end
    webhook_secrets: Mapping[str, tuple[str, ...]]  #: source, in lower case → its secrets, any of which may sign
    autonomy: Mapping[str, str]  #: agent, in lower case and with `_` for `-` → its mode before a person chose one
    broker_api_url: str = setting(values.broker_api_url, "")
    journal_url: str = setting(values.journal_url, "")
    state_dir: Path = setting(values.folder, DEFAULT_STATE_DIR.name)
    host_name: str = setting(values.host_name, "")  #: what a person calls this host; "": the machine's name
    content_dir: Path = setting(values.folder, "content")
    public_dir: Path = setting(values.folder, "public")
    log_format: str = setting(values.choice("json", "console"), "json")
    log_level: str = setting(values.choice("debug", "info", "warning", "error"), "info")
    web_host: str = setting(values.host, "127.0.0.1")
    web_port: int = setting(values.port, "8000")
    flower_port: int = setting(values.port, "5555")
    desk_password: str = setting(values.password, "")
    api_tokens: tuple[ApiToken, ...] = setting(values.api_tokens, "")
    publish_to: tuple[str, ...] = setting(values.names, "feed")
    task_modules: tuple[str, ...] = setting(values.modules, "")
    agent_queues: Mapping[str, str] = setting(values.agent_queues, "")  #: agent → the queue of its calls
    mcp: str = setting(values.choice("on", "off"), "off")
    smtp_url: str = setting(values.smtp_url, "")
    report_to: tuple[str, ...] = setting(values.addresses, "")
    http_timeout: float = setting(values.positive(MAX_TIMEOUT), "20")
    otel_exporter_otlp_endpoint: str = setting(values.collector_url, "")
    ledger_days: int = setting(values.whole_days(MAX_LEDGER), "90")
    alert_urls: tuple[str, ...] = setting(values.alert_urls, "")
    alert_urls_urgent: tuple[str, ...] = setting(values.alert_urls, "")
    escalate_after: float = setting(values.duration, "30m")
    quiet_hours: tuple[int, int] | None = setting(
        values.hours_of_day, ""
    )  #: minutes after midnight, in the schedule's zone
    groq_url: str = setting(values.http_url, "https://api.groq.com/openai/v1")
    groq_api_key: str = setting(values.text, "")
    groq_model: str = setting(values.text, "llama-3.3-70b-versatile")
    minimax_url: str = setting(values.http_url, "https://api.minimax.io/v1")
    minimax_api_key: str = setting(values.text, "")
    minimax_model: str = setting(values.text, "MiniMax-M2")
    mastodon_url: str = setting(values.http_url, "https://mastodon.social")
    mastodon_token: str = setting(values.text, "")
    threads_url: str = setting(values.http_url, "https://graph.threads.net/v1.0")
    threads_user_id: str = setting(values.text, "me")
    threads_token: str = setting(values.text, "")

    @property
    def agents_dir(self) -> Path:
        return self.state_dir / "agents"

    @property
    def journal_dir(self) -> Path:
        return self.state_dir / "journal"

    @property
    def secrets_dir(self) -> Path:
        """Secrets that this installation created itself, such as the one that signs the addresses of calls."""
        return self.state_dir / "secrets"

    @property
    def run_dir(self) -> Path:
        """Files that are needed only while the system runs: lock files and the embedded server's data."""
        return self.state_dir / "run"

    @property
    def pulse_dir(self) -> Path:
        """The files that workers and beat touch for the supervisor, each named by the process id."""
        return self.run_dir / "pulse"

    @property
    def web_url(self) -> str:
        return _web_url(self.web_host, self.web_port)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must never appear in a log, a state file or Redis, the longest first."""
        servers = (self.redis_url, self.broker_url, self.broker_api_url, self.journal_url, self.smtp_url)
        passwords = [unquote(urlsplit(url).password or "") for url in servers]
        passwords += [one for url in servers for one in parse_qs(urlsplit(url).query).get("sentinel_password", [])]
        signing = [secret for secrets in self.webhook_secrets.values() for secret in secrets]
        tokens = {self.groq_api_key, self.minimax_api_key, self.mastodon_token, self.threads_token}
        programs = [each.token for each in self.api_tokens]
        alerts = {part for url in (*self.alert_urls, *self.alert_urls_urgent) for part in _secrets_of(url)}
        every = {self.desk_password, *tokens, *passwords, *signing, *programs, *alerts}
        return tuple(sorted(every - {""}, key=len, reverse=True))


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings in `environ`; an empty value counts as not set.

    Raises:
        SettingsError: a value cannot be used.

    """
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    found: dict[str, Any] = {
        each.name: _read_field(each.name.upper(), given, each.metadata) for each in fields(Settings) if each.metadata
    }
    server = given.get("REDIS_URL") or f"unix://{quote(str(embedded_socket(found['state_dir'])))}"
    web_url = _web_url(found["web_host"], found["web_port"])
    return Settings(
        redis_url=values.redis_url("REDIS_URL", server, ""),
        broker_url=values.broker_url("BROKER_URL", given.get("BROKER_URL", server), ""),
        embedded="REDIS_URL" not in given,
        public_url=values.http_url("PUBLIC_URL", given.get("PUBLIC_URL", web_url), web_url),
        webhook_secrets=_webhook_secrets(given),
        autonomy=_autonomy(given),
        **found,
    )


def _read_field(name: str, given: Mapping[str, str], declared: Mapping[str, Any]) -> Any:
    default = declared["default"]
    return declared["read"](name, given.get(name, default), default)


def _webhook_secrets(given: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    """Return the secrets of every source: spaces separate several secrets of one source."""
    named = {name for name in given if name.startswith(WEBHOOK_SECRET)}
    return {name.removeprefix(WEBHOOK_SECRET).lower(): tuple(given[name].split()) for name in named}


def _secrets_of(address: str) -> set[str]:
    """Return an address of an alert channel, and the parts of it that may be a password or a token."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    named = [parts.username, parts.password, *parts.path.split("/"), *re.split("[&=]", parts.query)]
    hidden = [*named, *([] if {".", ":"} & {*host} else [host])]
    return {address, *(unquote(part) for part in hidden if part and len(part) >= MIN_SECRET_PART)}


def _autonomy(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return the mode of every agent that a variable names."""
    named = {name for name in given if name.startswith(AUTONOMY)}
    return {name.removeprefix(AUTONOMY).lower(): values.mode(name, given[name], "act") for name in named}


def _web_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@cache
def current() -> Settings:
    """Return this process's settings.

    Raises:
        SettingsError: a value cannot be used, the embedded server's folder may belong to another user, or `make up` has
            to move the data of an earlier version first, or JOURNAL_URL does not fit to where the journal is.

    """
    found = read(environment())
    check_data_moved(found.state_dir)
    check_journal_place(found.journal_url, found.journal_dir)
    if found.embedded:
        check_socket_folder(embedded_socket(found.state_dir))
    return found


def environment(own: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of `.env` and of the environment, which comes first, as child processes should see them.

    PORT, which a host of Procfiles sets, stands for a missing WEB_PORT, as it does in the Procfile.

    Args:
        own: The environment of a process; that of this one by default.

    Raises:
        SettingsError: `.env` cannot be read.

    """
    try:
        from_file = {name: value for name, value in dotenv_values(ROOT / ".env").items() if value is not None}
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{ROOT / '.env'} cannot be read: {problem}; write it as lines of NAME=VALUE") from None
    found = {**from_file, **own}
    port = found.get("PORT", "").strip()
    if port and not found.get("WEB_PORT", "").strip():
        found["WEB_PORT"] = port
    return found


def wants_colour() -> bool:
    """Return whether a terminal may be written to in colours; see no-color.org."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
