"""One request of a person to the desk, and the answers that a page gives to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

import settings
from web import hosts
from web.desk import said, templates
from web.desk.form import Form


@dataclass(frozen=True)
class Visit:
    """One request, and who made it."""

    request: Request
    name: str = ""  #: of the person, for the audit; empty if nobody is signed in
    form: Form = field(default_factory=lambda: Form({}))

    def path(self, name: str) -> str:
        """Return a parameter of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str:
        """Return a parameter of the query; empty if it is missing."""
        return self.request.query_params.get(name, "").strip()

    @property
    def root(self) -> str:
        """The relative path from this page to `/`: a proxy may serve us below a path of its own."""
        return "../" * (_path(self.request).count("/") - 1) or "./"

    @property
    def here(self) -> str:
        """The path and the query of this page, as the browser wrote them."""
        query = self.request.scope["query_string"].decode("ascii", "replace")
        return _path(self.request) + (f"?{query}" if query else "")

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page; it says once what the last change did."""
        text, page_said = self.page(template, **values)
        response = HTMLResponse(text, status)
        if page_said:
            said.forget(self.request, response)
        return response

    def page(self, template: str, **values: Any) -> tuple[str, str]:
        """Return a page's text, and what it says of the last change."""
        page_said = said.read(self.request)
        here = settings.current()
        is_local = hosts.is_direct_and_local(self.request)
        known = {
            "root": self.root,
            "visitor": self.name,
            "said": page_said,
            "has_password": bool(here.desk_password),
            "flower": f"http://127.0.0.1:{here.flower_port}/" if is_local else "",
            "current": "",
            "q": self.query("q"),
        }
        return templates.render(template, known | values), page_said

    def go(self, path: str, text: str = "", more: Sequence[str] = ()) -> Response:
        """Answer a form: lead the browser to a page of the desk, which says what the form did.

        Args:
            path: The page, from the root; it may have a query and a fragment.
            text: What the page says.
            more: Further sentences.

        """
        response = RedirectResponse(f"{self.root}{path.lstrip('/')}", 303)
        if text:
            said.write(self.request, response, " ".join((text, *more)))
        return response


def _path(request: Request) -> str:
    """Return the path with its escapes: an escaped slash in a key separates nothing."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0].decode("ascii", "replace")
