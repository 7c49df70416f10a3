"""The table that says what really happened: committed to disk before anybody gets an answer."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS effects (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  body BLOB NOT NULL,
  arrived_at REAL NOT NULL,
  applied_at REAL NOT NULL,
  headers TEXT NOT NULL,
  connection INTEGER NOT NULL,
  undone INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS by_key ON effects (key);
"""


class Truth:
    """Every applied effect, in order."""

    def __init__(self, path: Path) -> None:
        self.era = 0  #: how often everything was forgotten
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)

    def apply(
        self, key: str, body: bytes, arrived_at: float, headers: Mapping[str, str], connection: int, era: int
    ) -> int | None:
        """Commit an effect and return its number; None, and do nothing, if its era is over since it arrived."""
        row = (
            key,
            hashlib.sha256(body).hexdigest(),
            body,
            arrived_at,
            time.time(),
            json.dumps(dict(headers)),
            connection,
        )
        columns = "key, sha256, body, arrived_at, applied_at, headers, connection"
        with self._lock:
            if era != self.era:
                return None
            done = self._db.execute(f"INSERT INTO effects ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return int(done.lastrowid or 0)

    def undo(self, key: str) -> int:
        """Mark a key's effects as taken back; they happened and still count."""
        with self._lock:
            return self._db.execute("UPDATE effects SET undone = 1 WHERE key = ?", (key,)).rowcount

    def count(self, key: str | None = None) -> int:
        with self._lock:
            found = self._db.execute("SELECT count(*) FROM effects WHERE ? IS NULL OR key = ?", (key, key))
            return int(found.fetchone()[0])

    def rows(self, key: str | None = None) -> list[dict[str, Any]]:
        with self._lock:
            found = self._db.execute("SELECT * FROM effects WHERE ? IS NULL OR key = ? ORDER BY id", (key, key))
            return [_readable(row) for row in found]

    def clear(self) -> None:
        with self._lock:
            self.era += 1
            self._db.execute("DELETE FROM effects")

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _readable(row: sqlite3.Row) -> dict[str, Any]:
    values = dict(row)
    values["body"] = values["body"].decode(errors="replace")
    values["headers"] = json.loads(values["headers"])
    values["undone"] = bool(values["undone"])
    return values
