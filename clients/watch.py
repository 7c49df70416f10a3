"""What the monitor looks at and where its limits are: `content/monitor.toml`, checked."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

import settings
from gatekeeper.durations import milliseconds
from gatekeeper.errors import PolicyError

FILE = "monitor.toml"
#: Each is a line in every verdict, which has to fit a state file.
MOST_URLS = 20
#: A check must end well within its lease.
LONGEST_PAUSE_MS = 30_000
#: Stands in a URL for where our own web process listens.
OWN = "{web_url}"


class BrokenWatch(ValueError):
    """Raised when the file cannot be used; says where and why."""


def _http(url: str) -> str:
    whole = url.replace(OWN, settings.current().web_url)
    if urlsplit(whole).scheme not in {"http", "https"} or not urlsplit(whole).hostname:
        raise ValueError(f"{url!r} is no URL; write https://… or {OWN}/healthz")
    return whole


def _duration(text: str) -> str:
    try:
        milliseconds(text)
    except PolicyError as error:
        raise ValueError(str(error)) from None
    return text


def _soon(text: str) -> str:
    if milliseconds(text) > LONGEST_PAUSE_MS:
        raise ValueError(f"{text!r} is too long; the check waits for it, for at most {LONGEST_PAUSE_MS // 1000}s")
    return text


Duration = Annotated[str, AfterValidator(_duration)]
Percent = Annotated[float, Field(gt=0, le=100)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Site(_Part):
    """One URL, and what a good answer looks like."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    url: Annotated[str, AfterValidator(_http)]
    status: int = 200
    max_latency: Duration = "2s"
    cert_days: int = 14

    @property
    def max_latency_ms(self) -> int:
        return milliseconds(self.max_latency)


class Limits(_Part):
    """From where on the machine and Redis are not in order."""

    disk_percent: Percent = 90
    memory_percent: Percent = 90
    load_per_core: Annotated[float, Field(gt=0)] = 4
    redis_ping: Duration = "100ms"
    redis_memory_percent: Percent = 80
    queue: Annotated[int, Field(gt=0)] = 100


class Watch(_Part):
    """The whole file."""

    second_look: Annotated[Duration, AfterValidator(_soon)] = "5s"
    limits: Limits = Limits()
    url: Annotated[tuple[Site, ...], Field(max_length=MOST_URLS)] = ()

    @property
    def second_look_seconds(self) -> float:
        return milliseconds(self.second_look) / 1000


def ours() -> Watch:
    """What is watched where no file says so: our own web process, and the limits that ship."""
    return Watch(url=(Site(name="web", url=f"{OWN}/healthz"),))


def load() -> Watch:
    """Read the file of this installation; raises BrokenWatch."""
    file = settings.current().content_dir / FILE
    return _read(file) if file.exists() else ours()


def _read(file: Path) -> Watch:
    try:
        watch = Watch.model_validate(tomllib.loads(file.read_text("utf-8")))
    except ValidationError as error:
        problem = error.errors()[0]
        raise BrokenWatch(f"{FILE}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
    except (OSError, ValueError) as error:
        raise BrokenWatch(f"{FILE}: {error}") from None
    names = [site.name for site in watch.url]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BrokenWatch(f"{FILE}: url: the name {min(twice)!r} is there twice; give each URL its own")
    return watch
