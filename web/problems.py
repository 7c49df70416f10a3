"""Errors as problem JSON (RFC 9457), with a detail for the person who reads the sender's log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from web.headers import HEADERS

MEDIA_TYPE = "application/problem+json"


def from_http_exception(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    """Return the answer for an HTTPException."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    return response(error.status_code, error.detail, error.headers)


def from_bug(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    """Return the answer for an unexpected exception, which only the log describes."""
    return response(500, "internal error; the log of the web process tells more")


def retry_after(seconds: float) -> dict[str, str]:
    """Return the Retry-After header for a number of seconds, rounded up to at least one."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as problem JSON."""
    title = HTTPStatus(status).phrase
    content = {"type": "about:blank", "title": title, "status": status}
    if detail != title:
        content["detail"] = detail
    # Starlette answers a bug outside the guard, which adds HEADERS to all other answers.
    return JSONResponse(content, status, {**HEADERS, "Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)
