"""An installation with a shell in it, and what the agents there read and leave behind."""

from __future__ import annotations

import json
import shutil
from typing import Any

import redis

from clients import content
from clients.content.post import Post
from state.agents import facts
from state.redis.keys import Keys
from tests.harness import Install
from tests.harness.shell import Shell

GROQ, MINIMAX = "groq/llama-3.3-70b-versatile", "minimax/MiniMax-M2"

LISTING = """
[[writer]]
name = "Notes"
file = "notes.xml"
[[writer]]
name = "Our own feed"
public = "feed.xml"
[[analyst]]
name = "Shop"
file = "shop.csv"
"""


def a_feed(*numbers: int) -> str:
    entries = "".join(
        f"<entry><id>n{n}</id><title>Note {n}</title><link href='https://example.org/{n}'/>"
        f"<updated>2026-11-{n:02}T09:00:00Z</updated><summary>What note {n} says.</summary></entry>"
        for n in numbers
    )
    return f"<feed xmlns='http://www.w3.org/2005/Atom'><title>Notes</title>{entries}</feed>"


class Agents:
    """An installation, a shell in it, and what the two agents leave behind."""

    def __init__(self, install: Install) -> None:
        self.install = install
        self.shell = Shell(install)
        self._redis = redis.Redis.from_url(install.redis_url, decode_responses=True)

    def begin(self) -> None:
        """As on the first day: nothing is known, a feed of seven notes and a table of nine days lie there."""
        self.forget()
        for folder in (self.install.content_dir, self.install.public_dir):
            shutil.rmtree(folder)
            folder.mkdir()
        self.put("sources.toml", LISTING)
        self.put("notes.xml", a_feed(*range(1, 8)))
        self.put("shop.csv", "day,visits\n" + "\n".join(f"d{n},100" for n in range(9)))

    def forget(self) -> None:
        """As on a first start: nothing is known of agents and models."""
        for key in self._redis.scan_iter("gate:*", count=1000):
            self._redis.delete(key)
        for folder in ("journal", "agents"):  # or effects would be closed, and Redis would be behind the state files
            shutil.rmtree(self.install.state_dir / folder, ignore_errors=True)

    def put(self, name: str, text: str) -> None:
        (self.install.content_dir / name).write_text(text)

    def run(self, task: str, **kwargs: Any) -> dict[str, Any]:
        """Run a task here and now, through the gate."""
        answer: dict[str, Any] = self.shell.run("answer = app.tasks[task](**kwargs)", task=task, kwargs=kwargs)
        return answer

    def draft(self) -> dict[str, Any]:
        answer = self.run("tasks.writer.draft")
        assert answer["ok"], answer
        return dict(answer["result"])

    def fact(self, agent: str, *path: str) -> Any:
        text = self._redis.hget(Keys(agent).facts, _path(path))
        return None if text is None else json.loads(text)

    def facts(self, agent: str, collection: str) -> dict[str, Any]:
        """The entries of a collection, by name."""
        return dict(facts.nested(self._redis.hgetall(Keys(agent).facts)).get(collection, {}))

    def set_fact(self, agent: str, *path: str, value: Any) -> None:
        self._redis.hset(Keys(agent).facts, _path(path), json.dumps(value))

    def drafts(self) -> list[Post]:
        return list(content.scan(self.install.content_dir / "drafts").posts)

    def close(self) -> None:
        self.shell.close()
        self.install.close()
        self._redis.close()


def _path(path: tuple[str, ...]) -> str:
    return json.dumps(path, separators=(",", ":"))
