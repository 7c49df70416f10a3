"""Every metric: its name, its type, its labels and its meaning. docs/metrics.md has the same table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from state.agents.measures import Durations

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Metric:
    """One metric; `name` is without `_total`, which the name of a counter gets."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class Sample:
    """One value of a metric, with the values of its labels in order."""

    name: str
    labels: tuple[str, ...]
    value: float | Durations


Samples = Iterator[Sample]


def _metric(name: str, kind: Kind, labels: str, text: str) -> Metric:
    return Metric(f"gatehouse_{name}", kind, tuple(labels.split()), text)


METRICS = (
    _metric("up", "gauge", "", "1 if Redis answers this scrape, else 0; then only the metrics of the machine follow"),
    _metric("build_info", "gauge", "version", "1; the version that the web process runs"),
    # Calls
    _metric("calls", "counter", "agent task outcome", "Attempts that ended, by how"),
    _metric("run_seconds", "histogram", "agent task", "How long attempts ran; no sum is kept"),
    _metric("queue_wait_seconds", "histogram", "agent task", "How long messages waited for a worker; no sum is kept"),
    _metric("refusals", "counter", "agent task stage", "Calls that the gate refused, by the check that refused them"),
    _metric("deferrals", "counter", "agent", "Calls that were put off: by the gate, or by a service"),
    _metric("calls_open", "gauge", "agent state", "Calls that have not ended: queued, waiting or claimed"),
    _metric("calls_dead", "gauge", "agent", "Calls that ended without a result; the newest thousand are kept"),
    _metric("last_run_timestamp_seconds", "gauge", "agent", "When the newest attempt of the agent ended"),
    _metric("agent_counter", "counter", "agent name", "What the agent's own code counts"),
    _metric("tokens", "counter", "agent provider", "Tokens that model providers charged"),
    # For a person
    _metric("held", "gauge", "agent state", "Keys that wait for a person or for a look-up: unknown, held or approval"),
    _metric(
        "held_oldest_seconds", "gauge", "agent state", "For how long the oldest of them has waited; 0 if none does"
    ),
    _metric("paused", "gauge", "agent by", "1 if the agent is paused by a person, or some of its calls by a cap"),
    _metric(
        "effects_closed", "gauge", "agent", "1 if no effect of the agent may begin: Redis or the journal is not sound"
    ),
    # Limits
    _metric(
        "cap_used", "gauge", "agent task rule", "Effects that count for a cap now, in the scope that has most of them"
    ),
    _metric("cap_limit", "gauge", "agent task rule", "How many may count before the cap stops the task"),
    _metric(
        "budget_used",
        "gauge",
        "agent task rule",
        "Tokens that count for a budget now, in the scope that has most of them",
    ),
    _metric("budget_limit", "gauge", "agent task rule", "How many may count before calls of the task do not start"),
    _metric(
        "rate_wait_seconds",
        "gauge",
        "agent task rule",
        "How long a rate would delay the next call, in the scope where it would do so most",
    ),
    _metric("breakers_open", "gauge", "agent task", "Breakers of the task that are open, one for each of its scopes"),
    _metric("breaker_open_seconds", "gauge", "agent task", "For how long the oldest of them has been open"),
    # The schedule
    _metric(
        "ticks", "counter", "agent entry outcome", "Due times of the schedule: started, skipped, too_late or missed"
    ),
    _metric("tick_overdue", "gauge", "agent entry", "1 if a tick should have started and has not"),
    # Other services
    _metric(
        "http_requests", "counter", "agent service outcome", "Requests that tasks sent, by the service they went to"
    ),
    _metric("http_request_seconds", "histogram", "agent service", "How long these requests took; no sum is kept"),
    # Processes and queues
    _metric("processes", "gauge", "kind", "Processes that report that they live: worker, beat"),
    _metric("processes_silent", "gauge", "kind", "Processes that fell silent, and queues that no worker serves"),
    _metric(
        "host_last_seen_seconds", "gauge", "host", "For how long a host has given no sign of life; 0 to 10 if it lives"
    ),
    _metric("host_clock_offset_seconds", "gauge", "host", "By how much its clock is ahead of that of Redis"),
    _metric("host_gone", "gauge", "host", "1 if a person said that the host is gone, and it did not come back"),
    _metric("broker_messages", "gauge", "", "Messages in the default queue of the broker"),
    _metric(
        "backlog_calls",
        "gauge",
        "queue",
        "Calls that were sent and that no worker has taken; of each agent 200 are read",
    ),
    _metric("backlog_oldest_seconds", "gauge", "queue", "For how long the oldest of them has been due"),
    # The stores
    _metric("state_file_lag_revisions", "gauge", "agent", "How many changes in Redis the state file does not have yet"),
    _metric("state_file_lag_seconds", "gauge", "agent", "For how long it has not had the newest; 0 if it has"),
    _metric("journal_bytes", "gauge", "", "The size of all files of the journal"),
    _metric("journal_files", "gauge", "", "How many files the journal has, one a month"),
    _metric("journal_last_write_timestamp_seconds", "gauge", "", "When the journal was last written to"),
    _metric("disk_free_bytes", "gauge", "", "Room on the file system of STATE_DIR for this user"),
    _metric("disk_size_bytes", "gauge", "", "The size of that file system"),
    _metric("redis_memory_bytes", "gauge", "", "Memory that Redis uses"),
    _metric("redis_memory_limit_bytes", "gauge", "", "Memory that Redis may use: maxmemory, or the machine's"),
    _metric("redis_ping_seconds", "gauge", "", "How long Redis took to answer a PING"),
    _metric("redis_keys", "gauge", "", "How many keys Redis has"),
    _metric("redis_persistent", "gauge", "", "1 if Redis writes its append-only file, and the last write succeeded"),
)
