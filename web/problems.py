"""Errors as RFC 9457 problem JSON: what a program reads, in words for the person who reads its log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from web.headers import HEADERS

TYPE = "application/problem+json"


def of_http(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    """The answer to an HTTPException."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    return _problem(error.status_code, error.detail, error.headers)


def of_bug(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    """The answer where we are wrong; what happened stands in the log and nowhere else."""
    return _problem(500, "this is our mistake; the log of the web process tells more")


def later(seconds: float) -> dict[str, str]:
    """The header that says when to come again, in whole seconds and never at once."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def _problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    title = HTTPStatus(status).phrase
    told = {"type": "about:blank", "title": title, "status": status}
    if detail != title:
        told["detail"] = detail
    # The answer to a bug is made outside the guard, which gives all others their headers.
    return JSONResponse(told, status, {**HEADERS, "Cache-Control": "no-store", **(headers or {})}, TYPE)
