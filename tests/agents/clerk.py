"""Small tasks about time and memory: rates that wait long, attempts that follow quickly, facts that stay."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import requests

import gatekeeper
from gatekeeper import Effect, Rate


def note(name: str, line: str) -> int:
    """Add a line under a name, for the test to read; answers how many lines there are."""
    path = Path(os.environ["NOTES_DIR"]) / name
    with path.open("a") as notes:
        notes.write(f"{line}\n")
    return len(path.read_text().splitlines())


@gatekeeper.task(rate="1/hour")
def hourly(n: int) -> int:
    """One an hour; the others wait for their turn."""
    note("hourly", str(n))
    return n


@gatekeeper.task(rate=Rate("2/second"), attempts=1)
def paced_once(n: int) -> int:
    """Two at once, then one each half second; a deferral that counted as an attempt would be the end of it."""
    note("paced_once", str(n))
    return n


@gatekeeper.task(attempts=3, backoff="100ms")
def flaky(name: str, times: int) -> int:
    """Fail the first `times` attempts; answers which attempt went well."""
    attempt = note(name, "tried")
    if attempt <= times:
        raise RuntimeError(f"attempt {attempt} of {name} fails")
    return attempt


@gatekeeper.task(key="post:{post_id}", effect=Effect())
def post(post_id: str) -> dict[str, Any]:
    """An effect that remembers itself, as the publisher does."""
    memory = gatekeeper.memory()
    before = memory.get("published", post_id, "effects")
    if before:
        return dict(before)
    with gatekeeper.effect(payload={"post_id": post_id}) as frozen:
        answer = requests.post(f"{os.environ['EFFECTS_URL']}/post:{post_id}", json=frozen, timeout=60)
        answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    memory.record("published", post_id, "effects", value=found)
    memory.count("total_published")
    return found


@gatekeeper.task()
def remember(name: str, value: Any) -> None:
    """Put a plain fact into the agent's state."""
    gatekeeper.memory().put(name, value)


@gatekeeper.task()
def remember_a_file() -> str:
    """Remember a file whose name is no Unicode, as old disks have them."""
    name = b"caf\xe9.md".decode("utf-8", "surrogateescape")
    gatekeeper.memory().put("file", name)
    return "remembered"


@gatekeeper.task(key="dig:{topics}")
def dig(topics: Any) -> None:
    """Its key can be filled by a text and not by a list."""


@gatekeeper.task(attempts=1)
def complain(words: str) -> None:
    """Fail with these words."""
    raise RuntimeError(words)


@gatekeeper.task(attempts=1)
def leak() -> None:
    """Fail with every secret of the installation in the message, as careless libraries do."""
    import settings

    config = settings.current()
    raise ConnectionError(f"cannot reach {config.redis_url} and {config.broker_url} with {config.desk_password}")


@gatekeeper.task()
def follow(given: Any, name: str) -> Any:
    """Follow another call: leave a note of what it handed over, and hand that on."""
    note(name, f"after {json.dumps(given)}")
    return given
