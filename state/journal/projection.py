"""The projection of a journal: the state of every key, and the calls that never ended.

A journal may be far larger than memory, so a projection keeps offsets; the records themselves are read once more.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from state.journal.heads import Heads
from state.journal.records import CorruptRecord, Record


class RecordOffset(NamedTuple):
    """The place of a record: the number of its file, and the offset of its line there."""

    file: int
    offset: int


@dataclass(slots=True)
class KeyState:
    """The state of one key at the end of the journal."""

    call: str
    state: str  #: "waiting" | "unknown" | "held" | "done" | "rejected" | "cancelled"
    fence: int
    intent: RecordOffset  #: of the highest fence: what it carries is what was sent, if anything was
    outcome: RecordOffset | None = None
    why: str = ""
    epoch: str = ""  #: in which that fence was given
    proposal: RecordOffset | None = None  #: of the newest text about which a person was asked, or that a person wrote
    revision: int = 0  #: its number
    approved: bool = False  #: a person approved it, or said that what was sent is not there
    asks: bool = False  #: it waits for that
    doubted: bool = False  #: an attempt may have sent its text without reporting that nothing happened


Name = tuple[str, str]  #: an agent, and a key or a call of it


@dataclass
class Projection:
    """The state of all keys and calls after the records of some files."""

    files: list[Path]
    keys: dict[Name, KeyState] = field(default_factory=dict)
    calls: dict[Name, tuple[str, RecordOffset]] = field(default_factory=dict)  #: open ones: key, and `registered`
    points: dict[Name, dict[str, str]] = field(default_factory=dict)  #: of each key
    followed: set[Name] = field(default_factory=set)  #: calls whose followers are registered
    #: Ids that were revoked before their calls were made: for which agents, and by whom.
    forbidden: dict[str, tuple[list[str], str]] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)  #: of each agent whose autonomy a person chose
    decisions: dict[str, deque[Record]] = field(default_factory=dict)  #: the newest of persons, by agent
    damages: list[CorruptRecord] = field(default_factory=list)
    records: int = 0
    heads: Heads = field(default_factory=Heads)  #: of the machine whose files are being read; each has its own epochs
    fences: dict[str, int] = field(default_factory=dict)  #: the highest of all machines, by agent

    @property
    def agents(self) -> list[str]:
        return sorted({*self.fences, *(agent for agent, _ in self.keys)})
