"""Flower's way to revoke: a call that has begun is refused with 409 and the sentence, where Flower would answer 500."""

from __future__ import annotations

from typing import Any

from flower.api.control import TaskRevoke
from tornado.web import HTTPError

from gatekeeper.errors import NotRevoked


def install() -> None:
    """Wrap Flower's handler."""
    original = TaskRevoke.post

    async def post(self: Any, taskid: str) -> None:
        try:
            await original(self, taskid)
        except HTTPError as error:
            if isinstance(error.__cause__, NotRevoked):
                raise HTTPError(409, f"{error.__cause__}\n") from None
            raise

    TaskRevoke.post = post
