"""Request one chat completion, and classify a failure by what it says about the provider."""

from __future__ import annotations

from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from requests import Response
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from clients import http
from clients.llm.providers import Provider
from gatekeeper.redact import clean
from gatekeeper.run import retry_after
from state.limits import Outcome

#: Low, because a reply must match a schema.
TEMPERATURE = 0.2
#: Seconds to pause after a 429 without Retry-After: providers count requests per minute.
DEFAULT_PAUSE_SECONDS = 60.0
#: Seconds before a question that the provider refused is sent to it again.
REFUSED_SECONDS = 3600.0
#: Seconds to pause a provider whose key, URL or account needs a person. A corrected key is a new record and used at once.
BARRED_SECONDS = 900.0
#: Characters of a provider's error message in logs.
MAX_SHOWN = 200
#: Tokens. A reported usage above this is ignored as invalid.
MAX_TOKENS = 10_000_000

_BAD_KEY, _BAD_URL, _NO_CREDIT = {401, 403}, {404, 405, 410}, 402
_BAD_REQUEST = {400, 413, 422}
_TOO_MANY = 429
_REDIRECTS = range(300, 400)
_SERVER_ERRORS = range(500, 600)


@dataclass(eq=False)
class CompletionError(Exception):
    """Raised when a request brought no reply.

    Attributes:
        why: The reason in our words.
        outcome: How it counts for the provider's record.
        said: The provider's own error message, or an empty text.
        seconds: How long the outcome holds, or None for the default.
        tokens: Tokens that the request cost all the same.
        advice: What a person can do, or an empty text.

    """

    why: str
    outcome: Outcome
    said: str = ""
    seconds: float | None = None
    tokens: int = 0
    advice: str = ""

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True)
class Completion:
    """The text that the model wrote, and the tokens it cost."""

    text: str
    tokens: int


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Body(BaseModel):
    """The fields of a response that are used; MiniMax reports errors in `base_resp` with status 200."""

    choices: list[_Choice] = Field(default_factory=list)
    usage: Any = None
    error: Any = None
    base_resp: Any = None


def complete(provider: Provider, system: str, prompt: str, timeout: float) -> Completion:
    """Send one request, without retries.

    Args:
        provider: Which model to ask.
        system: The system message.
        prompt: The user message.
        timeout: Seconds for the whole exchange.

    Raises:
        CompletionError: there is no reply; the error says what that means for the provider.

    """
    body = {
        "model": provider.model,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt}],
        "temperature": TEMPERATURE,
        "max_tokens": provider.max_tokens,
    }
    if provider.json_mode:
        body["response_format"] = {"type": "json_object"}
    key = {"Authorization": f"Bearer {provider.api_key}"}
    try:
        response = http.request("POST", provider.endpoint, json=body, headers=key, timeout=timeout)
    except (RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
        raise CompletionError(f"no answer ({type(error).__name__})", "failed") from error
    if response.status_code != 200:  # noqa: PLR2004 - the only status of a completion
        raise _refusal(provider, response)
    return _completion(response)


def _completion(response: Response) -> Completion:
    try:
        body = _Body.model_validate_json(response.content)
    except ValidationError:
        raise CompletionError("the answer is not a chat completion", "failed") from None
    tokens = _tokens(body.usage)
    if not body.choices or body.error:
        raise CompletionError("the answer is not a chat completion", "failed", said=_error_message(body), tokens=tokens)
    choice = body.choices[0]
    if choice.finish_reason == "length":
        raise CompletionError("the reply was cut off at max_tokens", "ok", tokens=tokens)
    if choice.finish_reason == "content_filter":
        raise CompletionError("the reply was held back by a content filter", "ok", tokens=tokens)
    return Completion(choice.message.content or "", tokens)


def _refusal(provider: Provider, response: Response) -> CompletionError:
    """Return the error for a status other than 200, with what a person can do about it."""
    status, body, pause = response.status_code, _body(response), retry_after.seconds(response.headers)
    why, said, advice = f"HTTP {status}", _error_message(body), _advice(provider, status)
    if status == _TOO_MANY or (status in _SERVER_ERRORS and pause is not None):
        return CompletionError(why, "later", said=said, seconds=DEFAULT_PAUSE_SECONDS if pause is None else pause)
    if advice:
        return CompletionError(why, "barred", said=said, seconds=BARRED_SECONDS, advice=advice)
    if _code(body) == "json_validate_failed":  # Groq: the model did not write JSON
        return CompletionError("the reply is not JSON", "ok", said=said)
    if status in _BAD_REQUEST:
        advice = (
            f"{provider.name} is not asked this again for an hour; check {provider.name.upper()}_MODEL, or ask for less"
        )
        return CompletionError(why, "refused", said=said, seconds=REFUSED_SECONDS, advice=advice)
    return CompletionError(why, "failed", said=said)


def _advice(provider: Provider, status: int) -> str:
    """Return what a person must change where a retry cannot help, or an empty text."""
    name = provider.name.upper()
    if status in _BAD_KEY:
        return f"{name}_API_KEY is wrong, or may not use {provider.model}; correct it and restart"
    if status in _BAD_URL or status in _REDIRECTS:
        return f"check {name}_URL ({provider.endpoint}) and {name}_MODEL ({provider.model}), and restart"
    return f"the account behind {name}_API_KEY has no credit" if status == _NO_CREDIT else ""


def _body(response: Response) -> _Body:
    try:
        return _Body.model_validate_json(response.content)
    except ValidationError:
        return _Body()


def _error_message(body: _Body) -> str:
    """Return the provider's own error message on one line, shortened and without secrets."""
    error = body.error if isinstance(body.error, dict) else {"message": body.error}
    base = body.base_resp if isinstance(body.base_resp, dict) else {}
    message = clean(str(error.get("message") or base.get("status_msg") or ""))
    return " ".join(message.split())[:MAX_SHOWN]


def _code(body: _Body) -> Any:
    return body.error.get("code") if isinstance(body.error, dict) else None


def _tokens(usage: Any) -> int:
    """Return the number of tokens in a `usage` object; 0 if it is missing or not plausible."""
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    if not isinstance(total, int) or isinstance(total, bool):
        return 0
    return total if 0 <= total <= MAX_TOKENS else 0
