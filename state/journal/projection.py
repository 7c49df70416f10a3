"""What a whole journal says of every key: its last intent, its outcome, and the calls that never ended.

A journal may be far larger than memory, so only places in it are kept; the records themselves are read once more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from state.journal import records
from state.journal.heads import JournalHead
from state.journal.records import CorruptRecord, Record

#: The month, whose copy it is, and, while it is compacted, an unfinished name around that.
_NAMED = re.compile(r"\.?\d{4}-\d{2}(.*?)\.jsonl")


class RecordOffset(NamedTuple):
    """Where a record stands: the number of its file, and the offset of its line there."""

    file: int
    offset: int


@dataclass(slots=True)
class KeyState:
    """Where one key stands at the end of the journal."""

    call: str
    state: str  #: "waiting" | "unknown" | "held" | "done" | "rejected" | "cancelled"
    fence: int
    intent: RecordOffset  #: of the highest fence: what it carries is what was sent, if anything was
    outcome: RecordOffset | None = None
    why: str = ""
    epoch: str = ""  #: in which that fence was given
    doubted: bool = False  #: an attempt may have sent its text without saying itself that nothing happened


@dataclass
class Projection:
    """A journal, folded."""

    files: list[Path]
    keys: dict[tuple[str, str], KeyState] = field(default_factory=dict)  #: by agent and key
    calls: dict[tuple[str, str], tuple[str, RecordOffset]] = field(default_factory=dict)  #: open ones: key and place
    points: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)  #: by agent and key
    followed: set[tuple[str, str]] = field(
        default_factory=set
    )  #: calls whose followers are registered, with their agent
    forbidden: dict[str, tuple[list[str], str]] = field(
        default_factory=dict
    )  #: ids that were revoked before their calls were made: for which agents, and by whom
    fences: dict[str, int] = field(default_factory=dict)  #: highest, by agent
    epochs: dict[str, str] = field(default_factory=dict)  #: by agent, in the journal that is being read
    known: list[dict[str, JournalHead]] = field(
        default_factory=list
    )  #: of each file: what was known at its end, by agent
    damages: list[CorruptRecord] = field(default_factory=list)
    records: int = 0

    @property
    def agents(self) -> list[str]:
        return sorted({*self.fences, *self.epochs, *(agent for agent, _ in self.keys)})


def project(
    files: Iterable[Path],
    progress: Callable[[int], None] = lambda _: None,
    key: str = "",
    ends: Mapping[Path, int] = MappingProxyType({}),
) -> Projection:
    """Read every record, oldest first, or those of one key; `progress` is told of the bytes read.

    `ends` says of some files how far they are to be read.
    """
    whole, epochs = Projection(list(files)), dict[str, dict[str, str]]()
    holding = json.dumps(key, ensure_ascii=False).encode() if key else b""
    for number, path in enumerate(whole.files):
        whole.epochs = epochs.setdefault(_writer(path), {})
        for offset, length, found in records.scan(path, holding, records.decode_header, ends.get(path)):
            progress(length)
            if isinstance(found, CorruptRecord):
                whole.damages.append(found)
                continue
            whole.records += 1
            take = _TAKERS.get(found["event"])
            if take:
                take(whole, found, RecordOffset(number, offset))
        whole.known.append(
            {agent: JournalHead(whole.epochs.get(agent, ""), fence) for agent, fence in whole.fences.items()}
        )
    return whole


def _writer(path: Path) -> str:
    """Whose journal a file is of: "" for this machine's, else what stands behind the month. Each has epochs of its own."""
    named = _NAMED.match(path.name)
    return named[1] if named else path.name


def _take_known(whole: Projection, record: Record, _place: RecordOffset) -> None:
    for agent, (epoch, fence, *_) in record["known"].items():
        _raise(whole, agent, fence)
        whole.epochs.setdefault(agent, epoch)  # its writer knew this a moment before; what was read by now is newer


def _take_epoch(whole: Projection, record: Record, _: RecordOffset) -> None:
    _raise(whole, record["agent"], record["fence"])
    whole.epochs[record["agent"]] = record["epoch"]


def _take_followed(whole: Projection, record: Record, _: RecordOffset) -> None:
    whole.followed.add((record["agent"], record["call"]))


def _take_forbidden(whole: Projection, record: Record, _place: RecordOffset) -> None:
    known, _ = whole.forbidden.get(record["call"], ([], ""))
    whole.forbidden[record["call"]] = sorted({*known, *record["agents"]}), record["by"]


def _take_registered(whole: Projection, record: Record, place: RecordOffset) -> None:
    whole.followed.discard((record["agent"], record["call"]))  # replayed by a person: it ends once more
    standing = whole.keys.get((record["agent"], record["key"]))
    if standing and standing.call == record["call"] and standing.state == "rejected":
        standing.state = "waiting"  # replayed by a person
    else:
        whole.calls[record["agent"], record["call"]] = record["key"], place


def _take_intent(whole: Projection, record: Record, place: RecordOffset) -> None:
    name, fence = (record["agent"], record["key"]), record["fence"]
    epoch = whole.epochs.get(record["agent"], "")
    if epoch and record.get("epoch", epoch) != epoch:
        return  # of an epoch that was over by then: it was not sent, and its fence may have been given again
    _raise(whole, record["agent"], fence)
    before = whole.keys.get(name)
    if before is None:
        whole.keys[name] = KeyState(record["call"], "unknown", fence, place, epoch=epoch)
    elif fence >= before.fence and before.state != "done":
        before.doubted |= before.state in {"unknown", "held"}
        before.call, before.state, before.fence, before.intent = record["call"], "unknown", fence, place
        before.outcome, before.why, before.epoch = None, "", epoch
    if record.get("doubted"):
        whole.keys[name].doubted = True
    whole.calls.pop((record["agent"], record["call"]), None)


def point_name(name: str, text: str) -> str:
    """The name under which a point is stored that belongs to a text; one that was kept before the line belongs to none."""
    return f"{name}@{text}" if text else name


def _take_point(whole: Projection, record: Record, _: RecordOffset) -> None:
    name = point_name(record["name"], record.get("text", ""))
    whole.points.setdefault((record["agent"], record["key"]), {})[name] = record["value"]


def _take_outcome(whole: Projection, record: Record, place: RecordOffset) -> None:
    """What happened, happened, whichever attempt it was; anything else is said of the newest attempt only."""
    standing = whole.keys.get((record["agent"], record["key"]))
    kind = record["outcome"]
    if standing is None or standing.state == "done":
        return
    is_newest = (record["fence"], record.get("epoch", standing.epoch)) == (standing.fence, standing.epoch)
    if kind != "done" and not is_newest:
        return
    standing.doubted |= kind == "unknown"
    if kind == "failed" and not standing.doubted:
        _forget_what_was_kept_before_the_line(whole, record)
    if kind in {"failed", "refused"}:
        kind = "waiting" if record["retry"] else "rejected"
    standing.state, standing.outcome, standing.why = kind, place, record.get("error", "")


def _forget_what_was_kept_before_the_line(whole: Projection, record: Record) -> None:
    """It may belong to a text that is not sent any more; settle.lua forgets it too."""
    points = whole.points.get((record["agent"], record["key"]), {})
    for name in [name for name in points if "@" not in name]:
        del points[name]


def _take_absent(whole: Projection, record: Record, _: RecordOffset) -> None:
    standing = whole.keys.get((record["agent"], record["key"]))
    if standing and standing.fence == record["fence"] and standing.state == "unknown":
        standing.state, standing.doubted = "waiting", True


def _take_held(whole: Projection, record: Record, _: RecordOffset) -> None:
    """A call that took its workers down with it before the line is held; a doubt stays one, with the reason why it was held."""
    name, fence = (record["agent"], record["key"]), record["fence"]
    was_open = whole.calls.get((record["agent"], record["call"]))
    if was_open and name not in whole.keys:
        whole.keys[name] = KeyState(record["call"], "waiting", fence, was_open[1])
    standing = whole.keys.get(name)
    if standing is None or standing.call != record["call"]:
        return
    if standing.state == "waiting" and standing.fence <= fence:
        standing.state, standing.why, standing.fence = "held", record["why"], fence
        whole.calls.pop((record["agent"], record["call"]), None)
    elif standing.state == "unknown" and standing.fence == fence:
        standing.why = record["why"]


_RESOLVED = {"applied": "done", "not-applied": "waiting", "approve": "waiting", "cancel": "cancelled"}


def _take_resolved(whole: Projection, record: Record, place: RecordOffset) -> None:
    """A person spoke of the attempt that they saw; if another one had begun by then, it was not about that."""
    name, to = (record["agent"], record["key"]), _RESOLVED[record["how"]]
    if to != "waiting":
        whole.calls.pop((record["agent"], record["call"]), None)
        whole.keys.setdefault(name, KeyState(record["call"], "", record["fence"], place))
    standing = whole.keys.get(name)
    if standing and standing.fence == record["fence"] and standing.state != "done":
        standing.state, standing.outcome, standing.why, standing.doubted = to, place, record["why"], True


def _take_ended(whole: Projection, record: Record, _: RecordOffset) -> None:
    was_open = whole.calls.pop((record["agent"], record["call"]), None)
    if was_open and record["state"] == "cancelled" and not record.get("alone"):
        whole.keys.setdefault((record["agent"], record["key"]), KeyState(record["call"], "waiting", 0, was_open[1]))
    standing = whole.keys.get((record["agent"], record["key"]))
    if standing and standing.call == record["call"] and standing.state == "waiting":
        standing.state, standing.why = record["state"], record.get("why", "")


def _raise(whole: Projection, agent: str, fence: int) -> None:
    whole.fences[agent] = max(fence, whole.fences.get(agent, 0))


_TAKERS: dict[str, Callable[[Projection, Record, RecordOffset], None]] = {
    "checkpoint": _take_known,
    "epoch": _take_epoch,
    "registered": _take_registered,
    "intent": _take_intent,
    "carried over": _take_intent,
    "point": _take_point,
    "outcome": _take_outcome,
    "absent": _take_absent,
    "held": _take_held,
    "resolved": _take_resolved,
    "ended": _take_ended,
    "followed": _take_followed,
    "forbidden": _take_forbidden,
}
