"""One key and its attempts, without a gate around them: recovery points live as long as the key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

import gatekeeper
import settings
from clients import destinations
from clients.content import Post
from clients.destinations import Published
from gatekeeper import redact
from gatekeeper.run.http_guard import Wire, current
from gatekeeper.run.http_outcome import proves_nothing_was_sent


def a_post(body: str = "It is *out*.", title: str = "Hello", **fields: Any) -> Post:
    return Post.model_validate(
        {"id": "hello", "publish_at": "2026-11-01T09:00:00Z", **fields, "title": title, "body": body}
    )


@dataclass
class Key:
    """The key of one post and one destination; what the gate does for it is done by hand here."""

    destination: str
    post: Post = field(default_factory=a_post)
    points: dict[str, str] = field(default_factory=dict)

    def attempt(self) -> Published | str:
        """Publish; answers what is out, or `not applied` or `unknown` as the gate would decide it."""
        wire = Wire()
        token = current.set(wire)
        try:
            return destinations.get(self.destination).publish(self.post)
        except Exception as error:  # noqa: BLE001 - the gate decides of any exception
            self.error = error
            return "not applied" if proves_nothing_was_sent(error, wire.sent) else "unknown"
        finally:
            current.reset(token)

    def find(self) -> Published | None:
        return destinations.get(self.destination).find(self.post)

    def kept_in(self, monkeypatch: pytest.MonkeyPatch) -> Key:
        """Make this the key that attempts belong to."""
        monkeypatch.setattr(gatekeeper, "recall", self.points.get, raising=False)
        monkeypatch.setattr(gatekeeper, "keep", self.points.__setitem__, raising=False)
        return self


def with_settings(monkeypatch: pytest.MonkeyPatch, **environ: str) -> None:
    """Change settings, as a restart with another environment would."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for cached in (settings.current, redact._secrets):
        cached.cache_clear()
