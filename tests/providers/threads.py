"""Threads: its part of the API as Meta documents it, and the worst of what it leaves open: a second publish posts again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from tests.providers.server import Answer, Asked, Provider, Says

TOKEN = "threads-secret"
USER = "17841400"


class Threads(Provider):
    """`takes` is how many looks find a container IN_PROGRESS; `lag` is how many lists and looks come before they are true."""

    def reset(self) -> None:
        super().reset()
        self.takes = 0
        self.lag = 0
        self.user = USER
        self.containers: dict[str, dict[str, Any]] = {}
        self.threads: list[dict[str, Any]] = []
        self._ids = count(18_000_000_000_000_000)
        self._now = datetime(2026, 11, 1, 9, tzinfo=UTC)

    @property
    def texts(self) -> list[str]:
        return [post["text"] for post in self.posts]

    def becomes(self, status: str) -> None:
        """Change every container's status."""
        for container in self.containers.values():
            container["status"] = status

    def post_by_hand(self, text: str) -> None:
        self._add(text)

    def answer(self, asked: Asked) -> Answer:
        if asked.form.get("access_token") != TOKEN:
            return error(400, 190, "Error validating access token")
        node, _, edge = asked.path.removeprefix("/").partition("/")
        return self._of_the_account(asked, edge) if node in {"me", self.user} else self._node(node)

    def _of_the_account(self, asked: Asked, edge: str) -> Answer:
        match asked.method, edge:
            case "GET", "":
                return Says(200, {"id": self.user, "username": "agent"})
            case "GET", "threads":
                return self._list(asked.form)
            case "POST", "threads":
                return self._create(asked.form)
            case "POST", "threads_publish":
                return self.publishing(lambda: self._publish(asked.form["creation_id"]))
        return error(400, 100, "Unsupported request")

    def _node(self, number: str) -> Answer:
        if number in self.containers:
            return self._look(self.containers[number])
        found = [thread for thread in self.threads if thread["id"] == number]
        return Says(200, found[0]) if found else no_such_thing(number)

    def _create(self, form: dict[str, str]) -> Answer:
        number = str(next(self._ids))
        self.containers[number] = {"id": number, "text": form["text"], "status": "FINISHED", "takes": self.takes}
        return Says(200, {"id": number})

    def _look(self, container: dict[str, Any]) -> Answer:
        container["takes"], waits = max(0, container["takes"] - 1), container["takes"]
        status = "IN_PROGRESS" if waits else container["status"]
        if status == "PUBLISHED" and self._lags():
            status = "FINISHED"
        failed = {"error_message": "UNKNOWN"} if status == "ERROR" else {}
        return Says(200, {"id": container["id"], "status": status, **failed})

    def _publish(self, number: str) -> Answer:
        container = self.containers.get(number)
        if container is None or container["status"] in {"EXPIRED", "ERROR"}:
            return no_such_thing(number)
        container["status"] = "PUBLISHED"
        thread = self._add(container["text"])
        self.posts.append({"text": container["text"], "container": number, "id": thread["id"]})
        return Says(200, {"id": thread["id"]})

    def _list(self, form: dict[str, str]) -> Answer:
        hidden = {post["id"] for post in self.posts} if self._lags() else set()
        shown = [thread for thread in reversed(self.threads) if thread["id"] not in hidden]
        start, size = int(form.get("after", 0)), min(int(form.get("limit", 25)), 100)
        page, end = shown[start : start + size], start + size
        return Says(200, {"data": page, "paging": {"cursors": {"after": str(end)}} if end < len(shown) else {}})

    def _lags(self) -> bool:
        self.lag = max(0, self.lag - 1)
        return self.lag > 0

    def _add(self, text: str) -> dict[str, Any]:
        number = str(next(self._ids))
        self._now += timedelta(minutes=1)
        thread = {
            "id": number,
            "text": text,
            "permalink": f"https://www.threads.com/@agent/post/{number}",
            "timestamp": f"{self._now:%Y-%m-%dT%H:%M:%S}+0000",
        }
        self.threads.append(thread)
        return thread


def error(status: int, code: int, message: str) -> Says:
    """An error as the Graph API words it."""
    return Says(status, {"error": {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A1"}})


def no_such_thing(number: str) -> Says:
    said = error(400, 24, "The requested resource does not exist")
    said.content["error"] |= {
        "error_subcode": 4279009,
        "error_user_msg": f"The media with id {number} cannot be found.",
    }
    return said
