"""Errors as problem JSON (RFC 9457), with a detail for the person who reads the sender's log; for a browser as pages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from clients.text.words import capitalized
from web import pages
from web.headers import HEADERS

MEDIA_TYPE = "application/problem+json"
#: What a page says of an error without a detail.
SENTENCES = {404: "There is no page at this address", 405: "This address answers no such request"}


class Problem(HTTPException):
    """An error whose JSON has members of its own beside those of every problem; for a program that reads them."""

    def __init__(
        self, status: int, detail: str, members: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)
        self.members = members


def from_http_exception(request: Request, error: Exception) -> Response:
    """Return the answer for an HTTPException."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    members = error.members if isinstance(error, Problem) else None
    return response(request, error.status_code, error.detail, error.headers, members)


def from_bug(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    """Return the answer for an unexpected exception, which only the log describes."""
    return response(request, 500, "internal error; the log of the web process tells more")


def retry_after(seconds: float) -> dict[str, str]:
    """Return the Retry-After header for a number of seconds, rounded up to at least one."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def response(
    request: Request,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, Any] | None = None,
) -> Response:
    """Return an error as a page if the request asks for one, else as problem JSON with these members of its own."""
    title = HTTPStatus(status).phrase
    if pages.wanted(request):
        sentence = f"{capitalized(detail) if detail != title else SENTENCES.get(status, title)}."
        answer = pages.render(request, "error.html", status, title=title, sentence=sentence)
    else:
        content = {"type": "about:blank", "title": title, "status": status, **(members or {})}
        if detail != title:
            content["detail"] = detail
        answer = JSONResponse(content, status, {"Cache-Control": "no-store", "Vary": "Accept"}, MEDIA_TYPE)
    # Starlette answers a bug outside the guard, which adds HEADERS to all other answers.
    answer.headers.update(HEADERS | dict(headers or {}))
    return answer
