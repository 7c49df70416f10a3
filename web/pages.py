"""The web process's pages for people beside the desk: errors."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from clients.content import pages

TEMPLATES = Path(__file__).with_name("templates")
#: The media types of errors for programs.
_JSON = ("application/json", "application/problem+json")


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Return a page; its links are relative to the request's path, so that a proxy may serve us below a path of its own."""
    root = "../" * (request.url.path.count("/") - 1) or "./"
    text = _templates().get_template(template).render(root=root, status=status, **values)
    return HTMLResponse(text, status, {"Cache-Control": "no-store", "Vary": "Accept"})


def wanted(request: Request) -> bool:
    """Return whether a person is likely to read the answer: a browser asks for HTML before JSON."""
    accept = ",".join(request.headers.getlist("accept"))
    html = _quality(accept, "text/html")
    return request.method in {"GET", "HEAD"} and html > 0 and html >= max(_quality(accept, kind) for kind in _JSON)


def _quality(accept: str, media_type: str) -> float:
    """Return the weight of a media type that an Accept header names (RFC 9110); 0 if it does not, or only by a `*`."""
    for each in accept.lower().split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        if name == media_type:
            weights = [text.removeprefix("q=") for text in parameters if text.startswith("q=")] or ["1"]
            return float(weights[0]) if weights[0].replace(".", "", 1).isdecimal() else 0.0
    return 0.0


@cache
def _templates() -> Environment:
    return pages.environment(TEMPLATES)
