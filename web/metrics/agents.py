"""The metrics of the agents: their calls, what waits for a person, and their state files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from gatekeeper.policies.spec import registered
from state.agents import measures, state_file
from state.agents.numbers import Numbers
from state.errors import JournalUnavailable
from state.ledger import Ledger
from web.metrics.catalogue import Sample, Samples

#: The beginnings of counters of a state file that have a metric of their own.
TOKENS = "tokens_"
DEFERRED = "total_deferred"
#: Counters that the calls show already, by task.
_SHOWN = frozenset({"total_done", "total_failed", "total_refused", "total_flawed", "total_replayed", DEFERRED})
#: Counters of an agent's own code that are shown; more of them would be names made of data.
MAX_COUNTERS = 50
#: The states of keys that wait.
HELD = ("unknown", "held", "approval")
#: How many characters at the beginning of a state file have its revision.
_HEAD = 300
_REVISION = re.compile(r'"revision": (\d+)')


def samples(found: Sequence[Numbers], now_ms: int) -> Samples:
    """Yield the metrics of these agents; raises StoreError."""
    closed = _closed([each.agent for each in found])
    for each in found:
        yield from _calls(each)
        yield from _counters(each)
        yield from _requests(each)
        yield from _waiting(each, now_ms)
        yield from _state_file(each, now_ms)
        yield Sample("effects_closed", (each.agent,), closed(each.agent))


def _calls(each: Numbers) -> Samples:
    known = registered()
    for (task, outcome), number in sorted(each.measures.calls.items()):
        if task in known:  # one that was renamed would be shown for ever
            yield Sample("calls", (each.agent, task, outcome), number)
    for task, spec in sorted(known.items()):
        if spec.agent == each.agent and task in each.measures.ran:
            yield Sample("run_seconds", (each.agent, task), each.measures.ran[task])
            yield Sample("queue_wait_seconds", (each.agent, task), each.measures.waited[task])
    for (task, stage), number in sorted(each.measures.refused.items()):
        if task in known:
            yield Sample("refusals", (each.agent, task, stage), number)
    for state in ("queued", "waiting", "claimed"):
        yield Sample("calls_open", (each.agent, state), each.open[state])
    yield Sample("calls_dead", (each.agent,), each.open["dead"])
    yield Sample("last_run_timestamp_seconds", (each.agent,), each.last_run_ms / 1000)


def _counters(each: Numbers) -> Samples:
    yield Sample("deferrals", (each.agent,), each.totals.get(DEFERRED, 0))
    own = []
    for name, total in sorted(each.totals.items()):
        if name.startswith(TOKENS):
            yield Sample("tokens", (each.agent, name.removeprefix(TOKENS)), total)
        elif name not in _SHOWN and not name.startswith(measures.REFUSED):
            own.append(Sample("agent_counter", (each.agent, name), total))
    yield from own[:MAX_COUNTERS]
    for (entry, became), number in sorted(each.measures.ticks.items()):
        yield Sample("ticks", (each.agent, entry, became), number)


def _requests(each: Numbers) -> Samples:
    for (service, outcome), number in sorted(each.measures.requests.items()):
        yield Sample("http_requests", (each.agent, service, outcome), number)
    for service, took in sorted(each.measures.took.items()):
        yield Sample("http_request_seconds", (each.agent, service), took)


def _waiting(each: Numbers, now_ms: int) -> Samples:
    for state in HELD:
        since = each.oldest_held_ms.get(state, now_ms)
        yield Sample("held", (each.agent, state), each.held.get(state, 0))
        yield Sample("held_oldest_seconds", (each.agent, state), max(0, now_ms - since) / 1000)
    for by in ("person", "cap"):
        yield Sample("paused", (each.agent, by), by in each.paused_by)


def _state_file(each: Numbers, now_ms: int) -> Samples:
    behind = max(0, each.revision - _written(each.agent))
    yield Sample("state_file_lag_revisions", (each.agent,), behind)
    yield Sample("state_file_lag_seconds", (each.agent,), max(0, now_ms - each.updated_ms) / 1000 if behind else 0)


def _written(agent: str) -> int:
    """Return the revision that the agent's state file has; 0 if there is none."""
    try:
        with state_file.path(agent).open(encoding="utf-8") as file:
            found = _REVISION.search(file.read(_HEAD))
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _closed(agents: Sequence[str]) -> Callable[[str], bool]:
    """Return whether effects of an agent are closed; a journal that cannot be read closes those of all."""
    try:
        statuses = Ledger().statuses(agents)
    except JournalUnavailable:
        return lambda _: True
    return lambda agent: statuses[agent].closed is not None
