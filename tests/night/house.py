"""The installation on which a situation is produced: a fresh clone, and the services that it talks to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.harness.clone import Clone
from tests.harness.polling import GaveUp, until
from tests.models.server import ModelServer
from tests.providers.mastodon import TOKEN, Mastodon
from tests.providers.receiver import Receiver
from tests.torture.tmpfs import Disk

GATE = ".venv/bin/gatehouse"
POST = """---
id: {name}
title: {title}
publish_at: 2026-11-11T09:{minute:02}:00Z
destinations: [{destination}]
---
This is {name}, which says one thing.
"""


class House(Clone):
    """`mastodon` and `models` are the services, and `phone` gets the alerts; they are there before anything runs."""

    def __init__(self, folder: Path) -> None:
        self.mastodon = Mastodon()
        self.models = ModelServer()
        self.phone = Receiver()
        self.disk: Disk | None = None
        super().__init__(folder)

    def reset(self) -> None:
        self.down()
        if self.disk:
            self.disk.close()
            self.disk = None
        super().reset()
        self.env["ALERT_URLS"] = self.phone.url
        self.phone.messages.clear()
        self.mastodon.reset()

    def close(self) -> None:
        self.reset()
        self.mastodon.close()
        self.models.close()
        self.phone.close()

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text)

    def change(self, path: str, old: str, new: str) -> None:
        """Change one place in a file of the clone, as its owner would."""
        text = (self.root / path).read_text()
        if text.count(old) != 1:
            raise GaveUp(f"{path} has {text.count(old)} places, not one, that read: {old}")
        self.write(path, text.replace(old, new))

    def posts(self, n: int, destination: str = "feed") -> None:
        """Replace the posts by `post-1` to `post-N`."""
        for old in (self.root / "content").glob("*.md"):
            old.unlink()
        for number in range(1, n + 1):
            name = f"post-{number}"
            text = POST.format(name=name, title=f"Post {number}", minute=number, destination=destination)
            self.write(f"content/{name}.md", text)

    def use_mastodon(self, token: str = TOKEN) -> None:
        self.env |= {"PUBLISH_TO": "mastodon", "MASTODON_URL": self.mastodon.url, "MASTODON_TOKEN": token}

    def publish(self, post: str, destination: str) -> None:
        """Submit the post by hand; whether it is accepted is for the situation to say."""
        arguments = json.dumps({"post_id": post, "destination": destination})
        self.run(f".venv/bin/celery -A workers call tasks.publisher.publish --kwargs '{arguments}'")

    def explain(self, key: str) -> dict[str, Any]:
        done = self.run(f"{GATE} explain {key} --json")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def wait_for_state(self, key: str, *states: str, deadline: float = 60.0) -> None:
        until(lambda: self.explain(key)["state"] in states, deadline, f"{key} to be {' or '.join(states)}")

    def wait_for_event(self, key: str, event: str, deadline: float = 60.0) -> None:
        until(lambda: any(each["event"] == event for each in self.explain(key)["story"]), deadline, f"{event} of {key}")

    def wait_until_it_says(self, command: str, pattern: str, deadline: float = 60.0) -> None:
        """Wait until a command's output has the pattern: the situation has begun."""
        until(
            lambda: re.search(pattern, self.run(f"{GATE} {command}").stdout), deadline, f"{pattern} in gate {command}"
        )
