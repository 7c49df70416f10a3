"""A Mastodon server: its part of the API as Mastodon documents it, with the faults that real ones have."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from tests.providers.server import Answer, Asked, Provider, Says

TOKEN = "mastodon-secret"
ACCOUNT = "109302"
_LINK = re.compile(r"https?://\S+[^\s.,:)]")
_HANDLE = re.compile(r"(?<![=/\w])@([a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)@[\w.-]+\w", re.IGNORECASE)


class Mastodon(Provider):
    """`honours_keys` off is the server that ignores the header; `lag` is how many lists come before they show what is new."""

    def reset(self) -> None:
        super().reset()
        self.honours_keys = True
        self.lag = 0
        self.account = ACCOUNT
        self.limits: dict[str, int] | None = {"max_characters": 500, "characters_reserved_per_url": 23}
        self.rewrites: Callable[[str], str] = str
        self.statuses: list[dict[str, Any]] = []
        self._ids = count(113_000_000_000_000_000, 65_536)
        self._keys: dict[str, dict[str, Any]] = {}

    @property
    def texts(self) -> list[str]:
        return [post["text"] for post in self.posts]

    def post_by_hand(self, text: str) -> None:
        """What a person posts to the same account."""
        self.statuses.append(self._status(text))

    def forget_keys(self) -> None:
        """An hour later."""
        self._keys.clear()

    def answer(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Says(401, {"error": "The access token is invalid"})
        match asked.method, asked.path:
            case "GET", "/api/v1/accounts/verify_credentials":
                return Says(200, {"id": self.account, "username": "agent"})
            case "GET", "/api/v2/instance" if self.limits:
                return Says(200, {"configuration": {"statuses": self.limits}})
            case "GET", path if path == f"/api/v1/accounts/{self.account}/statuses":
                return self._list(asked.form)
            case "POST", "/api/v1/statuses":
                return self.publishing(lambda: self._post(asked))
        return Says(404, {"error": "Record not found"})

    def _post(self, asked: Asked) -> Answer:
        key = asked.headers.get("idempotency-key", "")
        if self.honours_keys and key in self._keys:
            return Says(200, self._keys[key])
        status = self._status(asked.form["status"])
        self.statuses.append(status)
        self.posts.append({"text": asked.form["status"], "key": key})
        self._keys[key] = status
        return Says(200, status)

    def _list(self, form: dict[str, str]) -> Answer:
        known, self.lag = self.statuses, max(0, self.lag - 1)
        if self.lag:
            known = [status for status in known if not any(status["text"] == post["text"] for post in self.posts)]
        older = [status for status in known if int(status["id"]) < int(form.get("max_id", 10**30))]
        return Says(200, list(reversed(older))[: min(int(form.get("limit", 20)), 40)])

    def _status(self, text: str) -> dict[str, Any]:
        number = str(next(self._ids))
        return {
            "id": number,
            "created_at": datetime.now(UTC).isoformat(),
            "url": f"{self.url}/@agent/{number}",
            "uri": f"{self.url}/users/agent/statuses/{number}",
            "text": text,
            "content": _as_html(self.rewrites(text)),
        }


def _as_html(text: str) -> str:
    """Paragraphs, line breaks, shortened links and handles without their server, as Mastodon renders them."""
    text = html.escape(text)
    text = _LINK.sub(_link, text)
    text = _HANDLE.sub(r'<span class="h-card"><a href="https://example.org/\1">@<span>\1</span></a></span>', text)
    paragraphs = ["<br />".join(part.split("\n")) for part in text.split("\n\n")]
    return "".join(f"<p>{part}</p>" for part in paragraphs)


def _link(found: re.Match[str]) -> str:
    scheme, rest = found[0].split("//", 1)
    return (
        f'<a href="{found[0]}" rel="nofollow"><span class="invisible">{scheme}//</span>'
        f'<span class="ellipsis">{rest[:30]}</span><span class="invisible">{rest[30:]}</span></a>'
    )
