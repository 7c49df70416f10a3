"""Programs that use the HTTP API, each with its token."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from tests import senders
from tests.harness import Install
from tests.senders import Answer

OWNER, READER, CALLER = "owner-token-0123456789", "reader-token-0123456789", "caller-token-0123456789"
TOKENS = f"owner:{OWNER} reader:{READER}:read caller:{CALLER}:counter.add,storyteller.*"


class Program:
    """Sends requests with one token."""

    def __init__(self, house: Install, token: str = OWNER) -> None:
        self.house, self.token = house, token

    def send(self, method: str, path: str, content: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        body = b"" if content is None else json.dumps(content).encode()
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        given |= senders.JSON if content is not None else {}
        return senders.send(f"{self.house.web_url}{path}", body, {**given, **(headers or {})}, method)

    def get(self, path: str) -> Answer:
        return self.send("GET", path)

    def call(self, task: str, key: str = "", wait: int | None = None, **arguments: Any) -> Answer:
        headers = {"Idempotency-Key": key} if key else {}
        headers |= {} if wait is None else {"Prefer": f"wait={wait}"}
        return self.send("POST", f"/tasks/{task}", arguments, headers)


def problem(answer: Answer, status: int) -> str:
    """Return the detail of a refusal, which must be a problem document of this status."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.content["status"] == status
    return str(answer.content["detail"])


def fresh() -> str:
    return str(uuid.uuid4())
