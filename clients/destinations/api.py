"""Speaking JSON to a provider of posts, all requests of one publish within one time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from requests import HTTPError, Response

import settings
from clients import http
from clients.destinations import NotConfigured
from clients.text import strict_json
from gatekeeper.errors import GatekeeperError, NotApplied
from gatekeeper.redact import clean, describe

#: Seconds for all requests of a publish, and for what it waits in between: well below the publisher's lease of 2 minutes.
MAX_SECONDS = 100.0
#: Characters of a provider's own words that are told.
MAX_SHOWN = 200


class UnexpectedResponse(ValueError):
    """Raised for an answer that is not what the provider promises; says what was asked."""


@dataclass
class Api:
    """One provider; `headers` and `parameters` go with every request and carry who asks."""

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    deadline: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)

    @property
    def left(self) -> float:
        """Seconds until everything has to be over."""
        return self.deadline - time.monotonic()

    def get(self, path: str, **parameters: str) -> Any:
        """Ask; answers what the JSON holds. Raises HTTPError, UnexpectedResponse, or what the HTTP client raises."""
        return self._request("GET", path, params={**self.parameters, **parameters}, headers=dict(self.headers))

    def post(self, path: str, content: Mapping[str, str], **headers: str) -> Any:
        """Send a form; answers and raises like `get`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._request("POST", path, data={**self.parameters, **content}, headers={**self.headers, **sent})

    def _request(self, method: str, path: str, **options: Any) -> Any:
        if self.left <= 0:
            raise TimeoutError(f"{self.name}: {method} {path} came too late, and was not sent")
        timeout = min(settings.current().http_timeout, self.left)
        response = http.request(method, f"{self.url}/{path}", timeout=timeout, **options)
        asked = f"{self.name} answered {response.status_code} to {method} /{path}"
        if not response.ok or response.is_redirect or response.status_code >= 300:  # noqa: PLR2004 - no redirect is followed
            raise HTTPError(f"{asked}: {_words(response)}", response=response)
        try:
            return strict_json.loads(response.content.decode())
        except (ValueError, RecursionError):
            raise UnexpectedResponse(f"{asked} with what is no JSON") from None


def error_of(error: HTTPError) -> Any:
    """What the provider put under `error`: a text or an object, {} if it put nothing there."""
    if error.response is None:
        return {}
    return _error(error.response)


@dataclass(frozen=True)
class Hint:
    """What a provider's refusal means for the next try, as its destination knows; see `NotApplied`."""

    temporary: bool | None = None
    change: str = ""


def no_hint(_: HTTPError) -> Hint:
    """Of a provider whose statuses say all."""
    return Hint()


@contextmanager
def before_sending(name: str, hint: Callable[[HTTPError], Hint] = no_hint) -> Iterator[None]:
    """Whatever goes wrong in here goes wrong before anything was sent that a reader could ever see."""
    try:
        yield
    except GatekeeperError:
        raise
    except Exception as error:
        known = hint(error) if isinstance(error, HTTPError) else _hint(error)
        words = f"{name}: nothing was published: {describe(error)}"
        raise NotApplied(words, temporary=known.temporary, change=known.change) from error


def _hint(error: Exception) -> Hint:
    if isinstance(error, NotConfigured):
        return Hint(temporary=False)  # its words name the settings
    return Hint(temporary=True) if isinstance(error, TimeoutError) else Hint()


def _words(response: Response) -> str:
    """What the provider says itself, short and clean."""
    error = _error(response)
    said = error.get("error_user_msg") or error.get("message") if isinstance(error, dict) else error
    return clean(" ".join(str(said or response.reason or "no reason").split()))[:MAX_SHOWN]


def _error(response: Response) -> Any:
    try:
        body = strict_json.loads(response.content.decode())
    except (ValueError, RecursionError):
        return {}
    return body.get("error") or {} if isinstance(body, dict) else {}
