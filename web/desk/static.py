"""The desk's style sheet and script. The style sheet begins with that of the posts, whose colours and fonts it shares."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from clients.content import pages

FOLDER = Path(__file__).with_name("static")
_TYPES = {"desk.css": "text/css", "desk.js": "text/javascript"}


def routes() -> list[BaseRoute]:
    """Return the route of the files."""
    return [Route("/desk/static/{name}", show)]


def show(request: Request) -> Response:
    """Serve one of the files; a browser asks each time whether it changed."""
    name = request.path_params["name"]
    if name not in _TYPES:
        raise HTTPException(404)
    text, tag = _read(name)
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(text, media_type=_TYPES[name], headers=headers)


@cache
def _read(name: str) -> tuple[str, str]:
    text = (FOLDER / name).read_text("utf-8")
    if name == "desk.css":
        parts = (pages.TEMPLATES / "style.css", FOLDER / name, FOLDER / "pages.css")
        text = "\n".join(part.read_text("utf-8") for part in parts)
    return text, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
