"""The records of the local feed: a JSON file per post, and a list of the newest so that a publish does not read them all."""

from __future__ import annotations

import heapq
from datetime import datetime
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from clients.content.post import ID
from state.files import write_atomic

log = structlog.get_logger(__name__)

#: Posts in the list: as many as a person can scroll through on one page. Older posts keep their pages.
MAX_LISTED = 200

IDS = TypeAdapter(list[str])


class FeedEntry(BaseModel):
    """One published post, as the feed shows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    date: datetime  #: the date that its author gave it
    published_at: datetime  #: when it was first published here; never changes
    updated_at: datetime
    tags: tuple[str, ...]
    summary: str
    content: str  #: HTML


class FeedStore:
    """The records below one folder. A post is published when its entry's file exists; all else can be rebuilt from that."""

    def __init__(self, public: Path) -> None:
        self.folder = public / "entries"
        self.list = public / "newest.json"

    def get(self, entry_id: str) -> FeedEntry | None:
        """Return the entry, or None if there is none or its file cannot be read; the latter is logged."""
        path = self.folder / f"{entry_id}.json"
        if not ID.fullmatch(entry_id) or not path.exists():
            return None
        try:
            return FeedEntry.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            log.warning("feed entry unreadable", file=str(path), error=str(error), hint="repair or delete the file")
            return None

    def put(self, entry: FeedEntry) -> None:
        """Write the entry; a new one becomes the first in the list of the newest."""
        path = self.folder / f"{entry.id}.json"
        is_new = not path.exists()
        write_atomic(path, entry.model_dump_json(indent=1).encode(), public=True)
        if is_new:
            self._write_list([entry.id, *(known for known in self._ids() if known != entry.id)])

    def newest(self) -> list[FeedEntry]:
        """Return the newest entries, at most MAX_LISTED, newest first."""
        return [entry for entry in map(self.get, self._ids()) if entry]

    def rebuild(self) -> None:
        """Rebuild the list of the newest from all entries, after it was lost or its writer was killed."""
        every = (entry for path in self.folder.glob("*.json") if (entry := self.get(path.stem)))
        newest = heapq.nlargest(MAX_LISTED, every, key=lambda entry: (entry.published_at, entry.id))
        self._write_list([entry.id for entry in newest])

    def _ids(self) -> list[str]:
        try:
            return IDS.validate_json(self.list.read_bytes())
        except (OSError, ValidationError):
            self.rebuild()
            return IDS.validate_json(self.list.read_bytes())

    def _write_list(self, ids: list[str]) -> None:
        write_atomic(self.list, IDS.dump_json(ids[:MAX_LISTED], indent=1), public=True)
