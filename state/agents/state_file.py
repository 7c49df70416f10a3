"""The mirror: one JSON file per agent, a photograph of Redis. It is written whole and never runs ahead of Redis."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import structlog

import settings
from state import private, terminal
from state.agents.snapshot import revisions, snapshot
from state.files import UNFINISHED, lock_file, write_atomic

log = structlog.get_logger("gatehouse.mirror")


class StateFiles:
    """Writes the files of the agents that changed since this object last looked."""

    def __init__(self, agents: list[str]) -> None:
        self._agents = agents
        self._written: dict[str, int] = {}

    def refresh(self, known: Mapping[str, int] | None = None) -> list[str]:
        """Write the files of the agents that changed, and return these agents.

        Args:
            known: The revision of each agent in Redis, where the caller has just read it.

        """
        found = revisions(self._agents) if known is None else known
        stale = [agent for agent, revision in found.items() if self._is_stale(agent, revision)]
        for agent in stale:
            self._written[agent] = write(agent)
        return stale

    def _is_stale(self, agent: str, revision: int) -> bool:
        """An agent that never ran has a file too; but an empty Redis beside a file is no news, it is a loss."""
        if revision == 0 and path(agent).exists():
            return False
        return self._written.get(agent) != revision


def _keep_what_is_ahead(file: Path, revision: int) -> None:
    """A file that knows more than Redis is what is left after a loss: a copy is set aside before it is written over."""
    try:
        data = file.read_bytes()
        known = int(json.loads(data)["revision"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return
    if known > revision:
        aside = file.with_name(f"{file.stem}.revision-{known}.json")
        write_atomic(aside, data)
        log.error(
            "redis is behind the state file", kept=str(aside), known=known, redis=revision, next="docs/operations.md"
        )


def _remove_unfinished(folder: Path) -> None:
    """What a writer left behind that was killed; inside the lock nobody else is at work."""
    for unfinished in folder.glob(f".*{UNFINISHED}"):
        unfinished.unlink(missing_ok=True)


def path(agent: str) -> Path:
    """Where this agent's state file is."""
    return settings.current().agents_dir / f"{agent}.json"


def files(agent: str) -> list[Path]:
    """The agent's state file and every copy of it that was set aside, as far as they are there."""
    folder = settings.current().agents_dir
    return [path for path in (folder / f"{agent}.json", *folder.glob(f"{agent}.revision-*.json")) if path.exists()]


def agents() -> list[str]:
    """Every agent that has a state file, also one whose tasks are gone."""
    return sorted(path.stem for path in settings.current().agents_dir.glob("*.json") if "." not in path.stem)


def write(agent: str) -> int:
    """Photograph one agent; answers the revision written.

    Redis is read inside the lock: of two processes that write, the later one also has the newer state.
    """
    file = path(agent)
    private.folder(file.parent)
    with lock_file(settings.current().agents_dir / ".lock"):
        _remove_unfinished(file.parent)
        now = snapshot(agent)
        _keep_what_is_ahead(file, now.revision)
        text = json.dumps(now.document(), indent=2, ensure_ascii=False).encode(errors="replace").decode()
        write_atomic(file, terminal.json_text(text).encode() + b"\n")
    return now.revision
