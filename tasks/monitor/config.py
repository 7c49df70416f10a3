"""The monitor's configuration, `content/monitor.toml`: the URLs to check, and limits."""

from __future__ import annotations

import tomllib
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

import settings
from gatekeeper.policies.durations import duration_ms

FILE = "monitor.toml"
#: Each is a line in every verdict, which has to fit a state file.
MAX_URLS = 20
#: A check must end well within its lease.
MAX_PAUSE_MS = 30_000
#: A placeholder in URLs for the address of our own web process.
WEB_URL = "{web_url}"


def _http(url: str) -> str:
    whole = url.replace(WEB_URL, settings.current().web_url)
    try:
        urlsplit(whole).port  # noqa: B018 - it raises for one that is out of range
    except ValueError as error:
        raise ValueError(f"{url!r} is not a URL: {error}; write https://… or {WEB_URL}/healthz") from None
    if urlsplit(whole).scheme not in {"http", "https"} or not urlsplit(whole).hostname:
        raise ValueError(f"{url!r} is not a URL; write https://… or {WEB_URL}/healthz")
    return whole


def _soon(ms: int) -> int:
    if ms > MAX_PAUSE_MS:
        raise ValueError(f"{ms / 1000:g}s is too long; the check waits for it, for at most {MAX_PAUSE_MS // 1000}s")
    return ms


#: Milliseconds, written as a text such as "5s".
Duration = Annotated[int, BeforeValidator(duration_ms)]
Percent = Annotated[float, Field(gt=0, le=100)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Site(_Part):
    """One URL, and what its response must be like."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    url: Annotated[str, AfterValidator(_http)]
    status: Annotated[int, Field(ge=100, le=599, strict=True)] = 200
    max_latency: Duration = duration_ms("2s")
    cert_days: Annotated[int, Field(ge=0, le=3660, strict=True)] = 14


class Thresholds(_Part):
    """The limits beyond which the machine or Redis has a problem."""

    disk_percent: Percent = 90
    memory_percent: Percent = 90
    load_per_core: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4
    redis_ping: Duration = duration_ms("100ms")
    redis_memory_percent: Percent = 80
    queue: Annotated[int, Field(gt=0)] = 100


class MonitorConfig(_Part):
    """The whole file."""

    second_look: Annotated[Duration, AfterValidator(_soon)] = duration_ms("5s")
    limits: Thresholds = Thresholds()
    url: Annotated[tuple[Site, ...], Field(max_length=MAX_URLS)] = ()


def default() -> MonitorConfig:
    """Return the configuration without a file: our own web process, and the default limits."""
    return MonitorConfig(url=(Site(name="web", url=f"{WEB_URL}/healthz"),))


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
    if not isinstance(limits, dict):
        problems.append("limits: it is not a table; write [limits], and below it its values")
        limits = {}
    good = _good(Thresholds, limits, "limits.", problems)
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
