"""Request one chat completion, and classify a failure by what it says about the provider."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from http.client import HTTPException
from typing import Any

from requests import Response
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from clients import http
from clients.llm import cost, error_body, message, stream
from clients.llm.completion_error import CompletionError
from clients.llm.cost import Cost
from clients.llm.dig import dig
from clients.llm.error_body import ErrorBody
from clients.llm.providers import Provider
from clients.llm.request_form import RequestForm
from gatekeeper.run import retry_after

#: Seconds to pause after a 429 without Retry-After: providers count requests per minute.
DEFAULT_PAUSE_SECONDS = 60.0
#: Seconds before a question that the provider refused is sent to it again.
REFUSED_SECONDS = 3600.0
#: Seconds to pause a provider whose key, URL or account needs a person. A corrected key is a new record and used at once.
BARRED_SECONDS = 900.0

_BAD_KEY, _BAD_URL, _NO_CREDIT = {401, 403}, {404, 405, 410}, 402
_BAD_REQUEST = {400, 413, 422}
_TOO_MANY = 429
_SUCCESS, _REDIRECTS = range(200, 300), range(300, 400)
_SERVER_ERRORS = range(500, 600)


@dataclass(frozen=True)
class Completion:
    """The text that the model wrote, and what the request cost."""

    text: str
    cost: Cost


def complete(provider: Provider, form: RequestForm, system: str, prompt: str, timeout: float) -> Completion:
    """Send one request, without retries.

    Args:
        provider: Which model to ask.
        form: Which parameters the request has.
        system: The system message.
        prompt: The user message.
        timeout: Seconds for the whole exchange.

    Raises:
        CompletionError: there is no reply; the error says what that means for the provider.

    """
    key = {"Authorization": f"Bearer {provider.api_key}"}
    try:
        response = http.request(
            "POST", provider.endpoint, json=form.body(provider, system, prompt), headers=key, timeout=timeout
        )
    except (RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
        raise CompletionError(f"no answer: {http.reason(error)}", "failed") from error
    body = _body(response)
    usage, problem, choice = dig(body, "usage"), error_body.read(body), message.choice_of(body)
    # A reply is charged, also if it cannot be used; a refusal costs what it says, and mostly that is nothing.
    texts = () if choice is None else (system, prompt, message.written(choice))
    spent = cost.of(usage, *texts)
    try:
        if response.status_code not in _SUCCESS or problem.text or problem.status or choice is None:
            raise _failure(provider, form, response, problem)
        return Completion(message.text_of(choice), spent)
    except CompletionError as error:
        error.cost = spent
        raise


def _failure(provider: Provider, form: RequestForm, response: Response, problem: ErrorBody) -> CompletionError:
    """Return the error of a response without a reply, with what a person can do about it."""
    status, why, pause = response.status_code, f"HTTP {response.status_code}", retry_after.seconds(response.headers)
    if status in _SUCCESS:
        status, why = problem.status or status, "the answer is not a chat completion"
    status = problem.meaning or status
    error = CompletionError(why, "failed", said=problem.said)
    if problem.code == "json_validate_failed":  # Groq: the model did not write JSON
        return replace(error, why="the reply is not JSON", outcome="ok")
    if instead := form.instead(provider, status, problem.text):
        return replace(error, outcome="ok", instead=instead, advice=f"asked once more {instead.describe(form)}")
    if status == _TOO_MANY or (status in _SERVER_ERRORS and pause is not None):
        return replace(error, outcome="later", seconds=DEFAULT_PAUSE_SECONDS if pause is None else pause)
    if advice := _advice(provider, status):
        return replace(error, outcome="barred", seconds=BARRED_SECONDS, advice=advice)
    if status in _BAD_REQUEST:
        advice = (
            f"{provider.name} is not asked this again for an hour; check {provider.name.upper()}_MODEL, or ask for less"
        )
        return replace(error, outcome="refused", seconds=REFUSED_SECONDS, advice=advice)
    return error


def _advice(provider: Provider, status: int) -> str:
    """Return what a person must change where a retry cannot help, or an empty text."""
    name = provider.name.upper()
    if status in _BAD_KEY:
        return f"{name}_API_KEY is wrong, or may not use {provider.model}; correct it and restart"
    if status in _BAD_URL or status in _REDIRECTS:
        return f"check {name}_URL ({provider.endpoint}) and {name}_MODEL ({provider.model}), and restart"
    return f"the account behind {name}_API_KEY has no credit" if status == _NO_CREDIT else ""


def _body(response: Response) -> Any:
    """Return the JSON of a response, or its text if it is not JSON."""
    try:
        return stream.joined(response.content) if stream.is_stream(response.content) else json.loads(response.content)
    except (ValueError, RecursionError):
        return response.content[: 10 * error_body.MAX_READ].decode(response.encoding or "utf-8", "replace")
