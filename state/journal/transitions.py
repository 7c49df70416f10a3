"""The transitions of a projection: what each record of a journal changes in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from state.constants import MAX_AUDIT
from state.formatting import from_iso
from state.journal.projection import KeyState, Projection, RecordOffset
from state.journal.records import Record


def apply(projection: Projection, record: Record, offset: RecordOffset) -> None:
    """Apply one record, which stands at `offset`; the caller applies them in the order of the journal."""
    if change := _APPLY.get(record["event"]):
        change(projection, record, offset)


def point_name(name: str, text: str) -> str:
    """Return the name under which a checkpoint is stored; `text` names the text it belongs to, "" before there is one."""
    return f"{name}@{text}" if text else name


def _apply_head(projection: Projection, record: Record, _: RecordOffset) -> None:
    projection.heads.apply(record)


def _apply_followed(projection: Projection, record: Record, _: RecordOffset) -> None:
    projection.followed.add((record["agent"], record["call"]))


def _apply_forbidden(projection: Projection, record: Record, _: RecordOffset) -> None:
    agents, _by = projection.forbidden.get(record["call"], ([], ""))
    projection.forbidden[record["call"]] = sorted({*agents, *record["agents"]}), record["by"]


def _apply_registered(projection: Projection, record: Record, offset: RecordOffset) -> None:
    call = record["agent"], record["call"]
    projection.followed.discard(call)  # a person replayed it: it ends once more
    key = projection.keys.get((record["agent"], record["key"]))
    if key and key.call == record["call"] and key.state == "rejected":
        key.state = "waiting"  # a person replayed it
    else:
        projection.calls[call] = record["key"], offset


def _apply_intent(projection: Projection, record: Record, offset: RecordOffset) -> None:
    agent, fence, epoch = record["agent"], record["fence"], projection.heads.epoch(record["agent"])
    if epoch and record.get("epoch", epoch) != epoch:
        return  # of an epoch that was over by then: it was not sent, and its fence may have been given again
    projection.heads.raise_fence(agent, fence)
    key = projection.keys.setdefault((agent, record["key"]), KeyState("", "", -1, offset))
    if fence >= key.fence and key.state != "done":
        key.doubted |= key.state in {"unknown", "held"} and not key.asks
        key.call, key.state, key.fence, key.intent = record["call"], "unknown", fence, offset
        key.outcome, key.why, key.epoch, key.asks = None, "", epoch, False
    key.doubted |= bool(record.get("doubted"))
    projection.calls.pop((agent, record["call"]), None)


def _apply_asked(projection: Projection, record: Record, offset: RecordOffset) -> None:
    """Hold a key until a person approves; what an earlier attempt may have sent stays known."""
    name, epoch = (record["agent"], record["key"]), projection.heads.epoch(record["agent"])
    if epoch and record.get("epoch", epoch) != epoch:
        return
    projection.heads.raise_fence(record["agent"], record["fence"])
    key = projection.keys.setdefault(name, KeyState("", "", -1, offset))
    if record["fence"] < key.fence or key.state == "done":
        return
    if key.doubted:
        key.call, key.state, key.fence, key.why = record["call"], "held", record["fence"], ""
    else:
        fresh = KeyState(record["call"], "held", record["fence"], offset)
        projection.keys[name] = key = fresh
    key.epoch, key.proposal, key.revision = epoch, offset, record["revision"]
    key.approved, key.asks = False, True
    projection.calls.pop((record["agent"], record["call"]), None)


def _apply_expired(projection: Projection, record: Record, offset: RecordOffset) -> None:
    key = projection.keys.get((record["agent"], record["key"]))
    if key and key.asks and (key.fence, key.revision) == (record["fence"], record["revision"]):
        key.state, key.outcome, key.why, key.asks = "rejected", offset, record["why"], False


def _apply_autonomy(projection: Projection, record: Record, _: RecordOffset) -> None:
    projection.modes[record["agent"]] = record["mode"]


def _apply_point(projection: Projection, record: Record, _: RecordOffset) -> None:
    name = point_name(record["name"], record.get("text", ""))
    projection.points.setdefault((record["agent"], record["key"]), {})[name] = record["value"]


def _apply_outcome(projection: Projection, record: Record, offset: RecordOffset) -> None:
    """Apply "done" whichever attempt reports it, and any other outcome only if the newest attempt does."""
    key, outcome = projection.keys.get((record["agent"], record["key"])), record["outcome"]
    if key is None or key.state == "done":
        return
    is_newest = (record["fence"], record.get("epoch", key.epoch)) == (key.fence, key.epoch)
    if outcome != "done" and not is_newest:
        return
    key.doubted |= outcome == "unknown"
    if outcome == "failed" and not key.doubted:
        _forget_points_without_text(projection, record)
    if outcome in {"failed", "refused"}:
        outcome = "waiting" if record["retry"] else "rejected"
    key.state, key.outcome, key.why = outcome, offset, record.get("error", "")
    key.approved = key.approved and outcome != "rejected"  # an approval is for one call


def _forget_points_without_text(projection: Projection, record: Record) -> None:
    """Drop what was stored before the payload was frozen: it may belong to a text that is not sent. settle.lua does too."""
    points = projection.points.get((record["agent"], record["key"]), {})
    for name in [name for name in points if "@" not in name]:
        del points[name]


def _apply_absent(projection: Projection, record: Record, _: RecordOffset) -> None:
    key = projection.keys.get((record["agent"], record["key"]))
    if key and key.fence == record["fence"] and key.state == "unknown":
        key.state, key.doubted = "waiting", True


def _apply_held(projection: Projection, record: Record, _: RecordOffset) -> None:
    """Hold a call that killed its workers before it sent anything; note on a key in doubt only why it was held."""
    name, fence = (record["agent"], record["key"]), record["fence"]
    was_open = projection.calls.get((record["agent"], record["call"]))
    if was_open and name not in projection.keys:
        projection.keys[name] = KeyState(record["call"], "waiting", fence, was_open[1])
    key = projection.keys.get(name)
    if key is None or key.call != record["call"]:
        return
    if key.state == "waiting" and key.fence <= fence:
        key.state, key.why, key.fence = "held", record["why"], fence
        projection.calls.pop((record["agent"], record["call"]), None)
    elif key.state == "unknown" and key.fence == fence:
        key.why = record["why"]


_RESOLVED = {
    "applied": "done", "not-applied": "waiting", "approve": "waiting", "revise": "waiting", "cancel": "cancelled",
}  # fmt: skip


def _apply_resolved(projection: Projection, record: Record, offset: RecordOffset) -> None:
    """Apply what a person decided about the attempt that they saw; a newer attempt is not affected."""
    _apply_decision(projection, record, offset)
    name, to = (record["agent"], record["key"]), _RESOLVED[record["how"]]
    if to != "waiting":
        projection.calls.pop((record["agent"], record["call"]), None)
        projection.keys.setdefault(name, KeyState(record["call"], "", record["fence"], offset))
    key = projection.keys.get(name)
    if key and key.fence == record["fence"] and key.state != "done":
        key.doubted |= not (key.asks or record["how"] == "revise")
        key.state, key.outcome, key.why, key.asks = to, offset, record["why"], False
        key.approved = to == "waiting"
        if record["how"] == "not-applied":
            key.proposal, key.revision = None, key.revision + 1  # what was sent is sent again
        elif "proposal" in record:  # the text of an attempt that was refused is over
            key.intent, key.outcome = offset, None
            key.proposal, key.revision = offset, record["revision"]
            _forget_points_without_text(projection, record)


def _apply_decision(projection: Projection, record: Record, _: RecordOffset) -> None:
    """Keep an entry of the list of decisions; an older version wrote those about keys without one."""
    if "decision" not in record and not record["by"]:
        return  # a journal that began anew took a cancelled key over, and did not know who had said so
    entry = record.get("decision") or {
        "id": f"{record['at']} {record['key']}",
        "at": from_iso(record["at"]),
        "what": record["how"],
        "subject": record["key"],
        "by": record["by"],
        "why": record["why"],
        "after": _RESOLVED[record["how"]],
    }
    projection.decisions.setdefault(record["agent"], deque(maxlen=MAX_AUDIT)).append(entry)


def _apply_ended(projection: Projection, record: Record, _: RecordOffset) -> None:
    name = record["agent"], record["key"]
    was_open = projection.calls.pop((record["agent"], record["call"]), None)
    if was_open and record["state"] == "cancelled" and not record.get("alone"):
        projection.keys.setdefault(name, KeyState(record["call"], "waiting", 0, was_open[1]))
    key = projection.keys.get(name)
    if key and key.call == record["call"] and key.state == "waiting":
        key.state, key.why, key.approved = record["state"], record.get("why", ""), False


_APPLY: dict[str, Callable[[Projection, Record, RecordOffset], None]] = {
    "checkpoint": _apply_head,
    "epoch": _apply_head,
    "registered": _apply_registered,
    "intent": _apply_intent,
    "asked": _apply_asked,
    "expired": _apply_expired,
    "autonomy": _apply_autonomy,
    "carried over": _apply_intent,
    "point": _apply_point,
    "outcome": _apply_outcome,
    "absent": _apply_absent,
    "held": _apply_held,
    "resolved": _apply_resolved,
    "decision": _apply_decision,
    "ended": _apply_ended,
    "followed": _apply_followed,
    "forbidden": _apply_forbidden,
}
