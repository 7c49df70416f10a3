"""One chat completion: one request, and what its answer says about the provider."""

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

#: Answers are checked against a schema; imagination only breaks them.
TEMPERATURE = 0.2
#: Seconds. Limits are counted by the minute, so a provider that says "too many" and no more is left alone for one.
DEFAULT_PAUSE_SECONDS = 60.0
#: Seconds. The same question would be refused again; after an hour somebody may have changed something over there.
REFUSED_SECONDS = 3600.0
#: Seconds. Until a person has seen to a key or an account. A corrected key is asked at once: it has no past.
BARRED_SECONDS = 900.0
#: Characters of a provider's own words that are told.
MAX_SHOWN = 200
#: More than any request may cost; a larger number is a lie.
MAX_TOKENS = 10_000_000

_BAD_KEY, _BAD_PLACE, _NO_CREDIT = {401, 403}, {404, 405, 410}, 402
_BAD_QUESTION = {400, 413, 422}
_TOO_MANY = 429
_REDIRECTS = range(300, 400)
_SERVER_ERRORS = range(500, 600)


class CompletionError(Exception):
    """Raised when a request brought no reply.

    `why` is in our words and `said` in the provider's; `outcome` is what it says about the provider, for `seconds`;
    `advice` is what a person can do.
    """

    def __init__(
        self,
        why: str,
        outcome: Outcome,
        *,
        said: str = "",
        seconds: float | None = None,
        tokens: int = 0,
        advice: str = "",
    ) -> None:
        super().__init__(why)
        self.why, self.outcome, self.said = why, outcome, said
        self.seconds, self.tokens, self.advice = seconds, tokens, advice


@dataclass(frozen=True)
class Completion:
    """What the model wrote, and what it cost."""

    text: str
    tokens: int


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Body(BaseModel):
    """The part of an answer that is looked at; `base_resp` is how MiniMax says no with status 200."""

    choices: list[_Choice] = Field(default_factory=list)
    usage: Any = None
    error: Any = None
    base_resp: Any = None


def complete(provider: Provider, system: str, prompt: str, timeout: float) -> Completion:
    """Ask once, for `timeout` seconds at the most; raises CompletionError."""
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
    if response.status_code != 200:  # noqa: PLR2004 - a completion has no other
        raise _refusal(provider, response)
    return _completion(response)


def _completion(response: Response) -> Completion:
    try:
        body = _Body.model_validate_json(response.content)
    except ValidationError:
        raise CompletionError("the answer is no chat completion", "failed") from None
    tokens = _tokens(body.usage)
    if not body.choices or body.error:
        raise CompletionError("the answer is no chat completion", "failed", said=_words(body), tokens=tokens)
    choice = body.choices[0]
    if choice.finish_reason == "length":
        raise CompletionError("the reply was cut off at max_tokens", "ok", tokens=tokens)
    if choice.finish_reason == "content_filter":
        raise CompletionError("the reply was held back by a content filter", "ok", tokens=tokens)
    return Completion(choice.message.content or "", tokens)


def _refusal(provider: Provider, response: Response) -> CompletionError:
    """What a status other than 200 means, and what a person can do about it."""
    status, body, pause = response.status_code, _body(response), retry_after.seconds(response.headers)
    why, said, advice = f"HTTP {status}", _words(body), _advice(provider, status)
    if status == _TOO_MANY or (status in _SERVER_ERRORS and pause is not None):
        return CompletionError(why, "later", said=said, seconds=DEFAULT_PAUSE_SECONDS if pause is None else pause)
    if advice:
        return CompletionError(why, "barred", said=said, seconds=BARRED_SECONDS, advice=advice)
    if _code(body) == "json_validate_failed":  # Groq's word for a model that wrote no JSON
        return CompletionError("the reply is not JSON", "ok", said=said)
    if status in _BAD_QUESTION:
        advice = (
            f"{provider.name} is not asked this again for an hour; check {provider.name.upper()}_MODEL, or ask for less"
        )
        return CompletionError(why, "refused", said=said, seconds=REFUSED_SECONDS, advice=advice)
    return CompletionError(why, "failed", said=said)


def _advice(provider: Provider, status: int) -> str:
    """What to do about a status that stays until somebody does it."""
    name = provider.name.upper()
    if status in _BAD_KEY:
        return f"{name}_API_KEY is wrong, or may not use {provider.model}; correct it and restart"
    if status in _BAD_PLACE or status in _REDIRECTS:
        return f"check {name}_URL ({provider.endpoint}) and {name}_MODEL ({provider.model}), and restart"
    return f"the account behind {name}_API_KEY has no credit" if status == _NO_CREDIT else ""


def _body(response: Response) -> _Body:
    try:
        return _Body.model_validate_json(response.content)
    except ValidationError:
        return _Body()


def _words(body: _Body) -> str:
    """What the provider says itself, short and clean."""
    error = body.error if isinstance(body.error, dict) else {"message": body.error}
    base = body.base_resp if isinstance(body.base_resp, dict) else {}
    words = clean(str(error.get("message") or base.get("status_msg") or ""))
    return " ".join(words.split())[:MAX_SHOWN]


def _code(body: _Body) -> Any:
    return body.error.get("code") if isinstance(body.error, dict) else None


def _tokens(usage: Any) -> int:
    """What the provider says it counted; anything but a sensible number counts as none."""
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    sensible = isinstance(total, int) and not isinstance(total, bool) and 0 <= total <= MAX_TOKENS
    return total if sensible and total is not None else 0
