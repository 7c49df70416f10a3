"""The state file: one JSON file per agent, a copy of its state in Redis. It is replaced whole and never ahead of Redis."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import structlog

import settings
from state import host, private, terminal
from state.agents.snapshot import revisions, snapshot
from state.files import PATIENCE, UNFINISHED, lock_file, write_atomic

log = structlog.get_logger("gatehouse.state_file")

#: Seconds that a sweep waits for the lock of the files; the next sweep tries again.
SWEEP_PATIENCE = 0.1
#: Seconds that a decision waits for it; the sweepers write what it left.
DECISION_PATIENCE = 2.0


class StateFiles:
    """The state files of several agents, each written when its agent has changed."""

    def __init__(self, agents: list[str]) -> None:
        self._agents = agents
        self._written: dict[str, int] = {}

    def refresh(self, known: Mapping[str, int] | None = None) -> list[str]:
        """Write the files of the agents that changed, and return these agents.

        Args:
            known: The revision of each agent in Redis, where the caller has just read it.

        Raises:
            BlockingIOError: Another process holds the lock; what is not written is written at the next call.

        """
        found = revisions(self._agents) if known is None else known
        stale = [agent for agent, revision in found.items() if self._is_stale(agent, revision)]
        for agent in stale:
            self._written[agent] = write(agent, wait=SWEEP_PATIENCE)
        return stale

    def _is_stale(self, agent: str, revision: int) -> bool:
        """Return whether the file has to be written; a revision of 0 beside an existing file means that Redis lost data."""
        if revision == 0 and path(agent).exists():
            return False
        return self._written.get(agent) != revision


def _set_aside_if_ahead(file: Path, revision: int) -> None:
    """Copy a file that is ahead of Redis before it is replaced: after a loss it may be the only record."""
    try:
        data = file.read_bytes()
        known = int(json.loads(data)["revision"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return
    if known > revision:
        aside = file.with_name(f"{file.stem}.revision-{known}.json")
        write_atomic(aside, data)
        log.error(
            "redis is behind the state file",
            kept=str(aside),
            known=known,
            redis=revision,
            hint="see docs/operations/store-lost.md",
        )


def _remove_unfinished(folder: Path) -> None:
    """Remove the unfinished files of writers that were killed; the lock keeps other writers out."""
    for unfinished in folder.glob(f".*{UNFINISHED}"):
        unfinished.unlink(missing_ok=True)


def path(agent: str) -> Path:
    """Return the path of the agent's state file."""
    return settings.current().agents_dir / f"{agent}.json"


def files(agent: str) -> list[Path]:
    """Return the agent's state file and the copies of it that were set aside, as far as they exist."""
    folder = settings.current().agents_dir
    return [path for path in (folder / f"{agent}.json", *folder.glob(f"{agent}.revision-*.json")) if path.exists()]


def agents() -> list[str]:
    """Return every agent that has a state file, even if its tasks no longer exist."""
    return sorted(path.stem for path in settings.current().agents_dir.glob("*.json") if "." not in path.stem)


def write_after_decision(agent: str) -> None:
    """Write one agent's state file now, so that a person sees the decision in it; else the next sweep of a worker does."""
    try:
        write(agent, wait=DECISION_PATIENCE)
    except BlockingIOError as error:
        log.warning(
            "state file late", agent=agent, error=str(error), hint="the decision stands; a worker writes the file"
        )


def write(agent: str, *, wait: float = PATIENCE) -> int:
    """Write one agent's state file and return the revision written.

    Redis is read inside the lock, so the later of two writers also has the newer state.

    Args:
        agent: The agent.
        wait: Seconds to wait while another process writes state files.

    Raises:
        BlockingIOError: Another process still holds the lock of the files.

    """
    file = path(agent)
    private.folder(file.parent)
    with lock_file(settings.current().agents_dir / ".lock", wait=wait):
        _remove_unfinished(file.parent)
        now = snapshot(agent)
        _set_aside_if_ahead(file, now.revision)
        document = {**now.document(), "written_by": host.this_host()}
        text = json.dumps(document, indent=2, ensure_ascii=False).encode(errors="replace").decode()
        write_atomic(file, terminal.json_text(text).encode() + b"\n")
    return now.revision
