"""Call the JSON API of a destination; all requests of one publish share one deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from requests import HTTPError, Response

import settings
from clients import http
from clients.destinations import NotConfigured
from clients.text import strict_json
from gatekeeper.errors import GatekeeperError, NotApplied
from gatekeeper.redact import clean, describe

#: Seconds for all requests of one publish and the waits between them: well below the publisher's lease of 2 minutes.
MAX_SECONDS = 100.0
#: Characters of a provider's error message in ours.
MAX_SHOWN = 200


Parsed = TypeVar("Parsed")


class UnexpectedResponse(ValueError):
    """Raised for a response that does not have the documented form."""


class Identified(BaseModel):
    """An answer that has an id."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: str


@dataclass
class Api:
    """One provider's API for the length of one publish or look-up.

    Attributes:
        name: The provider's name in messages.
        url: The base URL of the API.
        headers: Sent with every request, such as the authorization.
        parameters: Sent with every request, in the query of a GET and in the form of a POST.
        deadline: When everything must be over, as a value of `time.monotonic()`.

    """

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    deadline: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def get(self, path: str, **parameters: str) -> Any:
        """Send a GET request.

        Args:
            path: The path below the base URL.
            parameters: The query.

        Returns:
            The parsed JSON of the response.

        Raises:
            HTTPError: the status is not a success.
            UnexpectedResponse: the body is not JSON.
            TimeoutError: the deadline has passed; nothing was sent.
            requests.RequestException: the exchange failed.

        """
        return self._request("GET", path, params={**self.parameters, **parameters}, headers=dict(self.headers))

    def post(self, path: str, content: Mapping[str, str], **headers: str) -> Any:
        """Send a form; returns and raises like `get`. Underscores in the names of headers become hyphens."""
        own = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._request("POST", path, data={**self.parameters, **content}, headers={**self.headers, **own})

    def parse(self, schema: type[Parsed], response: Any) -> Parsed:
        """Return a response as a value of this type; raise UnexpectedResponse if it does not have that form."""
        try:
            return TypeAdapter(schema).validate_python(response)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            raise UnexpectedResponse(
                f"the answer of {self.name} has an unexpected form: {problem['loc']} {problem['msg']}"
            ) from None

    def _request(self, method: str, path: str, **options: Any) -> Any:
        if self.left <= 0:
            raise TimeoutError(f"{self.name}: {method} {path} came too late and was not sent")
        timeout = min(settings.current().http_timeout, self.left)
        response = http.request(method, f"{self.url}/{path}", timeout=timeout, **options)
        what = f"{self.name} answered {response.status_code} to {method} /{path}"
        if not response.ok or response.is_redirect or response.status_code >= 300:  # noqa: PLR2004 - redirects are not followed
            raise HTTPError(f"{what}: {_error_message(response)}", response=response)
        try:
            return strict_json.loads(response.content.decode())
        except (ValueError, RecursionError):
            raise UnexpectedResponse(f"{what} with a body that is not JSON") from None


def error_of(response: Response | None) -> Any:
    """Return the `error` field of a response, a text or an object; {} if there is none."""
    try:
        body = strict_json.loads(response.content.decode()) if response is not None else {}
    except (ValueError, RecursionError):
        return {}
    return body.get("error") or {} if isinstance(body, dict) else {}


@dataclass(frozen=True)
class Hint:
    """The meaning of a provider's refusal for the next attempt; the fields are those of `NotApplied`."""

    temporary: bool | None = None
    change: str = ""


@contextmanager
def before_sending(name: str, hint: Callable[[HTTPError], Hint] | None = None) -> Iterator[None]:
    """Turn every error in the block into NotApplied: nothing in it publishes anything.

    Args:
        name: The provider's name in messages.
        hint: Says what an HTTPError means for the next attempt; its status alone says it by default.

    """
    try:
        yield
    except GatekeeperError:
        raise
    except Exception as error:
        known = hint(error) if hint and isinstance(error, HTTPError) else _hint_of(error)
        message = f"{name}: nothing was published: {describe(error)}"
        raise NotApplied(message, temporary=known.temporary, change=known.change) from error


def _hint_of(error: Exception) -> Hint:
    if isinstance(error, NotConfigured):
        return Hint(temporary=False)  # its message names the settings
    return Hint(temporary=True) if isinstance(error, TimeoutError) else Hint()


def _error_message(response: Response) -> str:
    """Return the provider's own error message on one line, shortened and without secrets."""
    error = error_of(response)
    message = error.get("error_user_msg") or error.get("message") if isinstance(error, dict) else error
    return clean(" ".join(str(message or response.reason or "no reason").split()))[:MAX_SHOWN]
