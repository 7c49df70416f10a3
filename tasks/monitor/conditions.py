"""Conditions of agents that may need a person: looked at every few seconds, so each look costs a few milliseconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gatekeeper.policies.spec import agents
from state import decision_link, hints
from state.agents import facts, watched
from state.agents.used_up import UsedUp
from state.agents.watched import Watched
from state.errors import JournalUnavailable
from state.ledger import Ledger, LedgerStatus
from tasks.monitor import budgets
from tasks.monitor.records import at

#: A key in doubt is told after this time: a look-up, or the late end of a slow worker, may settle it before.
DOUBT = timedelta(seconds=30)
#: A breaker that opened so many times in a row, without a success between, is open longer than it should be.
BREAKER_ROUNDS = 3
#: A breaker that nothing asked for this long after it may be asked is not told any more.
BREAKER_FORGOTTEN = timedelta(days=1)
#: What the monitor's full check finds and this module finds sooner, by the begin of the check's name.
FOUND_SOONER = ("held ", "effects", "agent ", "processes", "ticks", "disk ")
#: Checks of the monitor that can wait for the end of QUIET_HOURS.
_CAN_WAIT = ("certificate ", "memory", "load", "redis ping", "redis memory", "monitor.toml")
_MAX_TEXT = 400


@dataclass(frozen=True)
class Condition:
    """One thing that is wrong now; an incident begins when it has lasted for `settle`."""

    name: str
    kind: str
    what: str
    todo: str
    since: datetime | None = None  #: None: since it was first seen
    settle: timedelta = timedelta(0)
    agent: str = ""
    key: str = ""
    tried: str = ""
    page: str = "/incidents"
    urgent: bool = True


def of_agents(now: datetime) -> Iterator[Condition]:
    """Yield what is wrong with the agents: keys that wait, caps, budgets, breakers; raises StoreError."""
    stopping = budgets.stopping(agents())
    for each in watched.read(agents()):
        yield from _of_keys(each, now)
        yield from _of_caps(each, now)
        yield from _of_budgets(each.agent, stopping[each.agent], now)
        yield from _of_breakers(each, now)
    yield from of_effects()


def of_effects() -> Iterator[Condition]:
    """Yield that effects are closed, for all agents together; raises StoreError."""
    try:
        closed = {agent: status for agent, status in Ledger().statuses(agents()).items() if status.closed}
    except JournalUnavailable as error:
        closed = {"every agent": LedgerStatus.without_journal(error)}
    if closed:
        whose, (status, *_) = ", ".join(closed), closed.values()
        yield Condition(
            "effects",
            "closed",
            _cut(f"Effects are closed for {whose}: {status.closed}"),
            status.command,
            page="/",
            settle=timedelta(seconds=15),
            tried="Nothing with an effect is sent; its calls wait.",
        )


def of_check(now: datetime) -> Iterator[Condition]:
    """Yield the open incidents of the monitor's last full check; raises StoreError."""
    found = facts.read("monitor", ("incidents",))
    for name, incident in found.items() if isinstance(found, dict) else ():
        if not name.startswith(FOUND_SOONER):
            since = datetime.fromisoformat(incident["since"]).astimezone(UTC)
            what = f"{name}: {incident.get('why') or incident.get('value')}"
            waits = name.startswith(_CAN_WAIT)
            yield Condition(
                name, "check", _cut(what), hints.gatehouse("status"), since=min(since, now), urgent=not waits
            )


def _of_keys(of: Watched, now: datetime) -> Iterator[Condition]:
    for record in of.held:
        yield _of_key(of.agent, record, now)
    if of.count > len(of.held):
        what = f"{of.count} keys of {of.agent} wait for a person"
        todo = hints.gatehouse("held")
        yield Condition(f"many held {of.agent}", "held", what, todo, agent=of.agent, page=f"/agents/{of.agent}")


def _of_key(agent: str, record: Mapping[str, Any], now: datetime) -> Condition:
    key, state, why = str(record["key"]), str(record["state"]), str(record.get("why") or "no reason is recorded")
    kind = "approval" if record.get("kind") == "approval" else state
    said = {
        "approval": f"{key} waits for approval",
        "unknown": f"{key} is in doubt: it may be out, or not",
        "held": f"{key} is held for a person",
    }
    is_approval = kind == "approval"
    return Condition(
        name=f"{'approval' if is_approval else 'held'} {key}",
        kind=kind,
        what=_cut(said[kind] if is_approval else f"{said.get(kind, f'{key} is {state}')}: {why}"),
        todo=hints.gatehouse("explain", key),
        since=at(record.get("since"), now),
        settle=DOUBT if kind == "unknown" else timedelta(0),
        agent=agent,
        key=key,
        tried="" if is_approval else _tried(record),
        page=decision_link.key_path(agent, key),
        urgent=not is_approval,
    )


def _tried(record: Mapping[str, Any]) -> str:
    """Return what was tried with a key in doubt, in words."""
    attempts, looks = int(record["attempts"]), int(record["looks"])
    sent = "" if not attempts else "It was tried once" if attempts == 1 else f"It was tried {attempts} times"
    if looks:
        asked = f"the provider was asked {'once' if looks == 1 else f'{looks} times'}, without proof"
    else:
        asked = "the provider will be asked" if record["verify"] else "the provider cannot be asked"
    return f"{sent}; {asked}." if sent else ""


def _of_caps(of: Watched, now: datetime) -> Iterator[Condition]:
    for reason in of.pauses:
        if reason["by"] == "cap":
            task = reason.get("task") or of.agent
            yield Condition(
                f"cap {task} {reason.get('cap', '')}".strip(),
                "cap",
                _cut(f"{task} is paused: {reason['why']}"),
                f"look, then {hints.gatehouse('resume', of.agent)}",
                since=at(reason["at"], now),
                agent=of.agent,
                page=f"/agents/{of.agent}",
                tried="Its calls do not start until a person resumes it.",
            )


def _of_budgets(agent: str, stopping: Sequence[UsedUp], now: datetime) -> Iterator[Condition]:
    for each in stopping:
        until = datetime.fromtimestamp(each.until_ms / 1000, UTC)
        yield Condition(
            f"budget {each.task} {each.rule} {each.scope}".strip(),
            "budget",
            _cut(f"{each.whose} has used up its budget of {each.rule}: {each.tokens:,} tokens, the last by {each.key}"),
            hints.gatehouse("explain", each.key),
            since=at(each.since_ms, now),
            agent=agent,
            page=f"/agents/{agent}",
            tried=f"Its calls do not start before {until:%Y-%m-%d %H:%M} UTC, and then go on by themselves.",
            urgent=False,
        )


def _of_breakers(of: Watched, now: datetime) -> Iterator[Condition]:
    for each in of.breakers:
        since, until = at(each["since"], now), at(each["until"], now)
        rounds = round((until - since) / timedelta(milliseconds=each["cooldown_ms"]))
        if rounds >= BREAKER_ROUNDS and now - until < BREAKER_FORGOTTEN:
            *_, task, scope = str(each["name"]).split(":", 4)[:5]
            named = f"{task} ({scope})" if scope else task
            yield Condition(
                f"breaker {task} {scope}".strip(),
                "breaker",
                f"The breaker of {named} is open since {each['failures']} failures in a row",
                hints.gatehouse("status", of.agent),
                since=since,
                agent=of.agent,
                page=f"/agents/{of.agent}",
                tried=f"One call was let through {rounds - 1} times, and failed; its calls wait.",
                urgent=False,
            )


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"
