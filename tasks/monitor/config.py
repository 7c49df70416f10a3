"""The monitor's configuration, `content/monitor.toml`: the URLs to check, and limits."""

from __future__ import annotations

import tomllib
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

import settings
from gatekeeper.errors import PolicyError
from gatekeeper.policies.durations import duration_ms

FILE = "monitor.toml"
#: Each is a line in every verdict, which has to fit a state file.
MAX_URLS = 20
#: A check must end well within its lease.
MAX_PAUSE_MS = 30_000
#: A placeholder in URLs for the address of our own web process.
WEB_URL = "{web_url}"


class BrokenConfig(ValueError):
    """Raised when the file cannot be used; the message says where and why."""


def _http(url: str) -> str:
    whole = url.replace(WEB_URL, settings.current().web_url)
    try:
        urlsplit(whole).port  # noqa: B018 - it raises for one that is out of range
    except ValueError as error:
        raise ValueError(f"{url!r} is not a URL: {error}; write https://… or {WEB_URL}/healthz") from None
    if urlsplit(whole).scheme not in {"http", "https"} or not urlsplit(whole).hostname:
        raise ValueError(f"{url!r} is not a URL; write https://… or {WEB_URL}/healthz")
    return whole


def _duration(text: str) -> str:
    try:
        duration_ms(text)
    except PolicyError as error:
        raise ValueError(str(error)) from None
    return text


def _soon(text: str) -> str:
    if duration_ms(text) > MAX_PAUSE_MS:
        raise ValueError(f"{text!r} is too long; the check waits for it, for at most {MAX_PAUSE_MS // 1000}s")
    return text


Duration = Annotated[str, AfterValidator(_duration)]
Percent = Annotated[float, Field(gt=0, le=100)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Site(_Part):
    """One URL, and what its response must be like."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    url: Annotated[str, AfterValidator(_http)]
    status: Annotated[int, Field(ge=100, le=599, strict=True)] = 200
    max_latency: Duration = "2s"
    cert_days: Annotated[int, Field(ge=0, le=3660, strict=True)] = 14

    @property
    def max_latency_ms(self) -> int:
        return duration_ms(self.max_latency)


class Thresholds(_Part):
    """The limits beyond which the machine or Redis has a problem."""

    disk_percent: Percent = 90
    memory_percent: Percent = 90
    load_per_core: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4
    redis_ping: Duration = "100ms"
    redis_memory_percent: Percent = 80
    queue: Annotated[int, Field(gt=0)] = 100


class MonitorConfig(_Part):
    """The whole file."""

    second_look: Annotated[Duration, AfterValidator(_soon)] = "5s"
    limits: Thresholds = Thresholds()
    url: Annotated[tuple[Site, ...], Field(max_length=MAX_URLS)] = ()

    @property
    def second_look_seconds(self) -> float:
        return duration_ms(self.second_look) / 1000


def default() -> MonitorConfig:
    """Return the configuration without a file: our own web process, and the default limits."""
    return MonitorConfig(url=(Site(name="web", url=f"{WEB_URL}/healthz"),))


def load() -> MonitorConfig:
    """Read the file of this installation; raises BrokenConfig if anything in it is wrong."""
    config, problems = read()
    if problems:
        raise BrokenConfig("; ".join(problems))
    return config


def read() -> tuple[MonitorConfig, list[str]]:
    """Read the file of this installation.

    Returns:
        The valid part of the configuration, and one problem for each part that is not.

    """
    file = settings.current().content_dir / FILE
    if not file.exists():
        return default(), []
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except RecursionError:
        return default(), [f"{FILE}: it is nested too deep to be read"]
    except (OSError, ValueError) as error:
        return default(), [f"{FILE}: {error}"]
    sites, problems = _sites(table.pop("url", []))
    limits = table.pop("limits", {})
    good = _good(Thresholds, limits, "limits.", problems) if isinstance(limits, dict) else {}
    problems += (
        [] if isinstance(limits, dict) else ["limits: it is not a table; write [limits], and below it its values"]
    )
    head = _good(MonitorConfig, table, "", problems)
    return MonitorConfig.model_validate({**head, "limits": good, "url": sites}), [
        f"{FILE}: {problem}" for problem in problems
    ]


def _good(model: type[BaseModel], given: dict[str, Any], place: str, problems: list[str]) -> dict[str, Any]:
    """Return the valid values, each validated on its own; append the problems of the others."""
    valid = {}
    for name, value in given.items():
        try:
            model.model_validate({name: value})
        except ValidationError as error:
            problems.append(_in_words(error, place))
        else:
            valid[name] = value
    return valid


def _sites(rows: Any) -> tuple[list[Site], list[str]]:
    sites: list[Site] = []
    problems: list[str] = []
    for number, row in enumerate(rows if isinstance(rows, list) else [rows]):
        try:
            site = Site.model_validate(row)
        except ValidationError as error:
            problems.append(_in_words(error, f"url.{number}."))
            continue
        if site.name in {other.name for other in sites}:
            problems.append(f"url: the name {site.name!r} is there twice; give each URL its own")
        elif len(sites) == MAX_URLS:
            problems.append(f"url: {site.name!r} is not looked at; at most {MAX_URLS} are")
        else:
            sites.append(site)
    return sites, problems


def _in_words(error: ValidationError, place: str) -> str:
    problem = error.errors()[0]
    return f"{place}{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
