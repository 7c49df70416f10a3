"""Records that come from elsewhere: from files of the journal, or from a server that lost them.

Which intents were sent depends on the epochs around them, so such records are framed by the epochs that they belong to,
and by those that were there before. Nobody appends meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from state.journal import records
from state.journal.heads import Heads

#: An agent, an event and a line, as `rows.append_block` takes them.
Entry = tuple[str, str, str]


def framed(lines: Iterable[Entry], began: Heads, now: Heads) -> Iterator[Entry]:
    """Yield the epochs in which the lines begin, the lines, and the epochs that the table had before.

    Args:
        lines: The lines, oldest first.
        began: The heads before the first line, where it came from.
        now: The heads of the table.

    """
    yield from epochs(began)
    yield from lines
    yield from epochs(now)


def epochs(heads: Heads) -> Iterator[Entry]:
    """Yield a record for the epoch of each agent."""
    for agent, head in sorted(heads.items()):
        if head.epoch:
            fields = {"agent": agent, "epoch": head.epoch, "fence": head.fence}
            more = {"before": head.previous_epoch} if head.previous_epoch else {}
            yield entry(records.encode("epoch", fields | more))


def entry(line: bytes, record: dict[str, Any] | None = None) -> Entry:
    """Return a line with the columns that stand beside it; `record` is what it says, if that is known."""
    found = records.decode_header(line) if record is None else record
    return found.get("agent", ""), found["event"], line.rstrip(b"\n").decode()
